//! The reason why a limiter cannot be made: a status, and a message that names the policy, the field and the
//! value.

use crate::argument::SizeError;
use crate::error::status_of;
use crate::status::tollgate_status::{self, *};
use limiter::ConfigError;
use std::ffi::CStr;
use std::fmt::{self, Display, Formatter};
use tollgate_policy_file::PolicyFileError;

/// An invalid argument of `tollgate_new` or `tollgate_new_from_toml`. `Display` writes its message. It
/// borrows the caller's strings.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    place: Place<'a>,
    reason: Reason<'a>,
}

/// The argument that has the invalid field.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Call,
    Options,
    /// The policy with this index. Its name, if it is known and the reason does not contain it.
    Policy(usize, Option<&'a CStr>),
}

/// The field, its value, and what is wrong with it.
#[derive(Debug)]
pub(crate) enum Reason<'a> {
    /// A pointer with this name that must be neither NULL nor unaligned, and its status.
    Pointer(&'static str, tollgate_status),
    /// The `struct_size` of a struct with this name.
    Size(&'static str, SizeError),
    Kind(u32),
    Period(u32),
    Overflow(u32),
    Flags(u32),
    Reserved(u32),
    /// The clock of the options is not a live clock.
    Clock,
    NoName,
    /// A name that is not UTF-8.
    Name(&'a CStr),
    /// A unit that is not UTF-8.
    Unit(&'a CStr),
    Config(ConfigError),
    PolicyFile(PolicyFileError),
    /// A failure without a field.
    Status(tollgate_status),
}

impl<'a> Reason<'a> {
    /// Returns the failure of a call for this reason.
    pub(crate) fn in_call(self) -> Failure<'a> {
        Failure { place: Place::Call, reason: self }
    }

    /// Returns the failure of a field of the options.
    pub(crate) fn in_options(self) -> Failure<'a> {
        Failure { place: Place::Options, reason: self }
    }

    /// Returns the failure of a field of a policy. The name may be NULL.
    pub(crate) fn in_policy(self, index: usize, name: Option<&'a CStr>) -> Failure<'a> {
        Failure { place: Place::Policy(index, name), reason: self }
    }
}

impl Failure<'_> {
    /// The status of the call.
    pub(crate) fn status(&self) -> tollgate_status {
        match &self.reason {
            Reason::Pointer(_, status) | Reason::Status(status) => *status,
            Reason::Size(..)
            | Reason::Kind(_)
            | Reason::Period(_)
            | Reason::Overflow(_)
            | Reason::Flags(_)
            | Reason::Reserved(_) => TOLLGATE_E_ARGUMENT,
            Reason::Clock => TOLLGATE_E_HANDLE,
            Reason::NoName => TOLLGATE_E_NULL,
            Reason::Name(_) | Reason::Unit(_) => TOLLGATE_E_NAME,
            Reason::Config(error) => status_of(error),
            Reason::PolicyFile(_) => TOLLGATE_E_POLICY_FILE,
        }
    }
}

impl Display for Failure<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Call => {}
            Place::Options => f.write_str("options: ")?,
            Place::Policy(index, None) => write!(f, "policies[{index}]: ")?,
            Place::Policy(index, Some(name)) => {
                write!(f, "policies[{index}]: policy {}: ", Quoted(name))?;
            }
        }
        self.reason.fmt(f)
    }
}

impl Display for Reason<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Pointer(name, TOLLGATE_E_NULL) => write!(f, "{name} must not be NULL"),
            Reason::Pointer(name, _) => write!(f, "{name} is not aligned"),
            Reason::Size(name, SizeError::Size { value, known }) => {
                write!(f, "struct_size {value} must be sizeof({name}), which is {known}")
            }
            Reason::Size(_, SizeError::Rest { value, known }) => {
                write!(f, "struct_size {value}: the bytes after the first {known} must be 0")
            }
            Reason::Kind(value) => {
                write!(f, "kind {value} must be TOLLGATE_SLIDING or TOLLGATE_CALENDAR")
            }
            Reason::Period(value) => {
                write!(f, "period {value} must be TOLLGATE_HOUR, TOLLGATE_DAY or TOLLGATE_MONTH")
            }
            Reason::Overflow(value) => {
                write!(f, "overflow {value} must be one of TOLLGATE_OVERFLOW_*")
            }
            Reason::Flags(value) => write!(f, "flags {value} must be TOLLGATE_DRY_RUN or 0"),
            Reason::Reserved(value) => write!(f, "reserved {value} must be 0"),
            Reason::Clock => write!(f, "clock is not a live clock"),
            Reason::NoName => write!(f, "name must not be NULL"),
            Reason::Name(value) => {
                let value = Quoted(value);
                write!(f, "name {value} must be 1 to 64 printable ASCII characters")
            }
            Reason::Unit(value) => write!(f, "unit {} must be UTF-8", Quoted(value)),
            Reason::Config(error) => error.fmt(f),
            Reason::PolicyFile(error) => error.fmt(f),
            Reason::Status(status) => f.write_str(&status.text().to_string_lossy()),
        }
    }
}

/// A string of C in quotes, with escapes for bytes that are not printable ASCII.
struct Quoted<'a>(&'a CStr);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.to_bytes().escape_ascii())
    }
}
