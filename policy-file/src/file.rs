//! A policy file, and the limiter that is built from it.

use crate::entry::{Entries, Read, error_at};
use crate::error::{Location, MAX_BYTES, PolicyFileError, Problem, config_entry};
use crate::replay::DurationSpec;
use crate::spec::{PolicySpec, Settings};
use tollgate::{Builder, ConfigError, Limiter, MAX_RESERVED, Policy};
use toml::de::{DeTable, DeValue};

/// The entries above the policies.
const TOP_ENTRIES: &[&str] = &["max_keys", "max_bytes", "overflow", "allowance", "duration"];

/// A policy file, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyFile {
    /// The policies, in the order of the file; at least one.
    pub specs: Vec<PolicySpec>,
    /// The settings of all policies.
    pub settings: Settings,
    /// The duration of requests in a replay, after which they settle; `None` settles at once.
    pub duration: Option<DurationSpec>,
}

impl PolicyFile {
    /// Parses and checks the text of a policy file.
    ///
    /// Takes at most [`MAX_BYTES`] of text. A byte order mark at its start is ignored.
    ///
    /// # Errors
    /// The first problem of the text.
    pub fn parse(text: &str) -> Result<Self, PolicyFileError> {
        if text.len() > MAX_BYTES {
            return Err(PolicyFileError::of_file(Problem::TooLong));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = DeTable::parse(text).map_err(|error| {
            let problem = Problem::Syntax(error.message().to_owned());
            match error.span() {
                Some(span) => error_at(text, span.start, None, problem),
                None => PolicyFileError::of_file(problem),
            }
        })?;
        let top = Entries::new(text, 0, document.get_ref());
        let file = PolicyFile {
            specs: read_policies(text, document.get_ref())?,
            settings: Settings {
                max_keys: top.count("max_keys")?,
                max_bytes: top.count("max_bytes")?,
                overflow: top.overflow("overflow", "allowance")?,
            },
            duration: top.duration("duration")?,
        };
        file.check_replay(&top)?;
        file.check_limiter(&top)?;
        Ok(file)
    }

    /// Returns the policies of the limiter, in the order of the file.
    ///
    /// The settings above the policies are not in them: [`limiter_builder`](Self::limiter_builder) has
    /// both.
    pub fn policies(&self) -> Vec<Policy> {
        self.specs.iter().map(PolicySpec::policy).collect()
    }

    /// Returns the policy with this name.
    pub fn policy(&self, name: &str) -> Option<Policy> {
        self.specs.iter().find(|spec| spec.name == name).map(PolicySpec::policy)
    }

    /// Returns a builder with the policies and the settings of the file. The host may add a clock or a
    /// seed.
    ///
    /// ```
    /// use tollgate::ManualClock;
    /// use tollgate_policy_file::PolicyFile;
    ///
    /// let file = PolicyFile::parse("[[policy]]\nname = 'ip'\nlimit = 5\nwindow = '1m'\n")?;
    /// let limiter = file.limiter_builder().clock(ManualClock::new()).build()?;
    /// assert!(limiter.policy("ip").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limiter_builder(&self) -> Builder {
        self.add_to(Limiter::builder())
    }

    /// Adds the policies to a builder, and applies the settings that the file has.
    pub fn add_to(&self, builder: Builder) -> Builder {
        self.policies().into_iter().fold(self.settings.apply(builder), Builder::policy)
    }

    /// Builds the limiter.
    ///
    /// # Errors
    /// [`ConfigError::OutOfMemory`]. All other errors were found by [`parse`](Self::parse).
    pub fn build(&self) -> Result<Limiter, ConfigError> {
        self.limiter_builder().build()
    }

    /// Checks the entries that concern the replay and several policies.
    fn check_replay(&self, top: &Entries<'_>) -> Read<()> {
        let estimated = self.specs.iter().find(|spec| spec.replay.estimate.is_some());
        match (estimated, top.value("duration")) {
            (None, Some(_)) => Err(top.error_at_name("duration", Problem::DurationWithoutEstimate)),
            (Some(spec), _) if self.specs.len() > MAX_RESERVED => {
                let problem = Problem::TooManyReserved { policies: self.specs.len() };
                let position = Some(spec.replay.estimate_position);
                let location = Location { path: None, position, policy: Some(spec.name.clone()) };
                Err(PolicyFileError { location, problem: Box::new(problem) })
            }
            _ => Ok(()),
        }
    }

    /// Checks that the limiter accepts all policies together.
    fn check_limiter(&self, top: &Entries<'_>) -> Read<()> {
        let Err(error) = self.limiter_builder().memory_bound() else { return Ok(()) };
        let position = config_entry(&error).map(|entry| top.position(entry));
        let policy = error.policy().map(str::to_owned);
        let location = Location { path: None, position, policy };
        Err(PolicyFileError { location, problem: Box::new(Problem::Config(error)) })
    }
}

/// Reads the policies of a document. Rejects unknown entries beside them.
fn read_policies(text: &str, document: &DeTable<'_>) -> Read<Vec<PolicySpec>> {
    let mut specs = Vec::new();
    for (entry, value) in document {
        let fail = |offset, problem| Err(error_at(text, offset, None, problem));
        let name = entry.get_ref().as_ref();
        if TOP_ENTRIES.contains(&name) {
            continue;
        }
        if name != "policy" {
            let problem = Problem::UnknownTop { entry: name.to_owned(), known: TOP_ENTRIES };
            return fail(entry.span().start, problem);
        }
        let Some(policies) = value.get_ref().as_array() else {
            return fail(entry.span().start, Problem::NotList);
        };
        for policy in policies {
            let start = policy.span().start;
            let DeValue::Table(table) = policy.get_ref() else {
                return fail(start, Problem::NotList);
            };
            let spec = Entries::new(text, start, table).policy(&specs)?;
            specs.push(spec);
        }
    }
    if specs.is_empty() { Err(PolicyFileError::of_file(Problem::NoPolicy)) } else { Ok(specs) }
}
