//! Runs the program `growth` with few keys.

use std::process::Command;

#[test]
fn all_peers_are_reported() {
    let program = env!("CARGO_BIN_EXE_growth");
    let output = Command::new(program).args(["20_000", "2"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in tollgate_peers::peers::GROWING {
        // The rows of the main table and of both tables of worst calls.
        let rows = text.lines().filter(|line| line.split_whitespace().next() == Some(name));
        let cells: Vec<usize> = rows.map(|row| row.split_whitespace().count()).collect();
        assert!(cells.starts_with(&[12, 5, 5]), "{name}: {cells:?}\n{text}");
    }
}

#[test]
fn all_peers_are_reported_under_load() {
    let program = env!("CARGO_BIN_EXE_growth");
    let output = Command::new(program).args(["load", "2_000", "1"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in tollgate_peers::peers::GROWING {
        // The rows of the three tables: known keys, known keys with maintained limiters, and new keys.
        let rows = text.lines().filter(|line| line.split_whitespace().next() == Some(name));
        let cells: Vec<usize> = rows.map(|row| row.split_whitespace().count()).collect();
        assert!(cells.starts_with(&[9, 9, 9]), "{name}: {cells:?}\n{text}");
    }
}

#[test]
fn a_wrong_argument_prints_the_usage() {
    for arguments in [&["0"][..], &["many"], &["1", "2", "3", "4"], &["--one-peer", "nobody", "1"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_growth")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"));
    }
}
