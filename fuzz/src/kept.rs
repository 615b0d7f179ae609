//! The kept inputs, and running them without the engine.

use crate::Reached;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a target does with an input.
pub type Run = fn(&[u8]) -> Reached;

/// Kept inputs are many enough to mean something, and few and short enough to be looked at.
const FEWEST: usize = 10;
const MOST: usize = 160;
const LONGEST: usize = 2_500;

/// The files of a target's corpus, in the order of their names.
pub fn inputs(target: &str) -> io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<io::Result<Vec<_>>>()?;
    files.sort_unstable();
    Ok(files)
}

/// Runs the files that the command line names, or the kept ones.
pub fn main(target: &str, run: Run) -> io::Result<()> {
    let named: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let files = if named.is_empty() { inputs(target)? } else { named };
    for file in &files {
        println!("{}: {:?}", file.display(), run(&fs::read(file)?));
    }
    Ok(())
}

/// Runs the kept files, which must reach all that is wanted between them.
///
/// # Panics
/// If they do not, if one of them breaks a law, or if they are too few, too many or too long.
pub fn test(target: &str, run: Run, wanted: &[&str]) {
    let files = inputs(target).expect("a corpus");
    assert!((FEWEST..=MOST).contains(&files.len()), "{} kept inputs", files.len());
    let mut reached = Reached::new();
    for file in &files {
        // Shown if the test fails: the last one is the one that did it.
        println!("{}", file.display());
        let input = fs::read(file).expect("a readable file");
        assert!(input.len() <= LONGEST, "{} bytes", input.len());
        reached.append(&mut run(&input));
    }
    let missed: Vec<_> = wanted.iter().filter(|name| !reached.contains(*name)).collect();
    assert!(missed.is_empty(), "no kept input reaches {missed:?}");
}
