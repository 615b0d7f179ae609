//! Errors of a policy file.

use std::fmt;
use std::io;
use std::path::PathBuf;
use tollgate::{ConfigError, MAX_CHARGES, MAX_RESERVED};

/// The most bytes of a policy file: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// A policy file that cannot be used.
///
/// `Display` writes one line: the place, and what is wrong there.
///
/// ```
/// # use tollgate_policy_file::PolicyFile;
/// let text = "[[policy]]\nname = 'ip'\nlimit = 20\nwindow = '90'\n";
/// let error = PolicyFile::parse(text).unwrap_err();
/// assert_eq!(error.location.policy.as_deref(), Some("ip"));
/// assert_eq!((error.entry(), error.value()), (Some("window"), Some("90")));
/// assert!(error.to_string().starts_with("line 4, column 10: policy \"ip\": \"window\" is \"90\""));
/// ```
#[derive(Debug)]
pub struct PolicyFileError {
    /// The place in the file.
    pub location: Location,
    /// The problem. Boxed, because it is large and rare.
    pub problem: Box<Problem>,
}

/// A place in a policy file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file, if it was read from one.
    pub path: Option<PathBuf>,
    /// The line and column, if the error belongs to one place.
    pub position: Option<Position>,
    /// The name of the policy, if the error belongs to a policy with a name.
    pub policy: Option<String>,
}

/// A line and a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// Returns the position of the character that follows `before`.
    pub(crate) fn after(before: &str) -> Self {
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A problem of a policy file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    Read(io::Error),
    /// The text has more than [`MAX_BYTES`] bytes.
    TooLong,
    /// The text is not UTF-8.
    NotText,
    /// The text is not TOML.
    Syntax(String),
    /// An unknown entry above the policies.
    UnknownTop {
        /// The entry.
        entry: String,
        /// The valid entries besides `policy`.
        known: &'static [&'static str],
    },
    /// `policy` is not a list of tables.
    NotList,
    /// A file without policies.
    NoPolicy,
    /// More policies than one request can charge.
    TooMany,
    /// An unknown entry of a policy or of the duration.
    Unknown {
        /// The entry.
        entry: String,
        /// The valid entries.
        known: &'static [&'static str],
    },
    /// A missing entry that is required.
    Missing {
        /// The entry.
        entry: &'static str,
    },
    /// An entry of the wrong type.
    WrongType {
        /// The entry.
        entry: &'static str,
        /// The right type.
        expected: &'static str,
        /// The type in the file.
        found: &'static str,
    },
    /// An empty string or list.
    Empty {
        /// The entry.
        entry: &'static str,
    },
    /// A number out of range.
    Number {
        /// The entry.
        entry: &'static str,
        /// The number in the file.
        value: String,
        /// The least valid number.
        min: i128,
        /// The greatest valid number.
        max: i128,
    },
    /// Numbers whose sum exceeds 64 bits.
    Sum {
        /// The entry.
        entry: &'static str,
    },
    /// A text that is not one of the valid texts.
    Choice {
        /// The entry.
        entry: &'static str,
        /// The text in the file.
        value: String,
        /// The valid texts.
        choices: &'static [&'static str],
    },
    /// A text that is not a length of time.
    Length {
        /// The entry.
        entry: &'static str,
        /// The text in the file.
        value: String,
        /// The valid units.
        units: &'static str,
        /// A valid text.
        example: &'static str,
    },
    /// A window that is too short or too long.
    WindowRange {
        /// The window in the file.
        value: String,
    },
    /// A name that the limiter rejects.
    Name {
        /// The name.
        value: String,
    },
    /// A name that an earlier policy already uses.
    DuplicateName {
        /// The name.
        value: String,
        /// The line of the earlier policy.
        first: usize,
    },
    /// Neither window nor calendar.
    NoRate,
    /// Both window and calendar.
    TwoRates,
    /// An entry that does not apply to a policy with another entry.
    NotWith {
        /// The entry.
        entry: &'static str,
        /// The other entry.
        other: &'static str,
    },
    /// An allowance without evictions.
    AllowanceWithoutEviction,
    /// An entry that applies only to the key of a field.
    SharedKey {
        /// The entry.
        entry: &'static str,
    },
    /// A duration in a file without estimates.
    DurationWithoutEstimate,
    /// An estimate in a file with more policies than one reservation can charge.
    TooManyReserved {
        /// The number of policies.
        policies: usize,
    },
    /// The limiter's reason to reject the policies.
    Config(ConfigError),
}

impl PolicyFileError {
    /// An error that concerns the whole file.
    pub(crate) fn of_file(problem: Problem) -> Self {
        PolicyFileError { location: Location::default(), problem: Box::new(problem) }
    }

    /// Returns the name of the entry that is wrong, if one is.
    pub fn entry(&self) -> Option<&str> {
        use Problem::*;
        match &*self.problem {
            UnknownTop { entry, .. } | Unknown { entry, .. } => Some(entry),
            Missing { entry }
            | WrongType { entry, .. }
            | Empty { entry }
            | Number { entry, .. }
            | Sum { entry }
            | Choice { entry, .. }
            | Length { entry, .. }
            | NotWith { entry, .. }
            | SharedKey { entry } => Some(entry),
            NotList => Some("policy"),
            WindowRange { .. } | NoRate => Some("window"),
            TwoRates => Some("calendar"),
            Name { .. } | DuplicateName { .. } => Some("name"),
            AllowanceWithoutEviction => Some("allowance"),
            DurationWithoutEstimate => Some("duration"),
            TooManyReserved { .. } => Some("estimate"),
            Config(error) => config_entry(error),
            Read(_) | TooLong | NotText | Syntax(_) | NoPolicy | TooMany => None,
        }
    }

    /// Returns the text or number that is wrong, as in the file, if one is. A [`Problem::Config`] has it
    /// in its own fields.
    pub fn value(&self) -> Option<&str> {
        use Problem::*;
        match &*self.problem {
            Number { value, .. }
            | Choice { value, .. }
            | Length { value, .. }
            | WindowRange { value }
            | Name { value }
            | DuplicateName { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Names the file that the text is from. `Display` then starts with its path.
    pub fn in_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.location.path = Some(path.into());
        self
    }
}

/// Returns the entry that causes an error of the limiter.
pub(crate) fn config_entry(error: &ConfigError) -> Option<&'static str> {
    match error {
        ConfigError::Name { .. } | ConfigError::DuplicateName { .. } => Some("name"),
        ConfigError::Limit { .. } => Some("limit"),
        ConfigError::MaxLimit { .. } => Some("max_limit"),
        ConfigError::Window { .. } => Some("window"),
        ConfigError::Buckets { .. } => Some("buckets"),
        ConfigError::Offset { .. } => Some("offset_seconds"),
        ConfigError::MaxKeys { .. } => Some("max_keys"),
        ConfigError::MaxBytes { .. } => Some("max_bytes"),
        ConfigError::Allowance { .. } => Some("allowance"),
        _ => None,
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.position) {
            (Some(path), Some(at)) => {
                write!(f, "{}:{}:{}: ", path.display(), at.line, at.column)?;
            }
            (Some(path), None) => write!(f, "{}: ", path.display())?,
            (None, Some(at)) => write!(f, "line {}, column {}: ", at.line, at.column)?,
            (None, None) => {}
        }
        match &self.policy {
            Some(policy) => write!(f, "policy {policy:?}: "),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PolicyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some errors of the limiter name the policy.
        match &*self.problem {
            Problem::Config(error) if error.policy().is_some() => {
                let location = Location { policy: None, ..self.location.clone() };
                write!(f, "{location}{error}")
            }
            problem => write!(f, "{}{problem}", self.location),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Problem::*;
        match self {
            Read(error) => write!(f, "cannot be read: {error}"),
            TooLong => write!(f, "the policy file has more than {MAX_BYTES} bytes"),
            NotText => write!(f, "the policy file is not UTF-8"),
            Syntax(message) => write!(f, "{}", message.replace('\n', "; ")),
            UnknownTop { entry, known } => {
                let known = known.join(", ");
                write!(f, "unknown entry {entry:?}; valid are [[policy]] tables, and {known}")
            }
            NotList => write!(f, "\"policy\" must be a list of tables; start each with [[policy]]"),
            NoPolicy => write!(f, "the file has no policy; add a [[policy]] table"),
            TooMany => write!(f, "too many policies: at most {MAX_CHARGES} are allowed"),
            Unknown { entry, known } => {
                write!(f, "unknown entry {entry:?}; valid entries are {}", known.join(", "))
            }
            Missing { entry } => write!(f, "{entry:?} is missing"),
            WrongType { entry, expected, found } => {
                write!(f, "{entry:?} must be {expected}, but its type is {found}")
            }
            Empty { entry } => write!(f, "{entry:?} is empty"),
            Number { entry, value, min, max } => {
                // Escaped: the raw value may contain control characters.
                let value = value.escape_debug();
                write!(f, "{entry:?} is {value}, but must be from {min} to {max}")
            }
            Sum { entry } => write!(f, "the sum of the numbers in {entry:?} exceeds 64 bits"),
            Choice { entry, value, choices } => {
                write!(f, "{entry:?} is {value:?}, but must be {}", Choices(choices))
            }
            Length { entry, value, units, example } => write!(
                f,
                "{entry:?} is {value:?}, but must be a whole number with a unit ({units}), such as {example:?}"
            ),
            WindowRange { value } => {
                write!(f, "\"window\" is {value:?}, but must be from 1ms to 400d")
            }
            Name { value } => write!(
                f,
                "\"name\" is {value:?}, but must have 1 to 64 characters, all of them printable ASCII"
            ),
            DuplicateName { first, .. } => {
                write!(f, "\"name\" is already used by the policy in line {first}")
            }
            NoRate => write!(f, "\"window\" or \"calendar\" is missing"),
            TwoRates => write!(f, "\"window\" and \"calendar\" exclude each other; remove one"),
            NotWith { entry, other } => {
                write!(f, "{entry:?} does not apply to {other:?}; remove it")
            }
            AllowanceWithoutEviction => {
                write!(f, "\"allowance\" applies only to overflow = \"evict_lightest\"; remove it")
            }
            SharedKey { entry } => {
                write!(f, "{entry:?} applies only if \"key\" is a field; remove it")
            }
            DurationWithoutEstimate => {
                write!(f, "\"duration\" needs a policy with \"estimate\"; add one, or remove it")
            }
            TooManyReserved { policies } => write!(
                f,
                "\"estimate\" is allowed in files with at most {MAX_RESERVED} policies, but this file has {policies}"
            ),
            Config(error) => write!(f, "{error}"),
        }
    }
}

/// Texts in quotes, with commas and an "or" between them.
struct Choices(&'static [&'static str]);

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, choice) in self.0.iter().enumerate() {
            let separator = match self.0.len() - index {
                _ if index == 0 => "",
                1 => " or ",
                _ => ", ",
            };
            write!(f, "{separator}{choice:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyFileError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tollgate::{MAX_WINDOW, MIN_WINDOW};

    #[test]
    fn the_message_about_a_window_has_the_limits_of_the_limiter() {
        let limits = [Duration::from_millis(1), Duration::from_secs(400 * 86_400)];
        assert_eq!([MIN_WINDOW, MAX_WINDOW], limits);
        let message = Problem::WindowRange { value: "0".into() }.to_string();
        assert!(message.ends_with("from 1ms to 400d"), "{message}");
    }

    #[test]
    fn a_position_counts_characters_not_bytes() {
        let at = |text| {
            let Position { line, column } = Position::after(text);
            (line, column)
        };
        assert_eq!([at(""), at("é"), at("a\n"), at("é\r\n\tü")], [(1, 1), (1, 2), (2, 1), (2, 3)]);
    }
}
