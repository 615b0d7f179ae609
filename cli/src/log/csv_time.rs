//! The time of a CSV record: in one column, or in a column for the date and one for the time of day.

use super::time::{self, TimeError};
use super::{CsvOptions, Reason, Values};
use crate::{text, value};
use std::time::Duration;

/// The columns that hold the time of each record, and how to read them.
#[derive(Debug)]
pub struct TimeColumns {
    /// The column of the time.
    time: usize,
    /// The columns of the date and of the time of day, if the header has both.
    pair: Option<Pair>,
    /// The unit of times that are numbers; `None` reads dates with times.
    unit: Option<Duration>,
    /// Whether a date alone is midnight.
    midnight: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    date: usize,
    clock: usize,
}

/// A column of an option that the header lacks.
#[derive(Debug)]
pub struct MissingColumn {
    /// The option.
    pub option: &'static str,
    /// The name of the column.
    pub column: String,
}

impl TimeColumns {
    /// Finds the columns among the names of the header.
    pub fn find(options: &CsvOptions, names: &[String]) -> Result<Self, MissingColumn> {
        let named = |option, column: &str| {
            let found = names.iter().position(|name| name == column);
            found.ok_or_else(|| MissingColumn { option, column: column.to_owned() })
        };
        let called = |title: &str| names.iter().position(|name| name.eq_ignore_ascii_case(title));
        let chosen = options.time.as_deref().map(|column| named("--time", column)).transpose()?;
        let (time, pair) = match &options.date {
            Some(date) => {
                let date = named("--date", date)?;
                let clock = match chosen.or_else(|| called("time")) {
                    Some(clock) => clock,
                    None => named("--time", "time")?,
                };
                (clock, Some(Pair { date, clock }))
            }
            None => {
                let time = chosen.unwrap_or(0);
                let pair = called("date").zip(called("time"));
                let pair = pair.filter(|(date, clock)| [*date, *clock].contains(&time));
                (time, pair.map(|(date, clock)| Pair { date, clock }))
            }
        };
        let unit = options.time_unit.map(super::TimeUnit::length);
        Ok(TimeColumns { time, pair, unit, midnight: options.midnight })
    }

    /// Reads the time of a record, in nanoseconds since 1970.
    pub fn read(&self, values: &Values<'_>) -> Result<u64, Reason> {
        let value = value::trim(values.get(self.time));
        let whole = match self.unit {
            Some(unit) => time::number(value, unit),
            None => time::iso(value),
        };
        if self.unit.is_none()
            && let Some(joined) = self.pair.and_then(|pair| pair.joined(values, whole))
        {
            let unix_ns = time::iso(joined.as_bytes());
            return unix_ns.map_err(|error| reason(joined.as_bytes(), error));
        }
        match whole {
            Err(TimeError::DateOnly) if self.midnight => time::midnight(value),
            whole => whole,
        }
        .map_err(|error| reason(value, error))
    }
}

impl Pair {
    /// The date and the time of day in one text, if the time column has no whole time.
    ///
    /// A date column may have the time 00:00:00 in each record, because a database exported it so. If
    /// the other column has a time of day, that is the time.
    fn joined(self, values: &Values<'_>, whole: Result<u64, TimeError>) -> Option<String> {
        let [date, clock] = [self.date, self.clock].map(|column| value::trim(values.get(column)));
        // Without a colon it may be any number, such as what the request took.
        if !clock.contains(&b':') || matches!(whole, Err(TimeError::Early | TimeError::Late)) {
            return None;
        }
        let clock = String::from_utf8_lossy(clock);
        let midnight = time::date_of_midnight(date);
        match midnight {
            Some((date, offset)) => Some(format!("{date} {clock}{offset}")),
            None if whole.is_ok() => None,
            None => Some(format!("{} {clock}", String::from_utf8_lossy(date))),
        }
    }
}

fn reason(value: &[u8], error: TimeError) -> Reason {
    Reason::Time { value: text::excerpt(value), error }
}
