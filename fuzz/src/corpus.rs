//! Runs the inputs of a corpus without the fuzzing engine.

use crate::Reached;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The function that runs a target on one input.
pub type Run = fn(&[u8]) -> Reached;

/// The minimum number of inputs in a corpus.
const MIN_INPUTS: usize = 10;
/// The maximum number of inputs in a corpus, so that it stays reviewable.
const MAX_INPUTS: usize = 160;
/// The maximum length of an input in bytes.
const MAX_INPUT_BYTES: usize = 2_500;

/// The files of the corpus of a target, sorted by name.
pub fn inputs(target: &str) -> io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<io::Result<Vec<_>>>()?;
    files.sort_unstable();
    Ok(files)
}

/// Runs the files named on the command line, or the whole corpus if none is named.
pub fn main(target: &str, run: Run) -> io::Result<()> {
    let named: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let files = if named.is_empty() { inputs(target)? } else { named };
    for file in &files {
        println!("{}: {:?}", file.display(), run(&fs::read(file)?));
    }
    Ok(())
}

/// Runs the whole corpus, which must reach every case.
///
/// # Panics
/// If a case is not reached, if an input violates a property, or if the corpus has too few, too
/// many or too long inputs.
pub fn test(target: &str, run: Run, cases: &[&str]) {
    let files = inputs(target).expect("a corpus");
    assert!(
        (MIN_INPUTS..=MAX_INPUTS).contains(&files.len()),
        "{} inputs in the corpus",
        files.len()
    );
    let mut reached = Reached::new();
    for file in &files {
        // Shown if the test fails: the last file caused the failure.
        println!("{}", file.display());
        let input = fs::read(file).expect("a readable file");
        assert!(input.len() <= MAX_INPUT_BYTES, "{} bytes", input.len());
        reached.append(&mut run(&input));
    }
    let missed: Vec<_> = cases.iter().filter(|name| !reached.contains(*name)).collect();
    assert!(missed.is_empty(), "no input of the corpus reaches {missed:?}");
}
