//! Reads a log request by request: Common or Combined Log Format, or CSV with a header line.
//!
//! The first line that can be read in one of these formats decides the format. Lines that cannot be
//! read are counted, and the first few are kept for messages. No other line is kept in memory.

mod clf;
mod csv;
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
use lines::{Line, Lines};

/// A format of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Common or Combined Log Format.
    Clf,
    /// CSV with a header line.
    Csv,
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

impl Request<'_> {
    /// The start of its values, for messages.
    fn excerpt(&self) -> String {
        let values = (0..self.names.len()).map(|index| self.values.get(index));
        text::excerpt(&values.collect::<Vec<_>>().join(&b' '))
    }
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
    Bad { line: u64, text: &'l [u8], reason: Reason },
    /// A header without the time column.
    NoTimeColumn { column: String, columns: Vec<String> },
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
    fn new(format: Format, time_column: Option<&str>) -> Self {
        let parser: Box<dyn Parser> = match format {
            Format::Clf => Box::new(Clf::default()),
            Format::Csv => Box::new(Csv::new(time_column)),
        };
        Candidate { format, parser, unparsable: Unparsable::default() }
    }
}

/// Reads a whole log into `sink`.
///
/// A time column implies CSV. Without a format, the first readable line decides the format.
pub fn read<S, E>(
    input: Input,
    format: Option<Format>,
    time_column: Option<&str>,
    sink: &mut S,
) -> Result<Unparsable, E>
where
    S: Sink,
    E: From<LogError> + From<S::Error>,
{
    let formats: &[Format] = match (format, time_column) {
        (Some(Format::Clf), _) => &[Format::Clf],
        (Some(Format::Csv), _) | (None, Some(_)) => &[Format::Csv],
        (None, None) => &[Format::Clf, Format::Csv],
    };
    let mut candidates: Vec<Candidate> =
        formats.iter().map(|format| Candidate::new(*format, time_column)).collect();
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
            unparsable.add(line, || text::excerpt(text), reason);
            Ok(false)
        }
        Parsed::NoTimeColumn { column, columns } => {
            Err(LogError::NoTimeColumn { name: name.to_owned(), column, columns }.into())
        }
        Parsed::Request(request) => {
            if let Err(reason) = sink.request(&request)? {
                unparsable.add(request.line, || request.excerpt(), reason);
                return Ok(false);
            }
            Ok(true)
        }
    }
}
