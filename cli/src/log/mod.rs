//! Reads a log request by request: Common or Combined Log Format, or CSV.
//!
//! The first line that can be read in one of these formats decides the format. Lines that cannot be
//! read are counted, and the first few are kept for messages. No other line is kept in memory.

mod clf;
mod csv;
mod csv_time;
mod error;
mod input;
mod lines;
pub mod time;

pub use error::{LogError, Reason, Unparsable};
pub use input::{Input, Source};
pub use lines::MAX_LINE;

use crate::text;
use clf::Clf;
use csv::Csv;
use csv_time::MissingColumn;
use lines::{Line, Lines};
use std::time::Duration;

/// A format of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Common or Combined Log Format.
    Clf,
    /// CSV, with or without a header line.
    Csv,
}

/// How to read a log.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its format; `None` detects it.
    pub format: Option<Format>,
    /// How to read it if it is CSV.
    pub csv: CsvOptions,
}

/// How to read a CSV log.
#[derive(Clone, Debug, Default)]
pub struct CsvOptions {
    /// The column of the time; `None` is the first one.
    pub time: Option<String>,
    /// The column of the date, if the time column has only a time of day.
    pub date: Option<String>,
    /// The unit of times that are numbers.
    pub time_unit: Option<TimeUnit>,
    /// Whether a date without a time is midnight.
    pub midnight: bool,
    /// Whether the first line is a request instead of a header.
    pub no_header: bool,
}

impl CsvOptions {
    /// The first option that is set, as it is written on the command line.
    pub fn first_set(&self) -> Option<&'static str> {
        let options = [
            ("--time", self.time.is_some()),
            ("--date", self.date.is_some()),
            ("--time-unit", self.time_unit.is_some()),
            ("--midnight", self.midnight),
            ("--no-header", self.no_header),
        ];
        options.into_iter().find(|(_, is_set)| *is_set).map(|(option, _)| option)
    }
}

/// A unit of times that are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl TimeUnit {
    /// Its length.
    fn length(self) -> Duration {
        match self {
            TimeUnit::S => Duration::from_secs(1),
            TimeUnit::Ms => Duration::from_millis(1),
            TimeUnit::Us => Duration::from_micros(1),
            TimeUnit::Ns => Duration::from_nanos(1),
        }
    }
}

/// One request of a log.
#[derive(Clone, Copy, Debug)]
pub struct Request<'l> {
    /// The 1-based number of its line; of its first line if it spans several.
    pub line: u64,
    /// Its time, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// The names of its fields.
    pub names: &'l [String],
    /// The values of its fields, in the order of the names.
    pub values: Values<'l>,
}

/// The values of a request's fields.
#[derive(Clone, Copy, Debug)]
pub enum Values<'l> {
    /// One slice for each value.
    Slices([&'l [u8]; clf::FIELDS.len()]),
    /// All values in one text; `ends` holds the end of each value.
    Joined { text: &'l [u8], ends: &'l [usize] },
}

impl<'l> Values<'l> {
    /// The value of the field with this index; empty if there is none.
    pub fn get(&self, index: usize) -> &'l [u8] {
        match self {
            Values::Slices(values) => values.get(index).copied().unwrap_or_default(),
            Values::Joined { text, ends } => {
                let start = index.checked_sub(1).and_then(|before| ends.get(before)).copied();
                let end = ends.get(index).copied().unwrap_or_default();
                text.get(start.unwrap_or(0)..end).unwrap_or_default()
            }
        }
    }

    /// The start of the values, for messages. Those of CSV are written as CSV.
    fn excerpt(&self) -> String {
        match self {
            Values::Slices(values) => text::excerpt(&values.join(&b' ')),
            Values::Joined { text, ends } => {
                let values: Vec<&[u8]> = (0..ends.len()).map(|index| self.get(index)).collect();
                let open = text.get(ends.last().copied().unwrap_or(0)..).unwrap_or_default();
                text::excerpt(&csv::written(&values, open))
            }
        }
    }
}

/// The text of an unreadable line, for a message.
#[derive(Clone, Copy)]
enum Unread<'l> {
    Line(&'l [u8]),
    Values(Values<'l>),
}

impl Unread<'_> {
    fn excerpt(&self) -> String {
        match self {
            Unread::Line(text) => text::excerpt(text),
            Unread::Values(values) => values.excerpt(),
        }
    }
}

/// A receiver of requests.
pub trait Sink {
    /// An error that ends the reading.
    type Error;

    /// Takes one request, or returns why its line cannot be used.
    fn request(&mut self, request: &Request<'_>) -> Result<Result<(), Reason>, Self::Error>;
}

/// The result of parsing a line.
enum Parsed<'l> {
    /// A request that ends with this line.
    Request(Request<'l>),
    /// No request: a header, an empty line, or a part of a longer record.
    Nothing,
    /// An unreadable line, or an unreadable record that starts at this line.
    Bad { line: u64, text: Unread<'l>, reason: Reason },
    /// A header without a column of an option.
    NoColumn { missing: MissingColumn, columns: Vec<String> },
}

trait Parser {
    fn line<'l>(&'l mut self, line: Line<'l>) -> Parsed<'l>;

    /// Parses what is left at the end of the log.
    fn end(&mut self) -> Parsed<'_>;
}

/// A possible format of the log.
struct Candidate {
    format: Format,
    parser: Box<dyn Parser>,
    unparsable: Unparsable,
}

impl Candidate {
    fn new(format: Format, options: &Options) -> Self {
        let parser: Box<dyn Parser> = match format {
            Format::Clf => Box::new(Clf::default()),
            Format::Csv => Box::new(Csv::new(options.csv.clone())),
        };
        Candidate { format, parser, unparsable: Unparsable::default() }
    }
}

/// Reads a whole log into `sink`.
///
/// An option for CSV implies CSV. Otherwise, without a format, the first readable line decides the format.
pub fn read<S, E>(input: Input, options: &Options, sink: &mut S) -> Result<Unparsable, E>
where
    S: Sink,
    E: From<LogError> + From<S::Error>,
{
    let formats: &[Format] = match (options.format, options.csv.first_set()) {
        (Some(Format::Clf), _) => &[Format::Clf],
        (Some(Format::Csv), _) | (None, Some(_)) => &[Format::Csv],
        (None, None) => &[Format::Clf, Format::Csv],
    };
    let mut candidates: Vec<Candidate> =
        formats.iter().map(|format| Candidate::new(*format, options)).collect();
    let Input { name, reader, gzip } = input;
    let failed = |error| LogError::Read { name: name.clone(), gzip, error };
    let mut lines = Lines::new(reader);
    let mut requests = 0_u64;
    while let Some(line) = lines.next().map_err(failed)? {
        let mut matched = None;
        for (index, candidate) in candidates.iter_mut().enumerate() {
            let parsed = candidate.parser.line(line);
            if take::<S, E>(parsed, &mut candidate.unparsable, sink, &name)? {
                matched = Some(index);
                requests += 1;
                break;
            }
        }
        if let Some(index) = matched.filter(|_| candidates.len() > 1) {
            candidates = vec![candidates.swap_remove(index)];
        }
    }
    for candidate in &mut candidates {
        take::<S, E>(candidate.parser.end(), &mut candidate.unparsable, sink, &name)?;
    }
    match candidates.pop() {
        Some(last) if requests > 0 => Ok(last.unparsable),
        _ if lines.count() == 0 => Err(LogError::Empty { name }.into()),
        last => {
            candidates.extend(last);
            let tried = candidates.into_iter().map(|one| (one.format, one.unparsable)).collect();
            Err(LogError::NothingParsed { name, tried }.into())
        }
    }
}

/// Passes a request to the sink, or counts an unreadable line. Returns whether the sink took a request.
fn take<S, E>(
    parsed: Parsed<'_>,
    unparsable: &mut Unparsable,
    sink: &mut S,
    name: &str,
) -> Result<bool, E>
where
    S: Sink,
    E: From<LogError> + From<S::Error>,
{
    match parsed {
        Parsed::Nothing => Ok(false),
        Parsed::Bad { line, text, reason } => {
            unparsable.add(line, || text.excerpt(), reason);
            Ok(false)
        }
        Parsed::NoColumn { missing: MissingColumn { option, column }, columns } => {
            Err(LogError::NoColumn { name: name.to_owned(), option, column, columns }.into())
        }
        Parsed::Request(request) => {
            if let Err(reason) = sink.request(&request)? {
                unparsable.add(request.line, || request.values.excerpt(), reason);
                return Ok(false);
            }
            Ok(true)
        }
    }
}
