//! Reads typed values from a table of the policy file.

use super::{
    Absent, CostSpec, DurationSpec, FieldKey, Interval, KeySpec, PolicyFileError, PolicySpec,
    Problem, Rate, line_of,
};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;
use tollgate::{ConfigError, MAX_LIMIT, Period};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// The path and text of the file, for error messages.
pub struct FileText<'t> {
    pub path: &'t Path,
    pub text: &'t str,
}

impl FileText<'_> {
    pub fn error(
        &self,
        offset: Option<usize>,
        policy: Option<String>,
        problem: Problem,
    ) -> PolicyFileError {
        let line = offset.map(|offset| line_of(self.text.as_bytes(), offset));
        PolicyFileError { path: self.path.to_owned(), line, policy, problem: Box::new(problem) }
    }
}

/// The entries of one table: a policy, the top level of the file, or the duration.
pub struct Entries<'t> {
    file: &'t FileText<'t>,
    start: usize,
    table: &'t DeTable<'t>,
}

type Read<T> = Result<T, PolicyFileError>;

impl<'t> Entries<'t> {
    pub fn new(file: &'t FileText<'t>, start: usize, table: &'t DeTable<'t>) -> Self {
        Entries { file, start, table }
    }

    /// Creates an error at this entry, or at the heading of the table if the entry is missing.
    pub fn error(&self, entry: &str, problem: Problem) -> PolicyFileError {
        let name = self.table.get("name").and_then(|name| name.get_ref().as_str());
        self.file.error(Some(self.offset(entry)), name.map(str::to_owned), problem)
    }

    pub fn missing(&self, entry: &'static str) -> PolicyFileError {
        self.error(entry, Problem::Missing { entry })
    }

    pub fn line(&self, entry: &str) -> usize {
        line_of(self.file.text.as_bytes(), self.offset(entry))
    }

    fn offset(&self, entry: &str) -> usize {
        self.table.get_key_value(entry).map_or(self.start, |(key, _)| key.span().start)
    }

    /// Rejects unknown entries.
    pub fn reject_unknown(&self, known: &'static [&'static str]) -> Read<()> {
        let mut entries = self.table.keys().map(Spanned::get_ref);
        match entries.find(|entry| !known.contains(&entry.as_ref())) {
            Some(entry) => {
                Err(self.error(entry, Problem::Unknown { entry: entry.to_string(), known }))
            }
            None => Ok(()),
        }
    }

    /// Reads a required, non-empty string.
    pub fn text(&self, entry: &'static str) -> Read<String> {
        let value = self.table.get(entry).ok_or_else(|| self.missing(entry))?;
        self.text_in(entry, value.get_ref(), "a string")
    }

    fn text_in(
        &self,
        entry: &'static str,
        value: &DeValue<'_>,
        expected: &'static str,
    ) -> Read<String> {
        match value.as_str() {
            Some("") => Err(self.error(entry, Problem::Empty { entry })),
            Some(text) => Ok(text.to_owned()),
            None => Err(self.wrong_type(entry, expected, value)),
        }
    }

    fn wrong_type(
        &self,
        entry: &'static str,
        expected: &'static str,
        value: &DeValue<'_>,
    ) -> PolicyFileError {
        self.error(entry, Problem::WrongType { entry, expected, found: value.type_str() })
    }

    /// Reads a limit. A limit of 0 denies every request.
    pub fn limit(&self, entry: &'static str) -> Read<u64> {
        self.number(entry, 0..=MAX_LIMIT)?.ok_or_else(|| self.missing(entry))
    }

    /// Reads an optional number of bytes, at least 1.
    pub fn bytes(&self, entry: &'static str) -> Read<Option<u64>> {
        self.number(entry, 1..=u64::MAX)
    }

    /// Reads an optional number in a range.
    fn number(&self, entry: &'static str, range: RangeInclusive<u64>) -> Read<Option<u64>> {
        match self.table.get(entry).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::Integer(number)) => self.in_range(entry, number, range).map(Some),
            Some(other) => Err(self.wrong_type(entry, "a whole number", other)),
        }
    }

    fn in_range(
        &self,
        entry: &'static str,
        number: &DeInteger<'_>,
        range: RangeInclusive<u64>,
    ) -> Read<u64> {
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if range.contains(&value) => Ok(value),
            _ => {
                let (value, [min, max]) = (number.to_string(), [*range.start(), *range.end()]);
                Err(self.error(entry, Problem::Number { entry, value, min, max }))
            }
        }
    }

    /// Reads the key, whether it is an address, and what replaces it if it is absent.
    pub fn key(
        &self,
        entry: &'static str,
        address: &'static str,
        absent: &'static str,
    ) -> Read<KeySpec> {
        let name = self.text(entry)?;
        if name == "*" {
            let extra = [address, absent].into_iter().find(|extra| self.table.contains_key(*extra));
            return match extra {
                Some(extra) => Err(self.error(extra, Problem::SharedKey { entry: extra })),
                None => Ok(KeySpec::Shared),
            };
        }
        let is_address = match self.table.get(address).map(Spanned::get_ref) {
            None => None,
            Some(DeValue::Boolean(is_address)) => Some(*is_address),
            Some(other) => return Err(self.wrong_type(address, "true or false", other)),
        };
        let absent = match self.table.contains_key(absent).then(|| self.text(absent)).transpose()? {
            None => Absent::Skip,
            Some(text) if text == "skip" => Absent::Skip,
            Some(text) if text == "share" => Absent::Share,
            Some(field) => Absent::Field(field),
        };
        Ok(KeySpec::Field(FieldKey { name, address: is_address, absent }))
    }

    /// Places an error of the limiter at the entry that causes it.
    pub fn config(&self, error: ConfigError, spec: &PolicySpec) -> PolicyFileError {
        let (entry, problem) = match error {
            ConfigError::Window { .. } => {
                ("window", Problem::WindowRange { value: spec.rate.text.clone() })
            }
            ConfigError::Name { value } => ("name", Problem::Name { value }),
            error @ ConfigError::MaxBytes { .. } => ("max_bytes", Problem::Config(error)),
            other => ("", Problem::Config(other)),
        };
        self.error(entry, problem)
    }

    /// Reads an optional cost: a number, a field, or a list of them to add up.
    pub fn cost(&self, entry: &'static str) -> Read<Option<CostSpec>> {
        let mut cost = CostSpec { fixed: 0, fields: Vec::new() };
        match self.table.get(entry).map(Spanned::get_ref) {
            None => return Ok(None),
            Some(DeValue::Array(terms)) if terms.is_empty() => {
                return Err(self.error(entry, Problem::Empty { entry }));
            }
            Some(DeValue::Array(terms)) => {
                terms
                    .iter()
                    .try_for_each(|term| self.add_term(entry, term.get_ref(), &mut cost))?;
            }
            Some(term) => self.add_term(entry, term, &mut cost)?,
        }
        Ok(Some(cost))
    }

    fn add_term(&self, entry: &'static str, term: &DeValue<'_>, cost: &mut CostSpec) -> Read<()> {
        const EXPECTED: &str = "a whole number, a field, or a list of these";
        if let DeValue::Integer(number) = term {
            let number = self.in_range(entry, number, 1..=u64::MAX)?;
            let sum = cost.fixed.checked_add(number);
            cost.fixed = sum.ok_or_else(|| self.error(entry, Problem::Sum { entry }))?;
        } else {
            cost.fields.push(self.text_in(entry, term, EXPECTED)?);
        }
        Ok(())
    }

    /// Reads the optional duration of a request: a field in seconds, or a field and its unit.
    pub fn duration(&self, entry: &'static str) -> Read<Option<DurationSpec>> {
        const EXPECTED: &str = "a field, or a table with \"field\" and \"unit\"";
        let Some(value) = self.table.get(entry) else { return Ok(None) };
        let line = self.line(entry);
        let DeValue::Table(table) = value.get_ref() else {
            let field = self.text_in(entry, value.get_ref(), EXPECTED)?;
            return Ok(Some(DurationSpec { field, unit: Duration::from_secs(1), line }));
        };
        let parts = Entries::new(self.file, self.offset(entry), table);
        parts.reject_unknown(&["field", "unit"])?;
        let (field, text) = (parts.text("field")?, parts.text("unit")?);
        match unit(&text) {
            Some(unit) => Ok(Some(DurationSpec { field, unit, line })),
            None => Err(parts.error("unit", Problem::Unit { value: text })),
        }
    }

    /// Reads either the window or the calendar period.
    pub fn rate(&self, window: &'static str, calendar: &'static str) -> Read<Rate> {
        match (self.table.contains_key(window), self.table.contains_key(calendar)) {
            (true, true) => Err(self.error(calendar, Problem::TwoRates)),
            (false, false) => Err(self.error(window, Problem::NoRate)),
            (true, false) => {
                let text = self.text(window)?;
                match length(&text) {
                    Some(window) => Ok(Rate { text, interval: Interval::Sliding(window) }),
                    None => Err(self.error(window, Problem::Window { value: text })),
                }
            }
            (false, true) => {
                let text = self.text(calendar)?;
                let period = match text.as_str() {
                    "hour" => Period::Hour,
                    "day" => Period::Day,
                    "month" => Period::Month,
                    _ => return Err(self.error(calendar, Problem::Calendar { value: text })),
                };
                Ok(Rate { text, interval: Interval::Calendar(period) })
            }
        }
    }

    pub fn buckets(&self, entry: &'static str) -> Read<Option<u32>> {
        let buckets = self.number(entry, 2..=127)?;
        if buckets.is_some() && self.table.contains_key("calendar") {
            return Err(self.error(entry, Problem::CalendarBuckets));
        }
        // Lossless: the number is at most 127.
        Ok(buckets.map(|buckets| buckets as u32))
    }
}

/// Parses a positive length of time, such as `90s`.
fn length(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let length_ms = number.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    (length_ms > 0).then(|| Duration::from_millis(length_ms))
}

/// Parses a length of time like [`length`]. Also accepts microseconds, which some servers log.
fn unit(text: &str) -> Option<Duration> {
    let Some(number) = text.strip_suffix("us") else { return length(text) };
    let micros =
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    (micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::{length, unit};
    use std::time::Duration;

    #[test]
    fn a_length_needs_a_positive_number_and_a_unit() {
        assert_eq!(length("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(length("90s"), Some(Duration::from_secs(90)));
        assert_eq!(length("2d"), Some(Duration::from_secs(172_800)));
        for wrong in [
            "",
            "5",
            "m",
            "0s",
            "-1s",
            "1.5h",
            "1 m",
            "1w",
            "99999999999999999999s",
            "300000000000000d",
        ] {
            assert_eq!(length(wrong), None, "{wrong}");
            assert_eq!(unit(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_unit_of_a_duration_may_be_microseconds() {
        assert_eq!(unit("1us"), Some(Duration::from_micros(1)));
        assert_eq!(unit("20ms"), Some(Duration::from_millis(20)));
        for wrong in ["us", "0us", "+1us", "1.5us", "1 us"] {
            assert_eq!(unit(wrong), None, "{wrong}");
        }
    }
}
