//! The header is what the code says.

use std::path::Path;

/// Compares `include/tollgate.h` with what the code would make; `TOLLGATE_BLESS=1` writes it.
#[test]
fn the_header_is_current() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).expect("a good file");
    let bindings = cbindgen::Builder::new()
        .with_crate(here)
        .with_config(config)
        .generate()
        .expect("code that C can call");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).expect("text").replace(SAFETY, "");
    let path = here.join("../include/tollgate.h");
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&path, &header).expect("a folder to write to");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == header, "include/tollgate.h is old: TOLLGATE_BLESS=1 writes it anew");
}

/// Rust's promise of an unsafe function, which is what every C function asks for.
const SAFETY: &str = "//\n// # Safety\n// See the introduction.\n";
