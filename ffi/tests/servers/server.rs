//! A running server of `examples/servers`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The limits of a server.
#[derive(Clone, Copy)]
pub struct Limits {
    pub per_address: u64,
    pub per_user: u64,
    /// Per day, for each user or address; a response costs [`TOKENS_PER_RESPONSE`].
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
        let Limits { per_address, per_user, tokens, window_ms } = limits;
        let any_port = 0;
        let numbers = [any_port, per_address, per_user, tokens, window_ms];
        let mut process = Command::new(program)
            .args(numbers.map(|number| number.to_string()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("{}: {why}", program.display()));
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("UTF-8 output");
        let address = line.trim().strip_prefix("http://").and_then(|address| address.parse().ok());
        Self {
            process,
            address: address.unwrap_or_else(|| panic!("no address in the output: {line:?}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
