//! Reads typed values from a table of the policy file.

use crate::error::{Location, PolicyFileError, Position, Problem};
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// The result of reading an entry.
pub type Read<T> = Result<T, PolicyFileError>;

/// Creates an error at an offset of the text.
pub fn error_at(
    text: &str,
    offset: usize,
    policy: Option<String>,
    problem: Problem,
) -> PolicyFileError {
    let position = Some(position_of(text, offset));
    PolicyFileError {
        location: Location { path: None, position, policy },
        problem: Box::new(problem),
    }
}

/// The position of an offset of the text.
fn position_of(text: &str, offset: usize) -> Position {
    Position::after(text.get(..offset).unwrap_or(text))
}

/// The entries of one table: a policy, the top level of the file, or the duration.
pub struct Entries<'t> {
    text: &'t str,
    start: usize,
    table: &'t DeTable<'t>,
}

/// A value of the file: of an entry, or in the list of an entry.
#[derive(Clone, Copy)]
pub struct Value<'t> {
    pub entry: &'static str,
    pub content: &'t DeValue<'t>,
    offset: usize,
}

impl<'t> Value<'t> {
    /// The value of an entry, or one in its list.
    pub fn new(entry: &'static str, value: &'t Spanned<DeValue<'t>>) -> Self {
        Value { entry, content: value.get_ref(), offset: value.span().start }
    }
}

impl<'t> Entries<'t> {
    /// The entries of a table that starts at an offset of the text.
    pub fn new(text: &'t str, start: usize, table: &'t DeTable<'t>) -> Self {
        Entries { text, start, table }
    }

    /// The entries of a table that is a value of these.
    pub fn inner(&self, value: Value<'t>, table: &'t DeTable<'t>) -> Self {
        Entries::new(self.text, value.offset, table)
    }

    /// Returns whether the table has an entry.
    pub fn has(&self, entry: &str) -> bool {
        self.table.contains_key(entry)
    }

    /// The value of an optional entry.
    pub fn value(&self, entry: &'static str) -> Option<Value<'t>> {
        self.table.get(entry).map(|value| Value::new(entry, value))
    }

    /// The position of the value of an entry, or of the heading of the table if the entry is missing.
    pub fn position(&self, entry: &str) -> Position {
        let offset = self.table.get(entry).map_or(self.start, |value| value.span().start);
        position_of(self.text, offset)
    }

    /// Creates an error at the value of an entry, or at the heading of the table if the entry is missing.
    pub fn error_at_value(&self, entry: &str, problem: Problem) -> PolicyFileError {
        let offset = self.table.get(entry).map_or(self.start, |value| value.span().start);
        self.error_at(offset, problem)
    }

    /// Creates an error at a value.
    pub fn error(&self, value: Value<'_>, problem: Problem) -> PolicyFileError {
        self.error_at(value.offset, problem)
    }

    /// Creates an error at the name of an entry, or at the heading of the table if the entry is missing.
    pub fn error_at_name(&self, entry: &str, problem: Problem) -> PolicyFileError {
        let key = self.table.get_key_value(entry).map(|(key, _)| key.span().start);
        self.error_at(key.unwrap_or(self.start), problem)
    }

    fn error_at(&self, offset: usize, problem: Problem) -> PolicyFileError {
        let name = self.table.get("name").and_then(|name| name.get_ref().as_str());
        error_at(self.text, offset, name.map(str::to_owned), problem)
    }

    /// Rejects unknown entries.
    pub fn reject_unknown(&self, known: &'static [&'static str]) -> Read<()> {
        let mut entries = self.table.keys().map(|entry| entry.get_ref().as_ref());
        match entries.find(|entry| !known.contains(entry)) {
            Some(entry) => {
                Err(self.error_at_name(entry, Problem::Unknown { entry: entry.to_owned(), known }))
            }
            None => Ok(()),
        }
    }

    /// Reads an optional string, which must not be empty.
    pub fn text(&self, entry: &'static str) -> Read<Option<String>> {
        self.value(entry).map(|value| self.text_in(value, "a string")).transpose()
    }

    /// Reads a required, non-empty string.
    pub fn required_text(&self, entry: &'static str) -> Read<String> {
        self.text(entry)?.ok_or_else(|| self.missing(entry))
    }

    /// Reads the non-empty string of a value.
    pub fn text_in(&self, value: Value<'_>, expected: &'static str) -> Read<String> {
        match value.content.as_str() {
            Some("") => Err(self.error(value, Problem::Empty { entry: value.entry })),
            Some(text) => Ok(text.to_owned()),
            None => Err(self.wrong_type(value, expected)),
        }
    }

    /// Creates the error of a missing entry.
    pub fn missing(&self, entry: &'static str) -> PolicyFileError {
        self.error_at_name(entry, Problem::Missing { entry })
    }

    /// Creates the error of a value with another type than the expected one.
    pub fn wrong_type(&self, value: Value<'_>, expected: &'static str) -> PolicyFileError {
        let found = value.content.type_str();
        self.error(value, Problem::WrongType { entry: value.entry, expected, found })
    }

    /// Reads an optional number of keys or bytes, at least 1.
    pub fn count(&self, entry: &'static str) -> Read<Option<u64>> {
        self.number(entry, 1..=u64::MAX)
    }

    /// Reads an optional boolean.
    pub fn flag(&self, entry: &'static str) -> Read<Option<bool>> {
        let Some(value) = self.value(entry) else { return Ok(None) };
        match value.content {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            _ => Err(self.wrong_type(value, "true or false")),
        }
    }

    /// Reads an optional number in a range.
    pub fn number<T>(&self, entry: &'static str, range: RangeInclusive<T>) -> Read<Option<T>>
    where
        T: Copy + PartialOrd + TryFrom<i128> + Into<i128>,
    {
        let Some(value) = self.value(entry) else { return Ok(None) };
        match value.content {
            DeValue::Integer(number) => self.in_range(value, number, range).map(Some),
            _ => Err(self.wrong_type(value, "a whole number")),
        }
    }

    /// Converts the number of a value that must be in a range.
    pub fn in_range<T>(
        &self,
        value: Value<'_>,
        number: &DeInteger<'_>,
        range: RangeInclusive<T>,
    ) -> Read<T>
    where
        T: Copy + PartialOrd + TryFrom<i128> + Into<i128>,
    {
        let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
        match parsed.and_then(|number| T::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Ok(number),
            _ => {
                let [min, max] = [*range.start(), *range.end()].map(Into::into);
                let (entry, number) = (value.entry, number.to_string());
                Err(self.error(value, Problem::Number { entry, value: number, min, max }))
            }
        }
    }

    /// Reads a value that must be one of these texts. Returns its index.
    pub fn choice(
        &self,
        entry: &'static str,
        choices: &'static [&'static str],
    ) -> Read<Option<usize>> {
        let Some(value) = self.value(entry) else { return Ok(None) };
        let text = self.text_in(value, "a string")?;
        match choices.iter().position(|choice| *choice == text) {
            Some(index) => Ok(Some(index)),
            None => Err(self.error(value, Problem::Choice { entry, value: text, choices })),
        }
    }

    /// Creates the error of a text that is not a length of time.
    pub fn length_error(
        &self,
        entry: &'static str,
        value: String,
        units: &'static str,
        example: &'static str,
    ) -> PolicyFileError {
        self.error_at_value(entry, Problem::Length { entry, value, units, example })
    }
}
