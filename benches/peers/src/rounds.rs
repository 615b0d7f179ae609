//! Measurements in child processes: each peer in a process of its own, in several rounds.

use crate::figures::Figures;
use std::env;
use std::io;
use std::process::{Command, Stdio};

/// The first argument of a child process, before the peer's name and the arguments of the measurement.
/// The child prints one line: [`Figures::to_line`].
pub const CHILD: &str = "--one-peer";

/// The figures of all rounds. In each round, each peer runs once.
#[derive(Debug)]
pub struct Rounds {
    /// For each peer, its name and its figures in each round.
    pub peers: Vec<(&'static str, Vec<Figures>)>,
}

impl Rounds {
    /// Runs the peers of these names. Each run is a new process: its allocator is fresh, and its memory
    /// figures are those of one peer alone. The peers alternate, so that other load on the machine
    /// affects all of them.
    ///
    /// # Errors
    /// If a child process cannot be started, fails, or prints no figures.
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

    /// The name and the median figures of each peer.
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
        .ok_or_else(|| io::Error::other(format!("{name}: no figures in its output")))
}
