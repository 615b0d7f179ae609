//! The typed values of one `[[policy]]` table, each with its line.

use super::{CostSpec, PolicyFileError, Problem, Rate, Stretch, line_of};
use std::path::Path;
use std::time::Duration;
use tollgate::Period;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// The file, for the error messages.
pub struct Place<'t> {
    pub path: &'t Path,
    pub text: &'t str,
}

impl Place<'_> {
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

/// The entries of one policy.
pub struct Entries<'t> {
    place: &'t Place<'t>,
    start: usize,
    table: &'t DeTable<'t>,
}

type Read<T> = Result<T, PolicyFileError>;

impl<'t> Entries<'t> {
    pub fn new(place: &'t Place<'t>, start: usize, table: &'t DeTable<'t>) -> Self {
        Entries { place, start, table }
    }

    /// An error at this entry, or at the heading where there is no such entry.
    pub fn error(&self, entry: &str, problem: Problem) -> PolicyFileError {
        let name = self.table.get("name").and_then(|name| name.get_ref().as_str());
        self.place.error(Some(self.offset(entry)), name.map(str::to_owned), problem)
    }

    pub fn missing(&self, entry: &'static str) -> PolicyFileError {
        self.error(entry, Problem::Missing { entry })
    }

    pub fn line(&self, entry: &str) -> usize {
        line_of(self.place.text.as_bytes(), self.offset(entry))
    }

    fn offset(&self, entry: &str) -> usize {
        self.table.get_key_value(entry).map_or(self.start, |(key, _)| key.span().start)
    }

    /// Refuses entries of other names.
    pub fn only(&self, known: &'static [&'static str]) -> Read<()> {
        let mut entries = self.table.keys().map(Spanned::get_ref);
        match entries.find(|entry| !known.contains(&entry.as_ref())) {
            Some(entry) => {
                Err(self.error(entry, Problem::Unknown { entry: entry.to_string(), known }))
            }
            None => Ok(()),
        }
    }

    /// A text that must be there and not be empty.
    pub fn text(&self, entry: &'static str) -> Read<String> {
        let value = self.table.get(entry).ok_or_else(|| self.missing(entry))?;
        self.text_in(entry, value.get_ref(), "a text")
    }

    fn text_in(
        &self,
        entry: &'static str,
        value: &DeValue<'_>,
        wanted: &'static str,
    ) -> Read<String> {
        match value.as_str() {
            Some("") => Err(self.error(entry, Problem::EmptyText { entry })),
            Some(text) => Ok(text.to_owned()),
            None => Err(self.kind(entry, wanted, value)),
        }
    }

    fn kind(
        &self,
        entry: &'static str,
        wanted: &'static str,
        value: &DeValue<'_>,
    ) -> PolicyFileError {
        self.error(entry, Problem::Kind { entry, wanted, found: value.type_str() })
    }

    /// A number from 1 up, if it is there.
    pub fn number(&self, entry: &'static str) -> Read<Option<u64>> {
        match self.table.get(entry).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::Integer(number)) => self.in_range(entry, number, u64::MAX).map(Some),
            Some(other) => Err(self.kind(entry, "a whole number", other)),
        }
    }

    fn in_range(&self, entry: &'static str, number: &DeInteger<'_>, most: u64) -> Read<u64> {
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if (1..=most).contains(&value) => Ok(value),
            _ => Err(self.error(entry, Problem::Number { entry, value: number.to_string(), most })),
        }
    }

    pub fn cost(&self, entry: &'static str) -> Read<CostSpec> {
        const WANTED: &str = "a whole number, a field, or a list of fields";
        match self.table.get(entry).map(Spanned::get_ref) {
            None => Ok(CostSpec::Fixed(1)),
            Some(DeValue::Integer(number)) => {
                self.in_range(entry, number, u64::MAX).map(CostSpec::Fixed)
            }
            Some(DeValue::Array(fields)) if fields.is_empty() => {
                Err(self.error(entry, Problem::EmptyText { entry }))
            }
            Some(DeValue::Array(fields)) => {
                let fields =
                    fields.iter().map(|field| self.text_in(entry, field.get_ref(), WANTED));
                fields.collect::<Read<Vec<_>>>().map(CostSpec::Fields)
            }
            Some(field) => Ok(CostSpec::Fields(vec![self.text_in(entry, field, WANTED)?])),
        }
    }

    /// The window or the calendar period: one of the two.
    pub fn rate(&self, window: &'static str, calendar: &'static str) -> Read<Rate> {
        match (self.table.contains_key(window), self.table.contains_key(calendar)) {
            (true, true) => Err(self.error(calendar, Problem::TwoRates)),
            (false, false) => Err(self.error(window, Problem::NoRate)),
            (true, false) => {
                let text = self.text(window)?;
                match length(&text) {
                    Some(window) => Ok(Rate { text, stretch: Stretch::Sliding(window) }),
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
                Ok(Rate { text, stretch: Stretch::Calendar(period) })
            }
        }
    }

    pub fn buckets(&self, entry: &'static str) -> Read<Option<u32>> {
        let Some(buckets) = self.number(entry)? else { return Ok(None) };
        if self.table.contains_key("calendar") {
            return Err(self.error(entry, Problem::CalendarBuckets));
        }
        let too_many = |_| {
            let most = u64::from(u32::MAX);
            self.error(entry, Problem::Number { entry, value: buckets.to_string(), most })
        };
        u32::try_from(buckets).map(Some).map_err(too_many)
    }
}

/// A length of time such as `90s`; above zero.
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

#[cfg(test)]
mod tests {
    use super::length;
    use std::time::Duration;

    #[test]
    fn lengths_have_a_number_and_a_unit() {
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
        }
    }
}
