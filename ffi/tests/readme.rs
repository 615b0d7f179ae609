//! The C programs in the documentation are those that are tested against an installed library.

fn assert_shows(page: &str, text: &str, program: &str) {
    assert!(text.contains(&format!("```c\n{program}```")), "{page} shows another program");
}

#[test]
fn programs_in_the_documentation_are_tested() {
    let (readme, guide) = (include_str!("../../README.md"), include_str!("../../docs/c.md"));
    assert_shows("README.md", readme, include_str!("../../examples/c/quickstart.c"));
    assert_shows("docs/c.md", guide, include_str!("../../examples/c/check.c"));
}
