//! Policy files from bytes and from the file system.

use crate::error::{Location, MAX_BYTES, PolicyFileError, Position, Problem};
use crate::file::PolicyFile;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

impl PolicyFile {
    /// Checks the bytes of a policy file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and text that is not UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PolicyFileError> {
        if bytes.len() > MAX_BYTES {
            return Err(PolicyFileError::of_file(Problem::TooLong));
        }
        let error = match str::from_utf8(bytes) {
            Ok(text) => return Self::parse(text),
            Err(error) => error,
        };
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let position = Some(Position::after(&before));
        let location = Location { position, ..Location::default() };
        Err(PolicyFileError { location, problem: Box::new(Problem::NotText) })
    }

    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and a file that cannot be read or is not UTF-8. The error has the path.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PolicyFileError> {
        let path = path.as_ref();
        let parsed = match read_bytes(path) {
            Ok(bytes) => Self::from_bytes(&bytes),
            Err(error) => Err(PolicyFileError::of_file(Problem::Read(error))),
        };
        parsed.map_err(|error| error.in_file(path))
    }
}

/// Reads a file, but no more than shows that it is too long.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
