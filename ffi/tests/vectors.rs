//! The test vectors of `ffi/tests/vectors` in C and C++. A program gets the cases as plain lines
//! and prints its decisions, which are compared here. `tests/vectors/main.rs` runs the same files in
//! Rust.

mod toolchain;

#[path = "../../tests/vectors/format.rs"]
mod format;

use format::{Case, from_json};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use toolchain::{compilers, here, program, text};

fn cases() -> Vec<Case> {
    let folder = std::fs::read_dir(here().join("tests/vectors")).expect("a folder");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    files.iter().flat_map(|file| from_json(file)).collect()
}

/// Runs the program on these cases, and returns its output.
fn printed(program: &Path, cases: &[Case]) -> String {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{program:?}: {why}"));
    let mut input = child.stdin.take().expect("a pipe");
    let script: String = cases.iter().map(Case::script).collect();
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("a program that ends");
    writer.join().expect("a thread that ends").expect("a program that reads");
    assert!(output.status.success(), "{program:?}: {}", output.status);
    text(&output.stdout)
}

/// Compares a program with all cases, and checks that a wrong order of calls fails.
fn compare(program: &Path) {
    let mut cases = cases();
    let calls: usize = cases.iter().map(|case| case.calls.len()).sum();
    assert!(calls > 500, "{calls} calls");
    let output = printed(program, &cases);
    let mut lines = output.lines();
    for case in &cases {
        let own: Vec<_> = lines.by_ref().take(1 + case.calls.len()).collect();
        case.compare(&own);
    }
    assert_eq!(lines.next(), None);
    println!("{}: {calls} calls of {} limiters", program.display(), cases.len());

    let case = cases.iter_mut().find(|case| case.calls.len() > 1).expect("some calls");
    case.calls.swap_remove(0);
    let output = printed(program, std::slice::from_ref(case));
    let compared =
        catch_unwind(AssertUnwindSafe(|| case.compare(&output.lines().collect::<Vec<_>>())));
    assert!(compared.is_err(), "a wrong order of calls is not detected");
}

#[test]
fn in_c() {
    for compiler in compilers(&["gcc", "clang"]) {
        let source = here().join("tests/vectors/run/vectors.c");
        compare(&program(compiler, &format!("vectors-{compiler}"), &["-std=c11"], &[source]));
    }
}

#[test]
fn in_cplusplus() {
    for compiler in compilers(&["g++", "clang++"]) {
        let source = here().join("tests/vectors/run/vectors.cpp");
        compare(&program(compiler, &format!("vectors-{compiler}"), &["-std=c++17"], &[source]));
    }
}
