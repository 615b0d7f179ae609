//! The library for C and C++ programs, and the installed compilers.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The warnings of every compilation.
pub const WARNINGS: [&str; 6] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"];

/// The system libraries that the static library needs.
pub const SYSTEM: [&str; 3] = ["-lm", "-lpthread", "-ldl"];

pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the static library in the profile of this test, with the feature `test-panic`, and
/// returns its path. The shared library is in the same folder. `cargo test` does not build either
/// of them.
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

/// Returns the installed ones of these compilers. Prints a note if there is none.
pub fn compilers(names: &[&'static str]) -> Vec<&'static str> {
    let installed = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
    let found: Vec<_> = names.iter().filter(installed).copied().collect();
    if found.is_empty() {
        println!("skipped: there is none of {names:?}");
    }
    found
}

/// Returns whether the compiler accepts this flag.
pub fn takes(compiler: &str, flag: &str) -> bool {
    let mut command = Command::new(compiler);
    command.args([flag, "-fsyntax-only", "-x", "c++", "/dev/null"]);
    command.output().is_ok_and(|output| output.status.success())
}

/// Returns whether the compiler can build this source: clang's sanitizers may not be installed.
pub fn links(compiler: &str, flags: &[&str], source: &Path) -> bool {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("links-{compiler}"));
    let mut command = Command::new(compiler);
    command.args(flags).arg(source).arg("-o").arg(program);
    command.output().is_ok_and(|output| output.status.success())
}

/// A compiler command with all warnings and the headers of this repository.
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

/// Runs a command, which must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
