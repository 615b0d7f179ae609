//! CSV. Without a header line, the columns are named by position: 1, 2, 3 and so on.
//!
//! The parser is fed line by line. A record that spans lines therefore gets the number of its first
//! line, and a record with an unclosed quote is given up when its text exceeds [`MAX_LINE`] bytes.

use super::csv_time::TimeColumns;
use super::lines::{Line, MAX_LINE};
use super::time::{self, TimeError};
use super::{CsvOptions, Parsed, Parser, Reason, Request, Unread, Values};
use crate::{address, value};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

/// The parser of a CSV log.
pub struct Csv {
    reader: Reader,
    options: CsvOptions,
    header: Header,
    record: Record,
}

/// The header of the log.
enum Header {
    /// No record was read yet.
    Unread,
    /// The columns are known.
    Known { names: Vec<String>, times: TimeColumns },
    /// The first record is not a header, so that no record can be read.
    Missing,
}

/// The current record.
#[derive(Default)]
struct Record {
    /// The number of the record's first line; `None` if no record is open.
    first_line: Option<u64>,
    /// The values of all fields, one after the other, in the first `text_len` bytes.
    text: Vec<u8>,
    text_len: usize,
    /// The ends of the values in `text`, in the first `ends_len` elements.
    ends: Vec<usize>,
    ends_len: usize,
}

/// The state of a record after one more line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Complete,
    Open,
    TooLong,
}

impl Csv {
    pub fn new(options: CsvOptions) -> Self {
        // Lines arrive without their line ends, so only the `\n` that `feed` adds ends a record.
        let reader = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
        Csv { reader, options, header: Header::Unread, record: Record::default() }
    }

    fn restart(&mut self) {
        self.reader.reset();
        self.record.first_line = None;
    }

    /// Takes the first record as the header, or names the columns by position.
    fn first(&mut self, line: u64) -> Parsed<'_> {
        let values = self.record.values();
        let columns = 0..self.record.ends_len;
        let names: Vec<String> = match self.options.no_header {
            true => columns.map(|index| (index + 1).to_string()).collect(),
            false => columns.map(|index| name(values.get(index))).collect(),
        };
        let times = TimeColumns::find(&self.options, &names);
        // A column that is named on the command line shows that this is the header.
        let is_named = self.options.time.is_some() || self.options.date.is_some();
        let is_sure = self.options.no_header || (is_named && times.is_ok());
        if !is_sure && looks_like_request(&names) {
            self.header = Header::Missing;
            let text = Unread::Values(self.record.values());
            return Parsed::Bad { line, text, reason: Reason::NoHeader };
        }
        match times {
            Err(missing) => Parsed::NoColumn { missing, columns: names },
            Ok(times) => {
                self.header = Header::Known { names, times };
                if self.options.no_header { self.request(line) } else { Parsed::Nothing }
            }
        }
    }

    fn request(&self, line: u64) -> Parsed<'_> {
        let Header::Known { names, times } = &self.header else { return Parsed::Nothing };
        let values = self.record.values();
        let bad = |reason| Parsed::Bad { line, text: Unread::Values(values), reason };
        let (found, first) = (self.record.ends_len, names.len());
        if found != first {
            let is_header = !self.options.no_header;
            return bad(Reason::FieldCount { found, first, is_header });
        }
        match times.read(&values) {
            Ok(unix_ns) => Parsed::Request(Request { line, unix_ns, names, values }),
            Err(reason) => bad(reason),
        }
    }
}

/// Writes the values of a record, and the start of a value whose quote is open.
pub fn written(values: &[&[u8]], open: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    if !values.is_empty() {
        let mut writer = ::csv::Writer::from_writer(&mut written);
        // Writing to memory does not fail.
        let _ = writer.write_record(values).and_then(|()| Ok(writer.flush()?));
        drop(writer);
        written.pop_if(|byte| *byte == b'\n');
    }
    if !open.is_empty() {
        let comma: &[u8] = if values.is_empty() { b"" } else { b"," };
        written.extend([comma, b"\"", open].concat());
    }
    written
}

fn name(value: &[u8]) -> String {
    String::from_utf8_lossy(value::trim(value)).into_owned()
}

/// Returns whether a first record has values of a request: a date or an address, or first a number.
fn looks_like_request(values: &[String]) -> bool {
    let is_value = |(index, value): (usize, &String)| match time::iso(value.as_bytes()) {
        Err(TimeError::Unreadable) => address::parse(value).is_some(),
        Err(TimeError::Number) => index == 0,
        _ => true,
    };
    values.iter().enumerate().any(is_value)
}

impl Parser for Csv {
    fn line<'l>(&'l mut self, line: Line<'l>) -> Parsed<'l> {
        let first_line = match self.record.first_line {
            Some(first_line) => first_line,
            None if line.whole && line.text.is_empty() => return Parsed::Nothing,
            None => {
                self.record.begin(line.number);
                line.number
            }
        };
        let progress = match line.whole {
            true => self.record.feed(&mut self.reader, line.text),
            false => Progress::TooLong,
        };
        match progress {
            Progress::Open => Parsed::Nothing,
            Progress::TooLong => {
                self.restart();
                let text = Unread::Line(line.text);
                Parsed::Bad { line: first_line, text, reason: Reason::TooLong }
            }
            Progress::Complete => {
                self.restart();
                match self.header {
                    Header::Unread => self.first(first_line),
                    _ => self.request(first_line),
                }
            }
        }
    }

    fn end(&mut self) -> Parsed<'_> {
        match self.record.first_line.take() {
            Some(line) => {
                let text = Unread::Values(self.record.values());
                Parsed::Bad { line, text, reason: Reason::OpenQuote }
            }
            None => Parsed::Nothing,
        }
    }
}

impl Record {
    fn begin(&mut self, line: u64) {
        self.first_line = Some(line);
        (self.text_len, self.ends_len) = (0, 0);
    }

    fn text(&self) -> &[u8] {
        &self.text[..self.text_len]
    }

    fn values(&self) -> Values<'_> {
        Values::Joined { text: self.text(), ends: &self.ends[..self.ends_len] }
    }

    /// Adds a line and a line end to the record.
    fn feed(&mut self, reader: &mut Reader, line: &[u8]) -> Progress {
        for mut input in [line, b"\n"] {
            // csv-core takes an empty input as the end of the log.
            while !input.is_empty() {
                let (result, read) = self.step(reader, input);
                input = &input[read..];
                match result {
                    ReadRecordResult::InputEmpty => {}
                    ReadRecordResult::OutputFull if self.text.len() < MAX_LINE => {
                        self.text.resize((2 * self.text.len()).clamp(1 << 10, MAX_LINE), 0);
                    }
                    ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_LINE => {
                        self.ends.resize((2 * self.ends.len()).clamp(1 << 5, MAX_LINE), 0);
                    }
                    ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                        return Progress::TooLong;
                    }
                    ReadRecordResult::Record | ReadRecordResult::End => return Progress::Complete,
                }
            }
        }
        Progress::Open
    }

    fn step(&mut self, reader: &mut Reader, input: &[u8]) -> (ReadRecordResult, usize) {
        let text = &mut self.text[self.text_len..];
        let ends = &mut self.ends[self.ends_len..];
        let (result, read, wrote, ended) = reader.read_record(input, text, ends);
        self.text_len += wrote;
        self.ends_len += ended;
        (result, read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests (line and values) and the reasons for unreadable lines, in order.
    fn read(text: &str, time_column: Option<&str>) -> Vec<Result<(u64, Vec<String>), Reason>> {
        let time = time_column.map(str::to_owned);
        let mut csv = Csv::new(CsvOptions { time, ..CsvOptions::default() });
        let mut found = Vec::new();
        let mut keep = |parsed: Parsed<'_>| match parsed {
            Parsed::Nothing => {}
            Parsed::Request(request) => {
                let values = (0..request.names.len())
                    .map(|index| String::from_utf8_lossy(request.values.get(index)).into_owned());
                found.push(Ok((request.line, values.collect())));
            }
            Parsed::Bad { reason, .. } => found.push(Err(reason)),
            Parsed::NoColumn { missing, .. } => panic!("{missing:?}"),
        };
        for (line, number) in text.lines().zip(1..) {
            keep(csv.line(Line { number, text: line.as_bytes(), whole: true }));
        }
        keep(csv.end());
        found
    }

    fn request(line: u64, values: [&str; 2]) -> Result<(u64, Vec<String>), Reason> {
        Ok((line, values.map(str::to_owned).to_vec()))
    }

    #[test]
    fn records_may_span_lines_and_contain_quotes() {
        let text =
            "t,a\n2020-01-01 00:00:00,\"x\n\ny \"\"z\"\"\"\n\n2020-01-01 00:00:01,5\" pipe\n";
        assert_eq!(
            read(text, None),
            [
                request(2, ["2020-01-01 00:00:00", "x\n\ny \"z\""]),
                request(6, ["2020-01-01 00:00:01", "5\" pipe"]),
            ]
        );
    }

    #[test]
    fn any_column_may_hold_the_time() {
        let found =
            read("a, t \n1,2020-01-01T00:00:00Z\n2\n3,x\n4,1960-01-01T00:00:00Z\n", Some("t"));
        assert_eq!(found[0], request(2, ["1", "2020-01-01T00:00:00Z"]));
        assert_eq!(found[1], Err(Reason::FieldCount { found: 1, first: 2, is_header: true }));
        assert_eq!(found[2].as_ref().unwrap_err().to_string(), "the time \"x\" cannot be read");
        assert!(found[3].as_ref().unwrap_err().to_string().ends_with("is before 1970"));
    }

    #[test]
    fn an_unclosed_quote_is_bounded_and_reported() {
        assert_eq!(read("t,a\n2020-01-01 00:00:00,\"x\ny\n", None), [Err(Reason::OpenQuote)]);
        let line = "y".repeat(1 << 18);
        let text = format!(
            "t,a\n2020-01-01 00:00:00,\"{}2020-01-01 00:00:01,1\n",
            format!("{line}\n").repeat(4)
        );
        let found = read(&text, None);
        assert_eq!(found, [Err(Reason::TooLong), request(6, ["2020-01-01 00:00:01", "1"])]);
    }
}
