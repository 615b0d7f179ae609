//! Runs each peer in a process of its own, all of them in turn, several times.

use crate::figures::Figures;
use std::env;
use std::io;
use std::process::{Command, Stdio};

/// The first argument of a child process; the peer's name and the program's own arguments follow.
/// It answers with one line: [`Figures::to_line`].
pub const CHILD: &str = "--one-peer";

/// What came out of all rounds.
#[derive(Debug)]
pub struct Rounds {
    /// The name of each peer and its figures, one a round.
    pub peers: Vec<(&'static str, Vec<Figures>)>,
}

impl Rounds {
    /// Runs the peers of these names. A new process each time gives every peer an allocator that
    /// nobody has used and memory that is its own to count; taking turns spreads what else the
    /// machine does over all.
    ///
    /// # Errors
    /// If a child cannot be started, fails, or answers with something else.
    pub fn run(names: &[&'static str], rounds: usize, arguments: &[String]) -> io::Result<Rounds> {
        let mut peers: Vec<_> = names.iter().map(|name| (*name, Vec::new())).collect();
        for round in 1..=rounds {
            for (name, figures) in &mut peers {
                eprintln!("round {round} of {rounds}: {name}");
                figures.push(child(name, arguments)?);
            }
        }
        Ok(Rounds { peers })
    }

    /// Each peer's name with the medians of its figures.
    pub fn medians(&self) -> impl Iterator<Item = (&'static str, Figures)> {
        self.peers.iter().map(|(name, figures)| (*name, Figures::medians(figures)))
    }
}

fn child(name: &str, arguments: &[String]) -> io::Result<Figures> {
    let output = Command::new(env::current_exe()?)
        .arg(CHILD)
        .arg(name)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{name}: {}", output.status)));
    }
    Figures::parse(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| io::Error::other(format!("{name}: no figures in its answer")))
}
