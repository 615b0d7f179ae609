//! A planted failure, for tests whose allocator fails. It shows that a failing assertion still ends its
//! test soon, with its message, and that printing the panic does not hang.

use std::env;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const VARIABLE: &str = "TOLLGATE_PLANTED";
const MESSAGE: &str = "this failure is planted";
/// A generous timeout for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Returns whether [`assert_fails_soon`] has started this process.
pub fn is_planted() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Fails if `is_planted`. Separate from [`is_planted`], which allocates and so must be called before the
/// allocator fails.
#[inline(never)]
pub fn fail_if(is_planted: bool) {
    assert!(!is_planted, "{MESSAGE}");
}

/// Runs `test`, which calls [`fail_if`], in a new process with the failure planted. Checks that it
/// fails with the message and a backtrace.
pub fn assert_fails_soon(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(VARIABLE, "1").env("RUST_BACKTRACE", "1").envs(variables.iter().copied());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let (send, printed) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let result = stderr.read_to_end(&mut text);
        send.send(result.map(|_| String::from_utf8_lossy(&text).into_owned()))
    });
    // The pipe closes when the process ends.
    let printed = printed.recv_timeout(SOON);
    if printed.is_err() {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let printed = printed.expect("the failing test hangs").unwrap();
    assert_eq!(status.code(), Some(101), "not the exit code of a failed test: {printed}");
    assert!(printed.contains(MESSAGE), "no message: {printed}");
    assert!(printed.contains("fail_if"), "no backtrace: {printed}");
}
