//! The plan that the fuzzing engine's bytes describe: a configuration and a list of calls.
//!
//! The corpus depends on the order of fields and on every choice by byte. Do not change them.

use arbitrary::{Arbitrary, Result, Unstructured};
use std::time::Duration;
use tollgate::{MAX_LIMIT, MAX_WINDOW, MIN_WINDOW};

#[derive(Arbitrary, Debug)]
pub struct Plan<'a> {
    pub start: Reading,
    pub config: Config<'a>,
    pub steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
pub struct Config<'a> {
    pub policies: Vec<PolicyPlan<'a>>,
    /// The number of copies of the first policy, modulo 20. Each copy has its own name.
    pub copies: Rarely<u8>,
    pub max_keys: Number,
    pub overflow: Option<Overflow>,
}

#[derive(Arbitrary, Clone, Debug)]
pub struct PolicyPlan<'a> {
    pub kind: Kind,
    pub limit: Number,
    pub name: Rarely<&'a str>,
    pub unit: Rarely<&'a str>,
    pub buckets: Rarely<Number>,
    pub max_limit: Rarely<Number>,
    pub max_keys: Rarely<Number>,
    pub overflow: Rarely<Overflow>,
    pub offset_s: Rarely<i32>,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Window(Duration),
    Hour,
    Day,
    Month,
}

#[derive(Clone, Copy, Debug)]
pub enum Overflow {
    Deny,
    Allow,
    EvictLightest(Number),
}

/// A reading of the monotonic and the wall clock: a fixed time in 2023, or any two numbers.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    Usual,
    Any { monotonic_ns: Number, unix_ns: Number },
}

#[derive(Arbitrary, Debug)]
pub struct Step {
    pub path: CallPath,
    pub action: Action,
}

/// The receiver of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallPath {
    /// Calls the second of the two limiters, which have the same configuration.
    pub second: bool,
    /// Makes a request at the limiter, which reads its own clock, and not in a session. Other actions
    /// ignore this.
    pub own_clock: bool,
}

#[derive(Debug)]
pub enum Action {
    MoveClocks(ClockMove),
    Request {
        operation: Operation,
        charges: Vec<PlannedCharge>,
        /// Repeats the charges to exceed the maximum number of charges.
        repeated: Rarely<u8>,
    },
    Extend {
        which: u8,
        amounts: Amounts,
    },
    Settle {
        which: u8,
        amounts: Amounts,
    },
    Cancel {
        which: u8,
    },
    DropReservation {
        which: u8,
    },
    Refund(PlannedCharge),
    Reset(PlannedCharge),
    SetLimit {
        policy: PolicyRef,
        limit: Number,
    },
    Flood {
        policy: u8,
        keys: u8,
        cost: u8,
    },
    Maintain {
        slots: u16,
    },
    Stats,
    /// Opens a session and keeps it, so that replaced arrays are not freed, or ends all sessions.
    HoldSession {
        opens: bool,
    },
}

/// A move of the monotonic and the wall clock.
#[derive(Clone, Copy, Debug)]
pub enum ClockMove {
    Millis(u16),
    Ahead(Number),
    Back(Number),
    /// Moves by quarters of a policy's window, plus or minus a few nanoseconds.
    Windows {
        policy: u8,
        quarters: u8,
        more_ns: i8,
    },
    Hours(u16),
    To(Reading),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Check,
    CheckWithStatus,
    Peek,
    PeekWithStatus,
    ForceCharge,
    Reserve,
    ReserveWithStatus,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct PlannedCharge {
    pub policy: PolicyRef,
    pub key: KeyNumber,
    pub cost: Number,
    pub limit: Rarely<Number>,
}

/// A policy of the called limiter, of the other limiter, or of no limiter.
#[derive(Clone, Copy, Debug)]
pub enum PolicyRef {
    Own(u8),
    Foreign(u8),
    Default,
}

/// The amounts of a reservation: one for each charge, or rarely a wrong number of them.
#[derive(Arbitrary, Clone, Debug)]
pub struct Amounts {
    pub amounts: Vec<Number>,
    pub keep_count: Rarely<()>,
}

/// A number: often small, sometimes an edge case, sometimes any.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub u64);

/// The number of a key. There are few keys, so that most are used again.
#[derive(Clone, Copy, Debug)]
pub struct KeyNumber(pub u32);

/// An optional value, present one time in eight.
#[derive(Clone, Copy, Debug)]
pub struct Rarely<T>(pub Option<T>);

const EDGES: [u64; 20] = [
    0,
    1,
    7,
    8,
    63,
    127,
    128,
    u32::MAX as u64,
    MAX_LIMIT - 1,
    MAX_LIMIT,
    MAX_LIMIT + 1,
    (1 << 42) - 1,
    32 * MAX_LIMIT,
    MIN_WINDOW.as_nanos() as u64,
    MAX_WINDOW.as_nanos() as u64,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1_000_000,
    u64::MAX - 1,
    u64::MAX,
];

// Implemented by hand: a derived implementation takes four bytes for a choice, and makes all choices
// equally likely.

impl<'a> Arbitrary<'a> for Number {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        Ok(Number(match byte % 8 {
            0..=2 => (byte / 8).into(),
            3 => u8::arbitrary(u)?.into(),
            4 => u16::arbitrary(u)?.into(),
            5 => EDGES[usize::from(byte / 8) % EDGES.len()],
            6 => u64::arbitrary(u)? >> (byte / 8 * 2),
            _ => u64::arbitrary(u)?,
        }))
    }
}

impl<'a> Arbitrary<'a> for KeyNumber {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        Ok(KeyNumber(u32::from(if byte < 192 { byte % 4 } else { byte % 64 })))
    }
}

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Rarely<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Absent for a byte of 0, which is also what `Unstructured` gives after the end of the input.
        let present = u8::arbitrary(u)? % 8 == 7;
        Ok(Rarely(if present { Some(T::arbitrary(u)?) } else { None }))
    }
}

impl<'a> Arbitrary<'a> for CallPath {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        Ok(CallPath { second: byte % 16 == 15, own_clock: byte & 16 != 0 })
    }
}

impl<'a> Arbitrary<'a> for PolicyRef {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(u)? {
            index @ 0..=245 => PolicyRef::Own(index),
            index @ 246..=251 => PolicyRef::Foreign(index),
            _ => PolicyRef::Default,
        })
    }
}

impl<'a> Arbitrary<'a> for Kind {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        let times = u64::from(byte / 8);
        Ok(match byte % 8 {
            0 => Kind::Window(Duration::from_millis(u16::arbitrary(u)?.into())),
            1 | 2 => Kind::Window(Duration::from_secs(times + 1)),
            3 => Kind::Window(Duration::from_secs(times * 86_400 * 13)),
            4 => Kind::Window(Duration::arbitrary(u)?),
            5 => Kind::Hour,
            6 => Kind::Day,
            _ => Kind::Month,
        })
    }
}

impl<'a> Arbitrary<'a> for Overflow {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(u)? % 4 {
            0 => Overflow::Deny,
            1 => Overflow::Allow,
            _ => Overflow::EvictLightest(Number::arbitrary(u)?),
        })
    }
}

impl<'a> Arbitrary<'a> for Reading {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(u)? % 4 {
            0..=2 => Reading::Usual,
            _ => {
                let [monotonic_ns, unix_ns] = [Number::arbitrary(u)?, Number::arbitrary(u)?];
                Reading::Any { monotonic_ns, unix_ns }
            }
        })
    }
}

impl<'a> Arbitrary<'a> for Action {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        let which = byte / 32;
        Ok(match byte % 32 {
            0..=4 => Action::MoveClocks(ClockMove::arbitrary(u)?),
            5..=14 => Action::Request {
                operation: Operation::arbitrary(u)?,
                charges: Vec::arbitrary(u)?,
                repeated: Rarely::arbitrary(u)?,
            },
            15..=17 => Action::Extend { which, amounts: Amounts::arbitrary(u)? },
            18 | 19 => Action::Settle { which, amounts: Amounts::arbitrary(u)? },
            20 => Action::Cancel { which },
            21 => Action::DropReservation { which },
            22 | 23 => Action::Refund(PlannedCharge::arbitrary(u)?),
            24 => Action::Reset(PlannedCharge::arbitrary(u)?),
            25 => {
                Action::SetLimit { policy: PolicyRef::arbitrary(u)?, limit: Number::arbitrary(u)? }
            }
            26 | 27 => {
                Action::Flood { policy: which, keys: u8::arbitrary(u)?, cost: u8::arbitrary(u)? }
            }
            28 => Action::Maintain { slots: u16::arbitrary(u)? },
            29 => Action::Stats,
            _ => Action::HoldSession { opens: which % 2 == 0 },
        })
    }
}

impl<'a> Arbitrary<'a> for ClockMove {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        let count = byte / 8;
        Ok(match byte % 8 {
            0 => ClockMove::Millis(u16::arbitrary(u)?),
            1 => ClockMove::Ahead(Number::arbitrary(u)?),
            2 => ClockMove::Back(Number::arbitrary(u)?),
            3 => ClockMove::Hours(u16::arbitrary(u)?),
            4 => ClockMove::To(Reading::arbitrary(u)?),
            _ => {
                let (policy, more_ns) = (u8::arbitrary(u)?, i8::arbitrary(u)?);
                ClockMove::Windows { policy, quarters: count, more_ns }
            }
        })
    }
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(u)? % 8 {
            0 | 1 => Operation::Check,
            2 => Operation::CheckWithStatus,
            3 => Operation::Peek,
            4 => Operation::PeekWithStatus,
            5 => Operation::ForceCharge,
            6 => Operation::Reserve,
            _ => Operation::ReserveWithStatus,
        })
    }
}
