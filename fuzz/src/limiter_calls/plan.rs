//! What the engine's bytes mean: a configuration, and calls.

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
    pub policies: Vec<Spec<'a>>,
    /// The first policy so many times over, under names of their own.
    pub copies: Rarely<u8>,
    pub max_keys: Number,
    pub overflow: Option<Overflow>,
}

#[derive(Arbitrary, Clone, Debug)]
pub struct Spec<'a> {
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

/// Two readings of a clock; or those of a day in 2023.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    Usual,
    Any { monotonic_ns: Number, unix_ns: Number },
}

#[derive(Arbitrary, Debug)]
pub struct Step {
    pub by: By,
    pub act: Act,
}

/// Which of two limiters of one configuration acts, and whether at its own clock's instant.
#[derive(Clone, Copy, Debug)]
pub struct By {
    pub other: bool,
    pub own_clock: bool,
}

#[derive(Debug)]
pub enum Act {
    Turn(Turn),
    Request {
        verb: Verb,
        lines: Vec<Line>,
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
    Forget {
        which: u8,
    },
    Refund(Line),
    Reset(Line),
    SetLimit {
        policy: Whose,
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
    /// Keeps a session, and with it the memory of tables that are replaced; or lets all go.
    Hold {
        on: bool,
    },
}

/// How both clocks move.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    Millis(u16),
    Ahead(Number),
    Back(Number),
    /// By quarters of a policy's window, and a few nanoseconds.
    Windows {
        policy: u8,
        quarters: u8,
        more_ns: i8,
    },
    Hours(u16),
    To(Reading),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Check,
    CheckWithStatus,
    Peek,
    PeekWithStatus,
    Charge,
    Reserve,
    ReserveWithStatus,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Line {
    pub policy: Whose,
    pub key: Few,
    pub cost: Number,
    pub limit: Rarely<Number>,
}

/// A policy of the limiter that acts, of the other, or of none.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    Own(u8),
    Others(u8),
    Nobodys,
}

/// One for each layer, unless their number is to be wrong.
#[derive(Arbitrary, Clone, Debug)]
pub struct Amounts {
    pub amounts: Vec<Number>,
    pub as_they_are: Rarely<()>,
}

/// A number that is small as often as it is at some edge, or anywhere.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub u64);

/// A key, of which there are few enough for most to come again.
#[derive(Clone, Copy, Debug)]
pub struct Few(pub u32);

/// Something that is there one time in eight.
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

// By hand, where the derived way would take four bytes for a choice and choose evenly.

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

impl<'a> Arbitrary<'a> for Few {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        Ok(Few(u32::from(if byte < 192 { byte % 4 } else { byte % 64 })))
    }
}

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Rarely<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Not on a byte of 0, which is also what comes behind the end of the input.
        let there = u8::arbitrary(u)? % 8 == 7;
        Ok(Rarely(if there { Some(T::arbitrary(u)?) } else { None }))
    }
}

impl<'a> Arbitrary<'a> for By {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        Ok(By { other: byte % 16 == 15, own_clock: byte & 16 != 0 })
    }
}

impl<'a> Arbitrary<'a> for Whose {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(u)? {
            place @ 0..=245 => Whose::Own(place),
            place @ 246..=251 => Whose::Others(place),
            _ => Whose::Nobodys,
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

impl<'a> Arbitrary<'a> for Act {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        let which = byte / 32;
        Ok(match byte % 32 {
            0..=4 => Act::Turn(Turn::arbitrary(u)?),
            5..=14 => Act::Request {
                verb: Verb::arbitrary(u)?,
                lines: Vec::arbitrary(u)?,
                repeated: Rarely::arbitrary(u)?,
            },
            15..=17 => Act::Extend { which, amounts: Amounts::arbitrary(u)? },
            18 | 19 => Act::Settle { which, amounts: Amounts::arbitrary(u)? },
            20 => Act::Cancel { which },
            21 => Act::Forget { which },
            22 | 23 => Act::Refund(Line::arbitrary(u)?),
            24 => Act::Reset(Line::arbitrary(u)?),
            25 => Act::SetLimit { policy: Whose::arbitrary(u)?, limit: Number::arbitrary(u)? },
            26 | 27 => {
                Act::Flood { policy: which, keys: u8::arbitrary(u)?, cost: u8::arbitrary(u)? }
            }
            28 => Act::Maintain { slots: u16::arbitrary(u)? },
            29 => Act::Stats,
            _ => Act::Hold { on: which % 2 == 0 },
        })
    }
}

impl<'a> Arbitrary<'a> for Turn {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let byte = u8::arbitrary(u)?;
        let count = byte / 8;
        Ok(match byte % 8 {
            0 => Turn::Millis(u16::arbitrary(u)?),
            1 => Turn::Ahead(Number::arbitrary(u)?),
            2 => Turn::Back(Number::arbitrary(u)?),
            3 => Turn::Hours(u16::arbitrary(u)?),
            4 => Turn::To(Reading::arbitrary(u)?),
            _ => {
                let (policy, more_ns) = (u8::arbitrary(u)?, i8::arbitrary(u)?);
                Turn::Windows { policy, quarters: count, more_ns }
            }
        })
    }
}

impl<'a> Arbitrary<'a> for Verb {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(u)? % 8 {
            0 | 1 => Verb::Check,
            2 => Verb::CheckWithStatus,
            3 => Verb::Peek,
            4 => Verb::PeekWithStatus,
            5 => Verb::Charge,
            6 => Verb::Reserve,
            _ => Verb::ReserveWithStatus,
        })
    }
}
