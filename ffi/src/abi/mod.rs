//! Tests of the ABI: every change of a constant, struct or function changes a committed file.
//!
//! `ffi/abi.txt` lists the ABI for reviewers. `ffi/tests/layout.c` is a C program that compiles without
//! warnings only with a header of the same ABI. `TOLLGATE_BLESS=1` writes both. `ffi/ABI.md` says which
//! changes are allowed.

mod asserts;
mod header;
mod layout;

use header::{Declaration, declarations};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const HEADER: &str = include_str!("../../../include/tollgate.h");

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Describes the ABI, one line for each declaration and field.
fn describe(declarations: &[Declaration]) -> String {
    let mut text = String::from(
        "# The ABI on 64-bit systems. Generated: TOLLGATE_BLESS=1 cargo test -p tollgate-ffi abi\n",
    );
    for declaration in declarations {
        let _ = match declaration {
            Declaration::Constant { name, value } => writeln!(text, "constant {name} {value}"),
            Declaration::Status { name, value } => writeln!(text, "status {name} {value}"),
            Declaration::Opaque { name } => writeln!(text, "opaque {name}"),
            Declaration::Function { prototype, inline: false, .. } => {
                writeln!(text, "function {prototype}")
            }
            Declaration::Function { prototype, .. } => writeln!(text, "inline {prototype}"),
            Declaration::Struct { name, fields } => {
                let layout = layout::of(name);
                let _ = writeln!(text, "struct {name} {} aligned {}", layout.size, layout.align);
                assert_eq!(fields.len(), layout.fields.len(), "fields of {name} in C and in Rust");
                for (field, in_rust) in fields.iter().zip(&layout.fields) {
                    let c = (field.name.as_str(), field.kind.as_str(), field.length);
                    assert_eq!(
                        c,
                        (in_rust.name, in_rust.kind, in_rust.length),
                        "a field of {name}"
                    );
                    let _ = writeln!(text, "    {} {field}", in_rust.offset);
                }
                Ok(())
            }
        };
    }
    text
}

/// Compares a committed file with the generated text, or writes it.
fn compare_or_write(name: &str, generated: &str) {
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(file(name), generated).expect("a writable folder");
    }
    let committed = std::fs::read_to_string(file(name)).unwrap_or_default();
    let old = committed.lines().filter(|line| !generated.lines().any(|other| other == *line));
    let new = generated.lines().filter(|line| !committed.lines().any(|other| other == *line));
    let changes: Vec<String> =
        old.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect();
    assert!(
        committed == generated,
        "the ABI has changed ({name}); ffi/ABI.md says which changes are allowed, \
         TOLLGATE_BLESS=1 writes the file:\n{}",
        changes.join("\n")
    );
}

/// Compiles `layout.c` with a header. `Err` has the compiler's messages.
fn compile(header: &str, name: &str) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("tollgate-abi-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a writable folder");
    std::fs::write(folder.join("tollgate.h"), header).expect("a writable file");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(&folder)
        .arg(file("tests/layout.c"))
        .output()
        .expect("a C compiler");
    std::fs::remove_dir_all(&folder).expect("the folder from above");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_abi_is_unchanged() {
    let declarations = declarations(HEADER);
    compare_or_write("abi.txt", &describe(&declarations));
    compare_or_write("tests/layout.c", &asserts::program(&declarations));
    assert_eq!(compile(HEADER, "unchanged"), Ok(()));
}

/// Each breaking change changes the generated program and does not compile with the committed one.
#[test]
fn breaking_changes_are_found() {
    let unchanged = asserts::program(&declarations(HEADER));
    let last_field = "    uint64_t unix_ns;\n";
    let changes = [
        ("a field's type", "uint64_t cost;", "int64_t cost;"),
        ("a field's size", "uint8_t v4_prefix;", "uint16_t v4_prefix;"),
        ("an added field", last_field, "    uint64_t unix_ns;\n    uint64_t more;\n"),
        ("a field's name", "uint64_t unix_ns;", "uint64_t wall_ns;"),
        ("a longer array", "uint64_t reserved[2];", "uint64_t reserved[3];"),
        ("a constant's value", "TOLLGATE_KEY_IP 2", "TOLLGATE_KEY_IP 5"),
        ("a status's value", "TOLLGATE_DENIED = 1,", "TOLLGATE_DENIED = 6,"),
        ("a removed constant", "#define TOLLGATE_MONTH 3", ""),
        ("a removed argument", "uint64_t retry_after_ns);", "void);"),
        (
            "an argument's type",
            "tollgate_strerror(int32_t status);",
            "tollgate_strerror(int64_t s);",
        ),
        ("a return type", "uint32_t tollgate_abi_version", "uint64_t tollgate_abi_version"),
        ("a removed function", "const char *tollgate_version(void);", ""),
        (
            "an inline function",
            "tollgate_charge_shared(uint64_t policy,",
            "tollgate_charge_shared(int policy,",
        ),
    ];
    for (index, (what, from, to)) in changes.into_iter().enumerate() {
        let changed = HEADER.replacen(from, to, 1);
        assert_ne!(changed, HEADER, "{what}");
        assert_ne!(asserts::program(&declarations(&changed)), unchanged, "{what}");
        assert!(compile(&changed, &index.to_string()).is_err(), "{what} compiles");
    }
}

/// The version script lists exactly the functions of the header.
#[test]
fn all_functions_have_a_version() {
    let script = include_str!("../../tollgate.map");
    let names = script.lines().filter_map(|line| line.trim().strip_suffix(';'));
    let named: Vec<&str> = names.filter(|name| name.starts_with("tollgate_")).collect();
    let unique: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(named.len(), unique.len(), "a name is listed twice");
    let declarations = declarations(HEADER);
    let functions = declarations.iter().filter_map(|declaration| match declaration {
        Declaration::Function { name, inline: false, .. } => Some(name.as_str()),
        _ => None,
    });
    assert_eq!(functions.collect::<BTreeSet<_>>(), unique);
}

/// The number in the SONAME is `TOLLGATE_ABI_VERSION`.
#[test]
fn the_soname_has_the_abi_version() {
    let name = format!("-soname,libtollgate.so.{}\"", crate::version::TOLLGATE_ABI_VERSION);
    assert!(include_str!("../../build.rs").contains(&name));
}
