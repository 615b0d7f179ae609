//! The lines of a log, with bounded memory per line.

use std::io::{self, BufRead};

/// The maximum number of bytes kept of a line. The rest of a longer line is skipped.
pub const MAX_LINE: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One line without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'l> {
    /// Its 1-based number.
    pub number: u64,
    /// Its bytes, at most [`MAX_LINE`].
    pub text: &'l [u8],
    /// Whether `text` is the whole line.
    pub whole: bool,
}

/// Reads lines that end in `\n` or `\r\n`. The last line needs no line end.
pub struct Lines<R> {
    input: R,
    count: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R) -> Self {
        Lines { input, count: 0, text: Vec::new() }
    }

    /// The number of lines read so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        let (mut whole, mut started) = (true, false);
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if available.is_empty() {
                break;
            }
            started = true;
            let end = memchr::memchr(b'\n', available);
            let content = &available[..end.unwrap_or(available.len())];
            let room = content.len().min(MAX_LINE - self.text.len());
            whole &= room == content.len();
            self.text.extend_from_slice(&content[..room]);
            let used = content.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !started {
            return Ok(None);
        }
        self.count += 1;
        let text = self.text.strip_suffix(b"\r").unwrap_or(&self.text);
        let text = match self.count {
            1 => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
            _ => text,
        };
        Ok(Some(Line { number: self.count, text, whole }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(bytes: &[u8], buffer: usize) -> Vec<(u64, Vec<u8>, bool)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, bytes));
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((line.number, line.text.to_vec(), line.whole));
        }
        found
    }

    #[test]
    fn lines_do_not_depend_on_the_buffer_size() {
        let text = b"\xef\xbb\xbfa\r\n\nb\rc\n\xef\xbb\xbfd";
        let expected: Vec<(u64, Vec<u8>, bool)> = [&b"a"[..], b"", b"b\rc", b"\xef\xbb\xbfd"]
            .iter()
            .zip(1..)
            .map(|(text, number)| (number, text.to_vec(), true))
            .collect();
        for buffer in 1..=text.len() {
            assert_eq!(lines(text, buffer), expected, "buffer of {buffer}");
        }
        assert!(lines(b"", 8).is_empty());
    }

    #[test]
    fn a_long_line_is_truncated_and_the_next_is_whole() {
        for (length, whole) in [(MAX_LINE, true), (MAX_LINE + 1, false), (3 * MAX_LINE, false)] {
            let mut text = vec![b'x'; length];
            text.extend(b"\nnext\n");
            let found = lines(&text, 1 << 16);
            assert_eq!((found[0].1.len(), found[0].2), (MAX_LINE, whole));
            assert_eq!(found[1], (2, b"next".to_vec(), true));
        }
    }
}
