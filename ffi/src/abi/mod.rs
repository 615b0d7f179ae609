//! What programs have compiled into themselves does not change unnoticed: every constant, struct and
//! function is written down in `ffi/abi.txt`, and, for C compilers to hold a header to it, in
//! `ffi/tests/layout.c`. `TOLLGATE_BLESS=1` writes both; `ffi/ABI.md` says what may change when.

mod asserts;
mod header;
mod layout;

use header::{Item, items};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const HEADER: &str = include_str!("../../../include/tollgate.h");

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The ABI in words, a line for each thing.
fn described(items: &[Item]) -> String {
    let mut text = String::from(
        "# The ABI on 64-bit systems, made from the code: TOLLGATE_BLESS=1 cargo test -p tollgate-ffi abi\n",
    );
    for item in items {
        let _ = match item {
            Item::Constant { name, value } => writeln!(text, "constant {name} {value}"),
            Item::Status { name, value } => writeln!(text, "status {name} {value}"),
            Item::Opaque { name } => writeln!(text, "opaque {name}"),
            Item::Function { prototype, inline: false, .. } => {
                writeln!(text, "function {prototype}")
            }
            Item::Function { prototype, .. } => writeln!(text, "inline {prototype}"),
            Item::Struct { name, fields } => {
                let layout = layout::of(name);
                let _ = writeln!(text, "struct {name} {} aligned {}", layout.size, layout.align);
                assert_eq!(fields.len(), layout.fields.len(), "{name} as C and as Rust has it");
                for (field, placed) in fields.iter().zip(&layout.fields) {
                    let c = (field.name.as_str(), field.kind.as_str(), field.length);
                    assert_eq!(c, (placed.name, placed.kind, placed.length), "a field of {name}");
                    let _ = writeln!(text, "    {} {field}", placed.offset);
                }
                Ok(())
            }
        };
    }
    text
}

/// Holds a committed file to what it should be, or writes it.
fn hold(name: &str, made: &str) {
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(file(name), made).expect("a folder to write to");
    }
    let kept = std::fs::read_to_string(file(name)).unwrap_or_default();
    let old = kept.lines().filter(|line| !made.lines().any(|other| other == *line));
    let new = made.lines().filter(|line| !kept.lines().any(|other| other == *line));
    let changes: Vec<String> =
        old.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect();
    assert!(
        kept == made,
        "the ABI has changed ({name}); see ffi/ABI.md for what may, then TOLLGATE_BLESS=1:\n{}",
        changes.join("\n")
    );
}

/// Whether a C compiler finds a header to be what `layout.c` says.
fn compiles(header: &str, name: &str) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("tollgate-abi-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder to write to");
    std::fs::write(folder.join("tollgate.h"), header).expect("a file to write to");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let done = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(&folder)
        .arg(file("tests/layout.c"))
        .output()
        .expect("a C compiler");
    std::fs::remove_dir_all(&folder).expect("still there");
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn the_abi_is_as_written_down() {
    let items = items(HEADER);
    hold("abi.txt", &described(&items));
    hold("tests/layout.c", &asserts::program(&items));
    assert_eq!(compiles(HEADER, "now"), Ok(()));
}

/// Each change that breaks programs is seen in the text, and by the C compiler.
#[test]
fn a_change_is_noticed() {
    let kept = asserts::program(&items(HEADER));
    let number = "    uint64_t unix_ns;\n";
    let changes = [
        ("a field's type", "uint64_t cost;", "int64_t cost;"),
        ("a field's size", "uint32_t key_kind;", "uint64_t key_kind;"),
        ("a field more", number, "    uint64_t unix_ns;\n    uint64_t more;\n"),
        ("a field's name", "uint64_t unix_ns;", "uint64_t wall_ns;"),
        ("a longer array", "uint64_t reserved[2];", "uint64_t reserved[3];"),
        ("another constant", "TOLLGATE_KEY_IP 2", "TOLLGATE_KEY_IP 5"),
        ("another status", "TOLLGATE_DENIED = 1,", "TOLLGATE_DENIED = 6,"),
        ("a constant less", "#define TOLLGATE_MONTH 3", ""),
        ("an argument less", "uint64_t retry_after_ns);", "void);"),
        (
            "an argument's type",
            "tollgate_strerror(int32_t status);",
            "tollgate_strerror(int64_t s);",
        ),
        ("another answer", "uint32_t tollgate_abi_version", "uint64_t tollgate_abi_version"),
        ("a function less", "const char *tollgate_version(void);", ""),
        (
            "another helper",
            "tollgate_charge_shared(uint64_t policy,",
            "tollgate_charge_shared(int policy,",
        ),
    ];
    for (place, (what, from, to)) in changes.into_iter().enumerate() {
        let changed = HEADER.replacen(from, to, 1);
        assert_ne!(changed, HEADER, "{what}");
        assert_ne!(asserts::program(&items(&changed)), kept, "{what}");
        assert!(compiles(&changed, &place.to_string()).is_err(), "{what} compiles");
    }
}

/// The version script names every function of the header, and no other.
#[test]
fn all_functions_have_a_version() {
    let script = include_str!("../../tollgate.map");
    let names = script.lines().filter_map(|line| line.trim().strip_suffix(';'));
    let named: Vec<&str> = names.filter(|name| name.starts_with("tollgate_")).collect();
    let unique: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(named.len(), unique.len(), "a name stands twice");
    let items = items(HEADER);
    let functions = items.iter().filter_map(|item| match item {
        Item::Function { name, inline: false, .. } => Some(name.as_str()),
        _ => None,
    });
    assert_eq!(functions.collect::<BTreeSet<_>>(), unique);
}

/// The number in the shared library's name is the one that the header tells.
#[test]
fn the_library_s_name_has_the_abi_s_number() {
    let name = format!("-soname,libtollgate.so.{}\"", crate::version::TOLLGATE_ABI_VERSION);
    assert!(include_str!("../../build.rs").contains(&name));
}
