//! The README shows the program that is compiled and run against an installed library.

#[test]
fn the_readme_s_program_is_the_one_that_is_tested() {
    let readme = include_str!("../../README.md");
    let program = include_str!("../../examples/c/check.c");
    assert!(readme.contains(&format!("```c\n{program}```")), "README.md shows another program");
}
