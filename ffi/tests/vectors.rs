//! The test vectors of `ffi/tests/vectors` in C and C++. A program gets the scenes as plain lines
//! and prints its decisions, which are compared here. `tests/vectors.rs` runs the same files in
//! Rust.

mod toolchain;

#[path = "../../tests/vectors/format.rs"]
mod format;

use format::{Scene, from_json};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use toolchain::{compilers, here, program, text};

fn scenes() -> Vec<Scene> {
    let folder = std::fs::read_dir(here().join("tests/vectors")).expect("a folder");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    files.iter().flat_map(|file| from_json(file)).collect()
}

/// Runs the program on these scenes, and returns its output.
fn printed(program: &Path, scenes: &[Scene]) -> String {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{program:?}: {why}"));
    let mut input = child.stdin.take().expect("a pipe");
    let script: String = scenes.iter().map(Scene::script).collect();
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("a program that ends");
    writer.join().expect("a thread that ends").expect("a program that reads");
    assert!(output.status.success(), "{program:?}: {}", output.status);
    text(&output.stdout)
}

/// Compares a program with all scenes, and checks that a wrong order of calls fails.
fn compare(program: &Path) {
    let mut scenes = scenes();
    let calls: usize = scenes.iter().map(|scene| scene.calls.len()).sum();
    assert!(calls > 500, "{calls} calls");
    let output = printed(program, &scenes);
    let mut lines = output.lines();
    for scene in &scenes {
        let own: Vec<_> = lines.by_ref().take(1 + scene.calls.len()).collect();
        scene.compare(&own);
    }
    assert_eq!(lines.next(), None);
    println!("{}: {calls} calls of {} limiters", program.display(), scenes.len());

    let scene = scenes.iter_mut().find(|scene| scene.calls.len() > 1).expect("some calls");
    scene.calls.swap_remove(0);
    let output = printed(program, std::slice::from_ref(scene));
    let compared =
        catch_unwind(AssertUnwindSafe(|| scene.compare(&output.lines().collect::<Vec<_>>())));
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
