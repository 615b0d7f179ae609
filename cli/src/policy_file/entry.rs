//! The typed values of one table of the file, each with its line.

use super::{CostSpec, DurationSpec, PolicyFileError, Problem, Rate, Stretch, line_of};
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

/// The entries of one table: of a policy, of the file itself, or of its duration.
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

    /// A number, a field, or a list of them to be added, if it is there.
    pub fn cost(&self, entry: &'static str) -> Read<Option<CostSpec>> {
        let mut cost = CostSpec { fixed: 0, fields: Vec::new() };
        match self.table.get(entry).map(Spanned::get_ref) {
            None => return Ok(None),
            Some(DeValue::Array(terms)) if terms.is_empty() => {
                return Err(self.error(entry, Problem::EmptyText { entry }));
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
        const WANTED: &str = "a whole number, a field, or a list of them";
        if let DeValue::Integer(number) = term {
            let number = self.in_range(entry, number, u64::MAX)?;
            let sum = cost.fixed.checked_add(number);
            cost.fixed = sum.ok_or_else(|| self.error(entry, Problem::Sum { entry }))?;
        } else {
            cost.fields.push(self.text_in(entry, term, WANTED)?);
        }
        Ok(())
    }

    /// How long a request takes, if it is there: a field in seconds, or a field and its unit.
    pub fn duration(&self, entry: &'static str) -> Read<Option<DurationSpec>> {
        const WANTED: &str = "a field, or a table of field and unit";
        let Some(value) = self.table.get(entry) else { return Ok(None) };
        let line = self.line(entry);
        let DeValue::Table(table) = value.get_ref() else {
            let field = self.text_in(entry, value.get_ref(), WANTED)?;
            return Ok(Some(DurationSpec { field, unit: Duration::from_secs(1), line }));
        };
        let parts = Entries::new(self.place, self.offset(entry), table);
        parts.only(&["field", "unit"])?;
        let (field, text) = (parts.text("field")?, parts.text("unit")?);
        match unit(&text) {
            Some(unit) => Ok(Some(DurationSpec { field, unit, line })),
            None => Err(parts.error("unit", Problem::Unit { value: text })),
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

/// As [`length`], and microseconds, which some servers log.
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
            assert_eq!(unit(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn units_of_durations_may_be_microseconds() {
        assert_eq!(unit("1us"), Some(Duration::from_micros(1)));
        assert_eq!(unit("20ms"), Some(Duration::from_millis(20)));
        for wrong in ["us", "0us", "+1us", "1.5us", "1 us"] {
            assert_eq!(unit(wrong), None, "{wrong}");
        }
    }
}
