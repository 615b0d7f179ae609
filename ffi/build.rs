//! Sets the SONAME of the shared library. The number in it is the ABI version, which changes only when
//! programs must be rebuilt.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let on_elf =
        std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux" || os == "freebsd");
    if on_elf {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtollgate.so.0");
    }
}
