//! The input of a log: a file, standard input or memory, plain or gzip.

use super::LogError;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::PathBuf;

/// The first bytes of gzip data.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 1 << 18;

/// The source of a log.
#[derive(Clone, Debug)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// A log that the program generated.
    Memory { name: &'static str, bytes: Vec<u8> },
}

/// A log that is open for reading.
pub struct Input {
    /// Its name in messages.
    pub name: String,
    /// Its bytes, decompressed.
    pub reader: Box<dyn BufRead>,
    /// Whether it is compressed with gzip.
    pub gzip: bool,
}

impl Input {
    /// Opens a log. `bar` counts the bytes read from a file or standard input, before decompression.
    pub fn open(source: Source, bar: &ProgressBar) -> Result<Self, LogError> {
        match source {
            Source::Stdin => Input::detect("standard input".to_owned(), bar.wrap_read(io::stdin())),
            Source::Memory { name, bytes } => Input::detect(name.to_owned(), Cursor::new(bytes)),
            Source::File(path) => {
                let name = path.display().to_string();
                let fail = |error| LogError::Open { name: name.clone(), error };
                let file = File::open(&path).map_err(fail)?;
                let metadata = file.metadata().map_err(fail)?;
                if metadata.is_dir() {
                    return Err(LogError::Directory { name });
                }
                bar.set_length(metadata.len());
                Input::detect(name, bar.wrap_read(file))
            }
        }
    }

    fn detect(name: String, mut bytes: impl Read + 'static) -> Result<Self, LogError> {
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        let taken = bytes.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head);
        if let Err(error) = taken {
            return Err(LogError::Read { name, gzip: false, error });
        }
        let gzip = head == GZIP_MAGIC;
        let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(bytes));
        let reader: Box<dyn BufRead> = match gzip {
            true => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole))),
            false => Box::new(whole),
        };
        Ok(Input { name, reader, gzip })
    }
}
