//! The library that C and C++ programs link, and the compilers that are there.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What every program is compiled with.
pub const WARNINGS: [&str; 6] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"];

/// What the static library needs from the system.
pub const SYSTEM: [&str; 3] = ["-lm", "-lpthread", "-ldl"];

pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The static library of the profile that this test was built with, with a function that panics.
/// Beside it is the shared one. Cargo makes it for nobody who
/// tests alone, so this asks for it; the second time there is nothing to do.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a running test");
        let built = test.ancestors().nth(2).expect("target/profile/deps/test");
        let profile = match built.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "test",
            Some(other) => other,
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(here()).args(["build", "--quiet", "--package", "tollgate-ffi"]);
        cargo
            .args(["--features", "test-panic", "--profile", profile])
            .env_remove("CARGO_BUILD_TARGET");
        cargo.arg("--target-dir").arg(built.parent().expect("a target folder"));
        run(&mut cargo);
        built.join("libtollgate.a")
    })
}

/// Those of these compilers that are installed; says so if there is none.
pub fn compilers(names: &[&'static str]) -> Vec<&'static str> {
    let there = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
    let found: Vec<_> = names.iter().filter(there).copied().collect();
    if found.is_empty() {
        println!("skipped: there is none of {names:?}");
    }
    found
}

/// Whether the compiler takes this flag.
pub fn takes(compiler: &str, flag: &str) -> bool {
    let mut command = Command::new(compiler);
    command.args([flag, "-fsyntax-only", "-x", "c++", "/dev/null"]);
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether the compiler can make a program of this source: clang's sanitizers may not be installed.
pub fn links(compiler: &str, flags: &[&str], source: &Path) -> bool {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("links-{compiler}"));
    let mut command = Command::new(compiler);
    command.args(flags).arg(source).arg("-o").arg(program);
    command.output().is_ok_and(|output| output.status.success())
}

/// A compiler's call with all warnings and our headers.
pub fn compile(compiler: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(compiler);
    command.args(flags).args(WARNINGS).arg("-I").arg(here().join("../include"));
    command
}

/// Compiles and links these sources of `ffi/tests`, and returns the program.
pub fn program(compiler: &str, name: &str, flags: &[&str], sources: &[PathBuf]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut command = compile(compiler, flags);
    run(command.args(sources).arg(library()).args(SYSTEM).arg("-o").arg(&program));
    program
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
