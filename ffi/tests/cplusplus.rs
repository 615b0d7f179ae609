//! The C++ headers. They compile in every supported standard and mode, alone and together. Programs that
//! link the static library test them. Misuse does not compile.

mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toolchain::{compile, compilers, here, links, program, run, takes, text};

const COMPILERS: [&str; 2] = ["g++", "clang++"];
const BARE: [&str; 2] = ["-fno-exceptions", "-fno-rtti"];

/// Lets `no_alloc.cpp` also count the allocations of the library.
#[cfg(target_os = "linux")]
const COUNTED: [&str; 2] =
    ["-DWRAPPED", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=posix_memalign"];
#[cfg(not(target_os = "linux"))]
const COUNTED: [&str; 0] = [];

fn sources() -> Vec<PathBuf> {
    let folder = fs::read_dir(here().join("tests/cpp")).expect("a folder");
    let mut sources: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    sources.retain(|path| path.extension().is_some_and(|kind| kind == "cpp"));
    sources.sort();
    sources
}

/// The number of tests in the sources. Without exceptions fewer of them are compiled.
fn written_tests() -> usize {
    let count = |path: &PathBuf| fs::read_to_string(path).expect("text").matches("\nTEST(").count();
    let main = |path: &&PathBuf| !path.ends_with("main.cpp");
    sources().iter().filter(main).map(count).sum()
}

/// Compiles and runs all tests, and returns their number.
fn tests(compiler: &str, flags: &[&str]) -> usize {
    let name = format!("{compiler}{}", flags.concat()).replace([',', '='], "-");
    let program = program(compiler, &name, flags, &sources());
    let output_text = text(&run(&mut Command::new(&program)).stdout);
    let last = output_text.lines().last().unwrap_or_default();
    let count = last.split(' ').next().and_then(|word| word.parse().ok());
    println!("{compiler} {flags:?}: {last}");
    count.expect("a count of tests")
}

fn all_tests(standard: &str, modes: &[&[&str]]) {
    for compiler in compilers(&COMPILERS) {
        if !takes(compiler, standard) {
            println!("skipped: {compiler} does not support {standard}");
            continue;
        }
        for mode in modes {
            let flags = [&[standard], *mode, &COUNTED].concat();
            let count = tests(compiler, &flags);
            if mode.contains(&BARE[0]) {
                assert!(count > 0 && count < written_tests(), "{count} tests");
            } else {
                assert_eq!(count, written_tests());
            }
        }
    }
}

#[test]
fn in_cplusplus_17() {
    all_tests("-std=c++17", &[&["-O2"], &BARE]);
}

#[test]
fn in_cplusplus_20() {
    all_tests("-std=c++20", &[&[]]);
}

#[test]
fn in_cplusplus_23() {
    all_tests("-std=c++23", &[&BARE]);
}

/// The headers under the address and undefined-behaviour sanitizers.
#[test]
fn under_sanitizers() {
    for compiler in compilers(&COMPILERS) {
        let flags =
            ["-std=c++20", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
        let planted = "int main(int argc, char**) { return (0x7fffffff + argc) != 0; }";
        let planted = written_to("overflow.cpp", planted);
        if compiler != "g++" && !links(compiler, &flags, &planted) {
            println!("skipped: {compiler} has no sanitizers here");
            continue;
        }
        let overflow = program(compiler, "overflow", &flags, &[planted]);
        let output = Command::new(overflow).output().expect("a program");
        let output_text = text(&output.stderr);
        assert!(
            output_text.contains("signed integer overflow"),
            "the sanitizer reports nothing: {output_text}"
        );
        tests(compiler, &flags);
    }
}

/// Every header compiles alone.
#[test]
fn each_header_alone() {
    let include = here().join("../include");
    let parts = fs::read_dir(include.join("tollgate")).expect("a folder");
    let mut headers: Vec<_> = parts.map(|entry| entry.expect("an entry").path()).collect();
    headers.extend(["tollgate.hpp", "tollgate.h"].map(|name| include.join(name)));
    assert!(headers.len() >= 12, "{headers:?}");
    for compiler in compilers(&COMPILERS) {
        for mode in [&["-std=c++17"][..], &["-std=c++20", BARE[0]]] {
            for header in &headers {
                let source = format!("#include \"{}\"\n", header.display());
                let name = header.file_name().expect("a name").display();
                let source = written_to(&format!("alone-{name}-{}.cpp", mode.concat()), &source);
                run(compile(compiler, mode).arg("-fsyntax-only").arg(source));
            }
        }
    }
}

/// A failing test is reported.
#[test]
fn a_failure_is_reported() {
    for compiler in compilers(&COMPILERS) {
        let main = here().join("tests/cpp/main.cpp");
        let planted = program(compiler, "planted", &["-std=c++17", "-DPLANTED"], &[main]);
        let output = Command::new(planted).output().expect("a program");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stdout).contains("FAILED planted\n1 tests, 1 failures"));
    }
}

/// Misuse does not compile, for the right reason.
#[test]
fn misuse_does_not_compile() {
    let cases: [(&str, &[&str], &str); 10] = [
        ("(void)gate.check({});", &[], ""),
        ("gate.check({});", &[], "nodiscard"),
        ("gate.reserve({});", &[], "nodiscard"),
        ("gate.try_set_limit({}, 1);", &[], "nodiscard"),
        ("limiter other = gate;", &[], "delete"),
        ("session moved = gate.session(); session other = std::move(moved);", &[], "delete"),
        ("(void)policy_id().charge(nullptr, 1);", &[], "delete"),
        ("(void)key::parts({nullptr, 1});", &[], "delete"),
        ("(void)gate.check_key({}, nullptr, 1);", &[], "delete"),
        ("(void)limiter::builder().build();", &BARE, "build"),
    ];
    for compiler in compilers(&COMPILERS) {
        for (index, (statement, flags, why)) in cases.iter().enumerate() {
            let source = format!(
                "#include <tollgate.hpp>\nusing namespace tollgate;\n\
                 void misuse(const limiter& gate);\nvoid misuse(const limiter& gate) {{ {statement} }}\n"
            );
            let source = written_to(&format!("misuse-{index}.cpp"), &source);
            let mut command = compile(compiler, &[&["-std=c++17"], *flags].concat());
            command.args(["-fsyntax-only", "-Wno-unused-variable", "-Wno-unused-parameter"]);
            let output = command.arg(source).output().expect("a compiler");
            let output_text = text(&output.stderr);
            assert_eq!(output.status.success(), why.is_empty(), "{statement}: {output_text}");
            assert!(output_text.contains(why), "{statement}: {output_text}");
        }
    }
}

fn written_to(name: &str, source: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, source).expect("a writable folder");
    path
}
