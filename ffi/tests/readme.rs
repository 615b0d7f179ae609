//! The C program in the README is `examples/c/check.c`, which is tested against an installed
//! library.

#[test]
fn the_program_in_the_readme_is_tested() {
    let readme = include_str!("../../README.md");
    let program = include_str!("../../examples/c/check.c");
    assert!(readme.contains(&format!("```c\n{program}```")), "README.md has a different program");
}
