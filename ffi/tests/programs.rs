//! The C ABI from C: runs every program of `ffi/tests/c` for each standard and installed compiler,
//! with the static and the shared library. Checks that they use every name of the header.

mod toolchain;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use toolchain::{SYSTEM, compile, compilers, here, library, run, text};

const COMPILERS: [&str; 2] = ["gcc", "clang"];
const STANDARDS: [&str; 2] = ["-std=c99", "-std=c11"];

/// Threads, processes and memory limits in strict standards, and the function that panics.
const POSIX: [&str; 3] = ["-O1", "-D_XOPEN_SOURCE=700", "-DTOLLGATE_TEST_PANIC"];

/// The number of fuzzed calls. `scripts/ffi.sh` runs more.
const FUZZED_CALLS: &str = "200000";

/// Statuses that no call returns: max_keys of 0 means the default, and every configuration error
/// has its own number.
const NEVER_RETURNED: [&str; 2] = ["TOLLGATE_E_MAX_KEYS", "TOLLGATE_E_CONFIG"];

fn sources() -> Vec<PathBuf> {
    let folder = fs::read_dir(here().join("tests/c")).expect("a folder");
    let mut sources: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    sources.retain(|path| path.extension().is_some_and(|kind| kind == "c"));
    sources.sort();
    sources
}

/// The shared library under its SONAME.
fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared");
        fs::create_dir_all(&folder).expect("a writable folder");
        let named = folder.join("libtollgate.so.0");
        fs::copy(library().with_extension("so"), &named).expect("one beside the static library");
        named
    })
}

/// Compiles a program from one source, and links it with this library.
fn program(compiler: &str, flags: &[&str], source: &Path, library: &Path) -> PathBuf {
    let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let name =
        [&stem(source), compiler, &flags.concat().replace('/', "_"), &stem(library)].join("-");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let checked: &[&str] = if cfg!(debug_assertions) { &["-DTOLLGATE_CHECKED"] } else { &[] };
    let mut command = compile(compiler, &[flags, &POSIX, checked].concat());
    run(command.arg(source).arg(library).args(SYSTEM).arg("-o").arg(&program));
    program
}

fn command_of(program: &Path, library: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", library.parent().expect("a folder"));
    command.env("TOLLGATE_CALLS", FUZZED_CALLS);
    command
}

/// The number of checks that a program has printed.
fn checks(output: &Output) -> Option<u64> {
    text(&output.stdout).lines().last()?.strip_suffix(" checks")?.parse().ok()
}

fn all_pass(library: &Path) {
    for compiler in compilers(&COMPILERS) {
        for standard in STANDARDS {
            for source in sources() {
                let output = run(&mut command_of(
                    &program(compiler, &[standard], &source, library),
                    library,
                ));
                let count = checks(&output).unwrap_or_default();
                println!("{compiler} {standard} {}: {count} checks", source.display());
                assert!(count > 0, "{} made no checks", source.display());
            }
        }
    }
}

#[test]
fn with_the_static_library() {
    all_pass(library());
}

#[test]
#[cfg(target_os = "linux")]
fn with_the_shared_library() {
    all_pass(shared());
}

/// A program may unload the library while a thread that has used it still runs.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn unloading_is_safe() {
    let source = here().join("tests/unload.c");
    for compiler in compilers(&COMPILERS) {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unload-{compiler}"));
        let mut command = compile(compiler, &["-std=c11", POSIX[1]]);
        run(command.arg(&source).args(SYSTEM).arg("-o").arg(&program));
        let output = run(Command::new(&program).arg(shared()));
        assert!(checks(&output).unwrap_or_default() > 0);
    }
}

/// The program in the introduction of the header: its indented lines.
fn example(header: &str) -> String {
    let introduction = header.split("\n */").next().expect("an introduction");
    let lines = introduction.lines().skip_while(|line| !line.starts_with(" *     "));
    let lines = lines.take_while(|line| line.starts_with(" *     ") || *line == " *");
    lines.map(|line| line.get(7..).unwrap_or_default().to_owned() + "\n").collect()
}

/// The example in the header compiles and runs as it is.
#[test]
fn the_example_in_the_header_runs() {
    let source_text = example(&header());
    assert_eq!(source_text.matches("tollgate_new(").count(), 1, "{source_text}");
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example.c");
    fs::write(&source, source_text).expect("a writable folder");
    for compiler in compilers(&COMPILERS) {
        for standard in STANDARDS {
            let program = program(compiler, &[standard], &source, library());
            let output = run(&mut command_of(&program, library()));
            assert_eq!(text(&output.stdout), "200 OK\n");
        }
    }
}

/// Calls the functions in the sections about policy files and keys of the documentation.
const CALLER: &str = r#"
int main(void) {
    tollgate_policy policies[2] = {TOLLGATE_POLICY_INIT, TOLLGATE_POLICY_INIT};
    struct sockaddr_in peer = {.sin_family = AF_INET};
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&peer;
    const char *const text = "[[policy]]\nname = 'user'\nlimit = 1\nwindow = '1m'\n";
    tollgate_limiter *limiter;
    uint64_t id[2];
    for (size_t cut = 0; cut < 2; cut++) {
        limiter = limiter_from(text, strlen(text) - 10 * cut, &id[0]);
        puts(limiter == NULL ? "no limiter" : "a limiter");
        (void)tollgate_free(limiter);
    }
    for (int i = 0; i < 2; i++) {
        policies[i].name = i == 0 ? "model" : "network";
        policies[i].limit = 2;
        policies[i].window_ns = 60000000000;
    }
    if (tollgate_new(NULL, policies, 2, &limiter, NULL) != TOLLGATE_OK) return 1;
    for (size_t i = 0; i < 2; i++) (void)tollgate_policy_at(limiter, i, &id[i], NULL);
    for (int i = 0; i < 2; i++) printf("%d ", check(limiter, id, "acme", "small", address, sizeof peer));
    printf("%d ", check(limiter, id, "acme", NULL, address, sizeof peer));
    printf("%d ", check(limiter, id, "acme", "small", address, 4));
    printf("%d\n", check(limiter, id, "acme", "small", address, sizeof peer));
    return tollgate_free(limiter);
}
"#;

/// The functions in the documentation compile, and do what it says.
#[test]
fn the_functions_in_the_documentation_run() {
    let page = fs::read_to_string(here().join("../docs/c.md")).expect("a page");
    let blocks = || page.split("```c\n").skip(1).filter_map(|rest| rest.split("```").next());
    let function = |name: &str| {
        let mut found = blocks().filter(|block| block.contains(name) && !block.contains("main("));
        found.next().unwrap_or_else(|| panic!("no function {name}"))
    };
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documented.c");
    let headers = "#include <netinet/in.h>\n#include <stdio.h>\n#include <sys/socket.h>\n#include <tollgate.h>\n";
    let text_of_program =
        [headers, function(" *limiter_from("), function(" check("), CALLER].concat();
    fs::write(&source, text_of_program).expect("a writable folder");
    for compiler in compilers(&COMPILERS) {
        let program = program(compiler, &["-std=c11"], &source, library());
        let output = run(&mut command_of(&program, library()));
        assert_eq!(text(&output.stdout), "a limiter\nno limiter\n0 0 -1 -3 1\n");
    }
}

/// The names that the header declares.
#[derive(Debug, Default)]
struct Names {
    functions: BTreeSet<String>,
    inline: BTreeSet<String>,
    statuses: BTreeSet<String>,
    constants: BTreeSet<String>,
}

/// Removes comments from code.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        let length = rest[start..].find("*/").map_or(rest.len() - start, |length| length + 2);
        code.push_str(&rest[..start]);
        rest = &rest[start + length..];
    }
    code.push_str(rest);
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The words of a text, each with the trimmed text before and after it.
fn words(code: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let starts = code
        .char_indices()
        .filter(move |(index, letter)| part(*letter) && !code[..*index].ends_with(part));
    starts.map(move |(index, _)| {
        let rest = &code[index..];
        let length = rest.find(|letter| !part(letter)).unwrap_or(rest.len());
        (code[..index].trim_end(), &rest[..length], rest[length..].trim_start())
    })
}

impl Names {
    fn of(header: &str) -> Self {
        let (mut names, header) = (Names::default(), code(header));
        for (before, word, after) in words(&header) {
            let set = match word {
                _ if before.ends_with("#define") && word != "TOLLGATE_H" => &mut names.constants,
                _ if word.starts_with("TOLLGATE_") && after.starts_with("= ") => {
                    &mut names.statuses
                }
                _ if !word.starts_with("tollgate_") || !after.starts_with('(') => continue,
                // A call in the body of an inline function.
                _ if before.ends_with("return") || before.ends_with(['(', ',']) => continue,
                _ if before.lines().last().is_some_and(inline) => &mut names.inline,
                _ => &mut names.functions,
            };
            set.insert(word.to_owned());
        }
        names
    }

    /// Returns the untested names: functions that are not called, statuses that no check expects from a
    /// call, and constants that are not used.
    fn untested(&self, sources: &[String]) -> Vec<&str> {
        let (mut named, mut called, mut returned) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for source in sources {
            for (before, word, after) in words(source) {
                named.insert(word);
                if after.starts_with('(') {
                    called.insert(word);
                }
                if before.ends_with("STATUS(") || before.ends_with("FAULT(") {
                    returned.insert(word);
                }
            }
        }
        returned.extend(NEVER_RETURNED.into_iter().filter(|name| named.contains(name)));
        let kinds = [
            (&self.functions, &called),
            (&self.inline, &called),
            (&self.statuses, &returned),
            (&self.constants, &named),
        ];
        kinds
            .into_iter()
            .flat_map(|(all, tested)| {
                all.iter().map(String::as_str).filter(|name| !tested.contains(name))
            })
            .collect()
    }
}

fn inline(line: &str) -> bool {
    line.starts_with("static inline")
}

fn header() -> String {
    fs::read_to_string(here().join("../include/tollgate.h")).expect("a header")
}

/// Every function is called, every status is expected from some call, and every constant is used,
/// by a program other than the fuzzer.
#[test]
fn every_name_is_tested() {
    let mut tests = sources();
    tests.retain(|path| !path.ends_with("fuzz.c"));
    tests.push(here().join("tests/c/fixture.h"));
    let tests: Vec<_> =
        tests.iter().map(|path| code(&fs::read_to_string(path).expect("text"))).collect();
    let names = Names::of(&header());
    let counts = [&names.functions, &names.inline, &names.statuses, &names.constants]
        .map(|names| names.len());
    println!("functions, inline ones, statuses, constants: {counts:?}");
    assert!(
        counts.into_iter().zip([30, 5, 28, 20]).all(|(count, least)| count >= least),
        "{names:?}"
    );
    assert_eq!(names.untested(&tests), Vec::<&str>::new());
}

/// An untested name is found, also if it is in a comment.
#[test]
fn an_untested_name_is_found() {
    let header = "#define TOLLGATE_NEW 1\nenum { TOLLGATE_E_NEW = -40, };\nint tollgate_new_one(int a);\n\
                  static inline int tollgate_new_two(int a) { return tollgate_b(a, tollgate_c(a)); }\n";
    let names = Names::of(header);
    let all = ["tollgate_new_one", "tollgate_new_two", "TOLLGATE_E_NEW", "TOLLGATE_NEW"];
    let commented = code("/* tollgate_new_one(1) TOLLGATE_NEW */ // STATUS(TOLLGATE_E_NEW, 1)");
    assert_eq!(names.untested(&[commented]), all);
    let named =
        code("f = tollgate_new_one; tollgate_new_two (1); x = TOLLGATE_E_NEW; TOLLGATE_NEW_ER");
    assert_eq!(names.untested(&[named]), ["tollgate_new_one", "TOLLGATE_E_NEW", "TOLLGATE_NEW"]);
    let tested =
        code("STATUS(\nTOLLGATE_E_NEW, tollgate_new_one(TOLLGATE_NEW) + tollgate_new_two(1));");
    assert_eq!(names.untested(&[tested]), Vec::<&str>::new());
}

/// The shared library exports exactly the functions of the header.
#[test]
#[cfg(target_os = "linux")]
fn nothing_else_is_exported() {
    let output = run(Command::new("nm").args(["-D", "--defined-only", "-P"]).arg(shared()));
    let symbols = text(&output.stdout);
    let exported: BTreeSet<_> =
        symbols.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(exported, Names::of(&header()).functions);
}

/// A failed check fails its program, which prints the line. A program without checks fails too.
#[test]
fn a_failure_is_reported() {
    let cases = [
        ("EQUAL(0, tollgate_abi_version() + 1);", "expected 0, not 1"),
        ("STATUS(TOLLGATE_OK, tollgate_clock_manual(NULL));", "status 0, not -1"),
        ("TEXT(\"no\", tollgate_version());", "failing.c:2: tollgate_version()"),
        ("CHECK(tollgate_strerror(0) == NULL);", "failing.c:2: tollgate_strerror(0) == NULL"),
        ("", ""),
    ];
    for compiler in compilers(&COMPILERS) {
        for (statement, message) in cases {
            let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("failing.c");
            let program_text =
                format!("#include <check.h>\nint main(void) {{ {statement} return passed(); }}\n");
            fs::write(&source, program_text).expect("a writable folder");
            let folder = format!("-I{}", here().join("tests/c").display());
            let program = program(compiler, &["-std=c11", &folder], &source, library());
            let output = command_of(&program, library()).output().expect("a program");
            assert_eq!(output.status.code(), Some(1), "{statement}");
            assert!(
                text(&output.stderr).contains(message),
                "{statement}: {}",
                text(&output.stderr)
            );
        }
    }
}

/// The fuzzer detects one admitted unit too many.
#[test]
fn the_fuzzer_detects_an_overrun() {
    let source = here().join("tests/c/fuzz.c");
    for compiler in compilers(&COMPILERS) {
        let program = program(compiler, &["-std=c11", "-DPLANTED"], &source, library());
        let output = command_of(&program, library()).output().expect("a program");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("units < ALLOWED"), "{}", text(&output.stderr));
    }
}
