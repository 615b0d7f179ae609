//! Helpers shared by the tests: they run the tool, create its input files, and contain the oracles.
//!
//! None of this uses the tool's own code.

// Each test uses only a part of this module.
#![allow(dead_code)]

pub mod civil;
pub mod oracle;
pub mod reservation_oracle;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A temporary folder, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let unique = RandomState::new().build_hasher().finish();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{unique:016x}"));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If this fails, the folder remains in the temporary folder of the build.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the tool with `input` on its standard input.
pub fn tool(arguments: &[&Path], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The write may fail: the tool does not read its input if it rejects its arguments.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked"), "{errors}");
    output
}

/// Generates a sample log.
pub fn sample(format: &str, seed: u64) -> Vec<u8> {
    let seed = seed.to_string();
    let arguments = ["sample", "--format", format, "--seed", &seed].map(Path::new);
    let output = tool(&arguments, b"");
    assert!(output.status.success());
    output.stdout
}

/// One row of the decisions file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub line: u64,
    pub time: String,
    pub verdict: String,
    pub policy: String,
    pub retry_after_ms: i64,
    /// Empty if no policy is a dry run.
    pub dry_run: String,
}

/// Replays a log and returns the decisions.
pub fn decisions(policies: &str, log: &Path, more: &[&str]) -> Vec<Row> {
    replayed(policies, log, more).0
}

/// Replays a log and returns the decisions and the summary.
pub fn replayed(policies: &str, log: &Path, more: &[&str]) -> (Vec<Row>, String) {
    let folder = Folder::new();
    let out = folder.path("decisions.csv");
    let mut arguments = vec![Path::new("--decisions"), &out];
    arguments.extend(more.iter().map(Path::new));
    let summary = replay_files(policies, log, &arguments);
    (rows(&std::fs::read_to_string(&out).unwrap()), summary)
}

/// Replays a log with these arguments, and returns the summary.
pub fn replay_files(policies: &str, log: &Path, more: &[&Path]) -> String {
    let folder = Folder::new();
    let policies = folder.file("policies.toml", policies);
    let mut arguments = vec![Path::new("replay"), Path::new("--policy"), &policies, log];
    arguments.extend(more);
    let output = tool(&arguments, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Parses a decisions file. Policy names must not need quotes.
pub fn rows(text: &str) -> Vec<Row> {
    const HEADER: &str = "line,time,verdict,policy,retry_after_ms";
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let has_dry_run = header.strip_prefix(HEADER).expect("a known header");
    assert!(["", ",dry_run"].contains(&has_dry_run), "{header}");
    let row = |line: &str| {
        let mut fields: Vec<&str> = line.split(',').collect();
        if has_dry_run.is_empty() {
            fields.push("");
        }
        let [line, time, verdict, policy, retry_after_ms, dry_run] = fields[..] else {
            panic!("{line}");
        };
        Row {
            line: line.parse().unwrap(),
            time: time.to_owned(),
            verdict: verdict.to_owned(),
            policy: policy.to_owned(),
            retry_after_ms: retry_after_ms.parse().unwrap(),
            dry_run: dry_run.to_owned(),
        }
    };
    lines.map(row).collect()
}

/// A file of the data folder: `TOLLGATE_DATA`, or else `shared/data` beside the workspace.
pub fn data(name: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("TOLLGATE_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: no {name} in the data folder (set TOLLGATE_DATA)");
    None
}
