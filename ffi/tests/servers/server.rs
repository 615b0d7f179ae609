//! A running server of `examples/servers`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The limits of a server.
#[derive(Clone, Copy)]
pub struct Limits {
    pub address: u64,
    pub user: u64,
    /// Per day; a response costs [`TOKENS_PER_RESPONSE`].
    pub tokens: u64,
    pub window_ms: u64,
}

pub const TOKENS_PER_RESPONSE: u64 = 512;

/// A server process. Dropping it kills the process.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(program: &Path, limits: Limits) -> Self {
        let Limits { address, user, tokens, window_ms } = limits;
        let numbers = [0, address, user, tokens, window_ms].map(|number| number.to_string());
        let mut process = Command::new(program)
            .args(numbers)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("{}: {why}", program.display()));
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("http://").and_then(|address| address.parse().ok());
        Self { process, address: address.unwrap_or_else(|| panic!("it printed {line:?}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
