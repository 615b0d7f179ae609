//! The format of the test vectors: a limiter, calls at times, and the expected answers. Cases are
//! JSON files; programs in other languages read and print them as plain lines.
#![allow(dead_code, reason = "the tests of each language use a part of it")]

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Write};
use std::path::Path;

/// The numbers of `tollgate_status` that the vectors contain.
pub mod status {
    pub const ALLOWED: i32 = 0;
    pub const DENIED: i32 = 1;
    pub const IMPOSSIBLE: i32 = 2;
    pub const TABLE_FULL: i32 = 3;
    pub const POLICY: i32 = -4;
    pub const CLOSED: i32 = -6;
    pub const AMOUNTS: i32 = -8;
    pub const POLICIES: i32 = -20;
    pub const NAME: i32 = -21;
    pub const DUPLICATE_NAME: i32 = -22;
    pub const LIMIT: i32 = -23;
    pub const MAX_LIMIT: i32 = -24;
    pub const WINDOW: i32 = -25;
    pub const BUCKETS: i32 = -26;
    pub const OFFSET: i32 = -27;
    pub const ALLOWANCE: i32 = -29;
}

/// One limiter and the calls made to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub name: String,
    pub limiter: Setup,
    /// The configuration error. A case with an error has no calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<BuildError>,
    pub calls: Vec<Call>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    pub policies: Vec<Policy>,
}

/// A policy with a window or a period, never both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    pub limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Hour = 1,
    Day = 2,
    Month = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    Deny,
    Allow,
    EvictLightest(u64),
}

/// A configuration error: its C status, which is negative, the index of its policy, and its message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildError {
    pub status: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<usize>,
    pub message: String,
}

/// An operation at one instant, and its expected answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub monotonic_ns: u64,
    pub unix_ns: u64,
    #[serde(flatten)]
    pub operation: Operation,
    pub expect: Expect,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Check(Vec<Charge>),
    CheckWithStatus(Vec<Charge>),
    CheckMany(Vec<Charge>),
    Peek(Vec<Charge>),
    PeekWithStatus(Vec<Charge>),
    Charge(Vec<Charge>),
    Refund(Charge),
    ResetKey(Charge),
    SetLimit(usize, u64),
    /// The number of the reservation, and the charges to reserve.
    Reserve(usize, Vec<Charge>),
    Extend(usize, Vec<u64>),
    Settle(usize, Vec<u64>),
    Cancel(usize),
}

/// A charge. The policy is its index in the setup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    pub policy: usize,
    pub key: Key,
    pub cost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    Text(String),
    Number(u64),
    /// An address in network order (4 or 16 bytes), which counts by the default network.
    Ip(Vec<u8>),
    /// An address, and the prefix lengths by which IPv4 and IPv6 addresses count.
    Network(Vec<u8>, u8, u8),
    /// At most eight keys without parts.
    Parts(Vec<Key>),
    Shared,
}

/// The expected answer to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    Decision(Decision),
    /// One decision for each charge.
    Decisions(Vec<Decision>),
    /// The units given back.
    Units(u64),
    /// The C status of a call without a decision: an error, or a success that returns nothing else.
    Status(i32),
}

/// A decision: its C status (0 or above), the status of the deciding policy and, if requested, of each
/// item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub status: i32,
    #[serde(flatten)]
    pub deciding: PolicyStatus,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<PolicyStatus>,
}

/// The status of the policy that decided, or of one item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyStatus {
    pub policy: usize,
    pub limit: u64,
    pub remaining: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ns: Option<u64>,
    pub reset_after_ns: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub violated: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub table_full: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The cases of a file as JSON, one call per line, so that diffs are short.
pub fn to_json(cases: &[Case]) -> String {
    let case = |case: &Case| {
        let head = json(&Case { calls: Vec::new(), ..case.clone() });
        let head = head.strip_suffix("]}").expect("the calls come last");
        let calls: Vec<_> = case.calls.iter().map(|call| format!("\n  {}", json(call))).collect();
        format!("{head}{}]}}", calls.join(","))
    };
    format!("[\n{}\n]\n", cases.iter().map(case).collect::<Vec<_>>().join(",\n"))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

pub fn from_json(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{path:?}: {why}"));
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{path:?}: {why}"))
}

impl Case {
    /// The input of a program: the limiter, then its calls. Texts are an x and hexadecimal digits.
    pub fn script(&self) -> String {
        let Setup { max_keys, overflow, policies } = &self.limiter;
        let mut script = format!("limiter {} {}\n", max_keys.unwrap_or_default(), Mode(*overflow));
        for policy in policies {
            writeln!(script, "policy {policy}").expect("a string");
        }
        script.push_str("build\n");
        for Call { monotonic_ns, unix_ns, operation, .. } in &self.calls {
            writeln!(script, "at {monotonic_ns} {unix_ns} {operation}").expect("a string");
        }
        script
    }

    /// The expected output: a line for the limiter and for each call.
    pub fn lines(&self) -> Vec<String> {
        let built = self.error.as_ref().map_or("0".into(), BuildError::to_string);
        let calls = self.calls.iter().map(|call| call.expect.to_string());
        std::iter::once(built).chain(calls).collect()
    }

    /// Panics if the printed lines differ from the expected ones.
    pub fn compare(&self, printed: &[&str]) {
        let expected = self.lines();
        for (index, expected) in expected.iter().enumerate() {
            // The first line is about the limiter.
            let call = index.checked_sub(1).map(|call| &self.calls[call]);
            let printed = printed.get(index).copied().unwrap_or("nothing");
            assert_eq!(printed, expected, "{}, line {index}: {call:?}", self.name);
        }
        assert_eq!(printed.len(), expected.len(), "{}", self.name);
    }
}

impl Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BuildError { status, policy, message } = self;
        match policy {
            Some(index) => write!(f, "{status} policies[{index}]: {message}"),
            None => write!(f, "{status} {message}"),
        }
    }
}

/// An x and hexadecimal digits.
struct Hex<'t>(&'t [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('x')?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The C number of an overflow mode, and its allowance.
struct Mode(Option<Overflow>);

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("0 0"),
            Some(Overflow::Deny) => f.write_str("1 0"),
            Some(Overflow::Allow) => f.write_str("2 0"),
            Some(Overflow::EvictLightest(allowance)) => write!(f, "3 {allowance}"),
        }
    }
}

/// 0 for an unset field, as in C.
impl Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = u8::from(self.period.is_some());
        write!(f, "{kind} {} {}", Hex(self.name.as_bytes()), self.limit)?;
        write!(f, " {}", self.window_ns.unwrap_or_default())?;
        write!(f, " {}", self.period.map_or(0, |period| period as u8))?;
        write!(f, " {}", self.offset_seconds.unwrap_or_default())?;
        write!(f, " {}", self.max_limit.unwrap_or_default())?;
        write!(f, " {}", self.max_keys.unwrap_or_default())?;
        write!(f, " {} {}", self.buckets.unwrap_or_default(), Mode(self.overflow))?;
        write!(f, " {}", u8::from(self.dry_run) << 2)
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Check(charges) => write!(f, "check{}", List(charges)),
            Operation::CheckWithStatus(charges) => write!(f, "check_with_status{}", List(charges)),
            Operation::CheckMany(charges) => write!(f, "check_many{}", List(charges)),
            Operation::Peek(charges) => write!(f, "peek{}", List(charges)),
            Operation::PeekWithStatus(charges) => write!(f, "peek_with_status{}", List(charges)),
            Operation::Charge(charges) => write!(f, "charge{}", List(charges)),
            Operation::Refund(charge) => write!(f, "refund {charge}"),
            Operation::ResetKey(charge) => write!(f, "reset_key {charge}"),
            Operation::SetLimit(policy, limit) => write!(f, "set_limit {policy} {limit}"),
            Operation::Reserve(number, charges) => write!(f, "reserve {number}{}", List(charges)),
            Operation::Extend(number, amounts) => write!(f, "extend {number}{}", List(amounts)),
            Operation::Settle(number, amounts) => write!(f, "settle {number}{}", List(amounts)),
            Operation::Cancel(number) => write!(f, "cancel {number}"),
        }
    }
}

/// A count, then each element.
struct List<'t, T>(&'t [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", self.0.len())?;
        self.0.iter().try_for_each(|item| write!(f, " {item}"))
    }
}

impl Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A charge without a limit of its own has the number of TOLLGATE_POLICY_LIMIT.
        let limit = self.limit.unwrap_or(u64::MAX);
        write!(f, "{} {} {} {limit}", self.policy, self.key, self.cost)
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Text(text) => write!(f, "text {}", Hex(text.as_bytes())),
            Key::Number(number) => write!(f, "number {number}"),
            Key::Ip(bytes) => write!(f, "ip {}", Hex(bytes)),
            Key::Network(bytes, v4, v6) => write!(f, "network {} {v4} {v6}", Hex(bytes)),
            Key::Parts(parts) => write!(f, "parts{}", List(parts)),
            Key::Shared => f.write_str("shared"),
        }
    }
}

impl Expect {
    /// Returns whether this is a decision with this status.
    pub fn has_status(&self, status: i32) -> bool {
        matches!(self, Expect::Decision(decision) if decision.status == status)
    }
}

impl Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Decision(decision) => write!(f, "{decision}"),
            Expect::Decisions(decisions) => {
                let allowed = decisions.iter().filter(|decision| decision.status == 0).count();
                write!(f, "{allowed}")?;
                decisions.iter().try_for_each(|decision| write!(f, "; {decision}"))
            }
            Expect::Units(units) => write!(f, "0 {units}"),
            Expect::Status(status) => write!(f, "{status}"),
        }
    }
}

impl Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wait = if self.status == 0 { 0 } else { u64::MAX };
        write!(f, "{} {}", self.status, self.deciding.numbers(wait))?;
        let wait = |layer: &PolicyStatus| if layer.violated { u64::MAX } else { 0 };
        self.layers.iter().try_for_each(|layer| write!(f, "; {}", layer.numbers(wait(layer))))
    }
}

impl PolicyStatus {
    /// All fields as numbers, with `wait` for an absent `retry_after`.
    fn numbers(&self, wait: u64) -> String {
        let PolicyStatus { policy, limit, remaining, reset_after_ns, .. } = self;
        let wait = self.retry_after_ns.unwrap_or(wait);
        let flags = [self.table_full, self.violated, self.dry_run];
        let flags = (0..).zip(flags).fold(0, |flags, (bit, on)| flags | u8::from(on) << bit);
        format!("{policy} {limit} {remaining} {wait} {reset_after_ns} {flags}")
    }
}
