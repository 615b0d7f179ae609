//! Runs the program `decisions`.

use std::fs;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_decisions")).args(arguments).output().unwrap()
}

#[test]
fn a_scenario_is_reported_in_all_formats() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let (markdown, svg) = (format!("{folder}/decisions.md"), format!("{folder}/decisions.svg"));
    let output =
        run(&["--quick", "exact", "layers", "disjoint", "--markdown", &markdown, "--svg", &svg]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let markdown = fs::read_to_string(markdown).unwrap();
    let svg = fs::read_to_string(svg).unwrap();
    for text in [&text, &markdown] {
        assert!(
            text.contains("1 text key of 16 letters in each of three layers, one call")
                && text.contains("governor")
        );
        assert!(text.contains("<= 0.6") && text.contains(">= 1.9"), "{text}");
    }
    assert!(svg.starts_with("<svg") && svg.contains("1,000 text keys"), "{svg}");
    // The chart omits scenarios without rivals.
    assert!(svg.contains("three layers") && !svg.contains("quarters"), "{svg}");
}

#[test]
fn a_wrong_argument_prints_the_usage() {
    for arguments in [&["nobody"][..], &["--keys"], &["--keys", "none"], &["--svg"], &["--quik"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"));
    }
}
