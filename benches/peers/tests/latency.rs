//! The program as it is run, on few keys.

use std::process::Command;

#[test]
fn all_peers_are_reported_twice() {
    let program = env!("CARGO_BIN_EXE_latency");
    let output = Command::new(program).args(["2_000", "1"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in tollgate_peers::peers::GROWING {
        let rows = text.lines().filter(|line| line.split_whitespace().next() == Some(name));
        let cells: Vec<usize> = rows.map(|row| row.split_whitespace().count()).collect();
        assert_eq!(cells, [9, 9], "{name}: {text}");
    }
}
