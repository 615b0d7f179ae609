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
fn the_slowest_block_after_inserts_is_compared_with_rivals() {
    let output = run(&["--quick", "after-inserts"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for figure in ["the slowest block of 2,000 calls", "the mean of the first 100,000 calls"] {
        let row = |keys: &str| {
            let row = format!("{keys} text keys of 16 letters, {figure} about known keys");
            let line = text.lines().find(|line| line.starts_with(&row));
            let line = line.unwrap_or_else(|| panic!("no row {row}\n{text}"));
            assert!(line.contains(" governor ") || line.contains(" rate-net-bucket "), "{line}");
        };
        row("700,000");
        row("1,300,000");
        row("3 populations from 700,000 to 1,300,000");
    }
}

#[test]
fn a_wrong_argument_prints_the_usage() {
    for arguments in [&["nobody"][..], &["--keys"], &["--keys", "none"], &["--svg"], &["--quik"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"));
    }
}
