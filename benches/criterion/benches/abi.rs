//! One decision by a C program and the same by a Rust program, both of `benches/instructions`. This
//! benchmark builds them first, with gcc and cargo.

use criterion::{Criterion, criterion_group, criterion_main};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs a program and panics if it fails.
fn run(program: impl AsRef<OsStr>, args: &[&str]) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let name = program.as_ref().to_owned();
    let status = Command::new(program).args(args).current_dir(root).status();
    assert!(status.is_ok_and(|status| status.success()), "{} failed", name.display());
}

/// Builds both programs and returns their paths: Rust, then C.
fn programs() -> [PathBuf; 2] {
    // The path of this benchmark: `target/release/deps/abi-...`.
    let own = std::env::current_exe().expect("the path of this program");
    let release = own.ancestors().nth(2).expect("in a target folder").to_owned();
    let target = release.parent().and_then(Path::to_str).expect("a path in UTF-8");
    let packages = ["-p", "tollgate-instructions", "-p", "tollgate-ffi"];
    let build = ["build", "--quiet", "--release", "--target-dir", target];
    run(env!("CARGO"), &[&build[..], &packages].concat());
    let (library, c) = (release.join("libtollgate.a"), release.join("instructions-c"));
    let [library, out] = [&library, &c].map(|path| path.to_str().expect("a path in UTF-8"));
    let check = "benches/instructions/check.c";
    let compile = ["-std=c99", "-O2", "-Iinclude", check, "-o", out, library];
    run("gcc", &[&compile[..], &["-lm", "-lpthread", "-ldl"]].concat());
    [release.join("instructions"), c]
}

/// The time of `decisions`, without the startup and exit of the program.
fn time(program: &Path, decisions: u64) -> Duration {
    let wall = |decisions: u64| {
        let start = Instant::now();
        run(program, &["check_at", &decisions.to_string()]);
        start.elapsed()
    };
    wall(decisions).saturating_sub(wall(0)).max(Duration::from_nanos(decisions))
}

fn abi(c: &mut Criterion) {
    let [rust, from_c] = programs();
    let programs: [(&str, &Path); 2] = [("abi/from Rust", &rust), ("abi/from C", &from_c)];
    for (name, program) in programs {
        c.bench_function(name, |bencher| {
            bencher.iter_custom(|decisions| time(program, decisions));
        });
    }
}

criterion_group!(benches, abi);
criterion_main!(benches);
