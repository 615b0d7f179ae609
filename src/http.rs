//! Decisions as HTTP fields and bodies: plain names and values, for any HTTP library.
//!
//! | what | from | source |
//! |---|---|---|
//! | [`STATUS_TOO_MANY_REQUESTS`] | | RFC 6585, section 4 |
//! | [`RETRY_AFTER`]: [`retry_after_seconds`] | [`Decision::retry_after`] | RFC 9110, section 10.2.3 |
//! | [`RATE_LIMIT_POLICY`]: [`RateLimitPolicyDraft11`] | [`Item`]s | draft-ietf-httpapi-ratelimit-headers-11, section 3 |
//! | [`RATE_LIMIT`]: [`RateLimitDraft11`] | [`Item`]s | the same, section 4 |
//! | a body of [`PROBLEM_JSON`]: [`QuotaExceeded`] | [`Item`]s | the same, section 5.1; RFC 9457 |
//! | `x-ratelimit-*`: [`XRateLimitDelta`] | a [`Decision`] or [`PolicyStatus`] | none: a custom |
//!
//! The draft is an Internet-Draft, work in progress and not an RFC: earlier ones had other fields
//! under the same names, and a later one may again. So its number is in the names here, and a new
//! draft will get new types.
//!
//! Field names are in lower case, which HTTP/2 and HTTP/3 require and HTTP/1.1 does not mind.
//! Values implement [`Display`]: `to_string()` gives a `String`, `write!` writes into the host's
//! own buffer and allocates nothing. Field values are visible ASCII whatever the names hold, so
//! that no name can end a field or begin another.
//!
//! # Which fields when
//!
//! - [`Allowed`](crate::Verdict::Allowed): the two `ratelimit` fields, if clients are to see them.
//! - [`Denied`](crate::Verdict::Denied): status 429, `retry-after`, the problem body, and those
//!   fields.
//! - [`Impossible`](crate::Verdict::Impossible): as denied, but without `retry-after`: no wait
//!   helps, and [`Decision::retry_after`] is `None`.
//! - [`TableFull`](crate::Verdict::TableFull) and [`Invalid`](crate::Verdict::Invalid): no quota
//!   was exceeded; these are the server's own troubles (503 and 500).
//!
//! `retry-after` is never earlier than the `t` of a violated policy, and clients give it
//! precedence. Where a budget begins anew at midnight, all who ran out return at midnight; a host
//! that minds adds some random seconds to those waits before it writes them (section 8.5 of the
//! draft).
//!
//! ```
//! use std::fmt::Write;
//! use tollgate::{Decision, http::{self, Item}};
//!
//! /// The head and body of a refusal.
//! fn refuse(decision: &Decision, items: &[Item<'_>]) -> Result<(u16, String), std::fmt::Error> {
//!     let mut response = String::new();
//!     if let Some(wait) = decision.retry_after() {
//!         writeln!(response, "{}: {}", http::RETRY_AFTER, http::retry_after_seconds(wait))?;
//!     }
//!     writeln!(response, "{}: {}", http::RATE_LIMIT_POLICY, http::RateLimitPolicyDraft11(items))?;
//!     writeln!(response, "{}: {}", http::RATE_LIMIT, http::RateLimitDraft11(items))?;
//!     writeln!(response, "content-type: {}\n", http::PROBLEM_JSON)?;
//!     write!(response, "{}", http::QuotaExceeded::new(items))?;
//!     Ok((http::STATUS_TOO_MANY_REQUESTS, response))
//! }
//! ```

use std::borrow::Borrow;
use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

use crate::decision::{Decision, PolicyStatus};

/// Status 429, "Too Many Requests" (RFC 6585, section 4).
pub const STATUS_TOO_MANY_REQUESTS: u16 = 429;

/// The name of the field that [`retry_after_seconds`] is the value of (RFC 9110, section 10.2.3).
pub const RETRY_AFTER: &str = "retry-after";

/// The name of the field that [`RateLimitPolicyDraft11`] is the value of.
pub const RATE_LIMIT_POLICY: &str = "ratelimit-policy";

/// The name of the field that [`RateLimitDraft11`] is the value of.
pub const RATE_LIMIT: &str = "ratelimit";

/// The media type of a [`QuotaExceeded`] body (RFC 9457, section 3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The value of `retry-after`: whole seconds, rounded up, at least 1 (RFC 9110, section 10.2.3).
///
/// Rounded down it would send the client back too early, for another refusal. A wait beyond
/// `u64::MAX` seconds is that many.
///
/// ```
/// use std::time::Duration;
/// use tollgate::http::retry_after_seconds;
/// assert_eq!(retry_after_seconds(Duration::from_millis(36_001)), 37);
/// assert_eq!(retry_after_seconds(Duration::from_nanos(1)), 1);
/// assert_eq!(retry_after_seconds(Duration::ZERO), 1);
/// ```
pub fn retry_after_seconds(wait: Duration) -> u64 {
    ceil_seconds(wait).max(1)
}

fn ceil_seconds(time: Duration) -> u64 {
    let part = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(part)
}

/// One policy of a request, as the fields tell of it: its name and window, and how it stands.
///
/// Whatever takes items takes a `&[Item]` or any other cloneable iterable of items or of
/// references. It makes one member of each item, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item<'a> {
    /// The policy's name.
    pub name: &'a str,
    /// The time over which the limit counts; for a calendar budget the longest that its period
    /// lasts, so that the field stays the same all year.
    pub window: Duration,
    /// What the limit counts, such as `"tokens"`; `None` says requests.
    pub unit: Option<&'a str>,
    /// How the policy stands after the decision.
    pub layer: PolicyStatus,
}

impl<'a> Item<'a> {
    /// An item that counts requests.
    pub fn new(name: &'a str, window: Duration, layer: PolicyStatus) -> Self {
        Self { name, window, unit: None, layer }
    }

    /// The same item, counting `unit`.
    pub fn with_unit(self, unit: &'a str) -> Self {
        Self { unit: Some(unit), ..self }
    }
}

/// The value of `ratelimit-policy`: what the policies are (draft-ietf-httpapi-ratelimit-headers-11,
/// section 3). Send no field when there are no items: its value would be empty.
///
/// `q` is the limit in units and `w` the window in seconds, rounded up and at least 1. A unit that
/// the draft registers (`requests`, `content-bytes`, `concurrent-requests`) is its `qu` parameter.
/// The draft has no name for others, such as tokens, and bids servers to prefix what they add:
/// those are a `tollgate-unit` parameter, and a client that does not know it takes them for
/// requests. No partition key (`pk`) is sent, as keys can be personal.
///
/// Strings and integers are those of structured fields (RFC 9651): a character outside printable
/// ASCII is replaced by `?`, and a number above 999 999 999 999 999 by that.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{PolicyStatus, http::{Item, RateLimitPolicyDraft11}};
///
/// let (mut user, mut tokens) = (PolicyStatus::default(), PolicyStatus::default());
/// (user.limit, tokens.limit) = (20, 10_000);
/// let items = [
///     Item::new("user", Duration::from_secs(60), user),
///     Item::new("daily-tokens", Duration::from_secs(86_400), tokens).with_unit("tokens"),
/// ];
/// assert_eq!(
///     RateLimitPolicyDraft11(&items).to_string(),
///     r#""user";q=20;w=60, "daily-tokens";q=10000;w=86400;tollgate-unit="tokens""#,
/// );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RateLimitPolicyDraft11<I>(pub I);

/// The units of the draft's registry (section 10.3), as its section 3.1.2 spells them.
const REGISTERED_UNITS: [&str; 3] = ["requests", "content-bytes", "concurrent-requests"];

impl<'a, I> Display for RateLimitPolicyDraft11<I>
where
    I: Clone + IntoIterator<Item: Borrow<Item<'a>>>,
{
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for item in self.0.clone() {
            let item = item.borrow();
            let window_s = ceil_seconds(item.window).max(1);
            write!(f, "{separator}{}", SfString(item.name))?;
            write!(f, ";q={}", SfInteger(item.layer.limit))?;
            write!(f, ";w={}", SfInteger(window_s))?;
            if let Some(unit) = item.unit {
                let registered = REGISTERED_UNITS.contains(&unit);
                let key = if registered { "qu" } else { "tollgate-unit" };
                write!(f, ";{key}={}", SfString(unit))?;
            }
            separator = ", ";
        }
        Ok(())
    }
}

/// The value of `ratelimit`: how the policies stand now (draft-ietf-httpapi-ratelimit-headers-11,
/// section 4). Send no field when there are no items: its value would be empty.
///
/// `r` is what is left, in units, and `t` the seconds within which the client can use no more than
/// that, rounded up: [`PolicyStatus::retry_after`] where the policy had no room, else
/// [`PolicyStatus::reset_after`]. Who keeps to `r` for the time `t` is not refused by that policy; as a
/// sliding window frees its units one by one, more may be free before. Strings and integers are as
/// in [`RateLimitPolicyDraft11`].
///
/// ```
/// use std::time::Duration;
/// use tollgate::{PolicyStatus, http::{Item, RateLimitDraft11}};
///
/// let mut user = PolicyStatus::default();
/// (user.limit, user.remaining, user.violated) = (20, 0, true);
/// user.retry_after_ns = Some(36_200_000_000);
/// let items = [Item::new("user", Duration::from_secs(60), user)];
/// assert_eq!(RateLimitDraft11(&items).to_string(), r#""user";r=0;t=37"#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RateLimitDraft11<I>(pub I);

impl<'a, I> Display for RateLimitDraft11<I>
where
    I: Clone + IntoIterator<Item: Borrow<Item<'a>>>,
{
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for item in self.0.clone() {
            let Item { name, layer, .. } = item.borrow();
            let wait_s = ceil_seconds(layer.retry_after().unwrap_or(layer.reset_after()));
            write!(f, "{separator}{}", SfString(name))?;
            write!(f, ";r={}", SfInteger(layer.remaining))?;
            write!(f, ";t={}", SfInteger(wait_s))?;
            separator = ", ";
        }
        Ok(())
    }
}

/// A problem body of type `quota-exceeded` (draft-ietf-httpapi-ratelimit-headers-11, section 5.1;
/// RFC 9457), of media type [`PROBLEM_JSON`] and status 429.
///
/// `violated-policies` names every policy that had no room, not only the one that decided. One line
/// of UTF-8, no line end.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{PolicyStatus, http::{Item, QuotaExceeded}};
///
/// let (mut user, ip) = (PolicyStatus::default(), PolicyStatus::default());
/// user.violated = true;
/// let minute = Duration::from_secs(60);
/// let items = [Item::new("ip", minute, ip), Item::new("user", minute, user)];
/// assert_eq!(
///     QuotaExceeded::new(&items).detail("20 requests a minute").to_string(),
///     concat!(
///         r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","#,
///         r#""title":"Request cannot be satisfied as assigned quota has been exceeded","#,
///         r#""status":429,"detail":"20 requests a minute","violated-policies":["user"]}"#,
///     ),
/// );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct QuotaExceeded<'d, I> {
    items: I,
    detail: Option<&'d str>,
}

impl<'d, I> QuotaExceeded<'d, I> {
    /// The body for these items, without a `detail` member.
    pub fn new(items: I) -> Self {
        Self { items, detail: None }
    }

    /// The same body with a `detail` member: what happened this time, for people to read.
    pub fn detail(self, detail: &'d str) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

impl<'a, I> Display for QuotaExceeded<'_, I>
where
    I: Clone + IntoIterator<Item: Borrow<Item<'a>>>,
{
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(concat!(
            r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","#,
            r#""title":"Request cannot be satisfied as assigned quota has been exceeded","#,
        ))?;
        write!(f, r#""status":{STATUS_TOO_MANY_REQUESTS},"#)?;
        if let Some(detail) = self.detail {
            write!(f, r#""detail":{},"#, JsonString(detail))?;
        }
        f.write_str(r#""violated-policies":["#)?;
        let mut separator = "";
        for item in self.items.clone() {
            let item = item.borrow();
            if item.layer.violated {
                write!(f, "{separator}{}", JsonString(item.name))?;
                separator = ",";
            }
        }
        f.write_str("]}")
    }
}

/// The customary `x-ratelimit-*` fields for one policy, with the reset as seconds from now.
///
/// No document defines them, and servers disagree on `x-ratelimit-reset`: some send a Unix time. A
/// difference needs no clock that client and server share, so that is what this type gives, and
/// says so in its name. The fields have room for one policy: for several send that of the
/// [`Decision`].
///
/// ```
/// use std::time::Duration;
/// use tollgate::{PolicyStatus, http::XRateLimitDelta};
///
/// let mut user = PolicyStatus::default();
/// (user.limit, user.remaining) = (20, 12);
/// user.reset_after_ns = 36_200_000_000;
/// assert_eq!(
///     XRateLimitDelta::from(&user).fields(),
///     [("x-ratelimit-limit", 20), ("x-ratelimit-remaining", 12), ("x-ratelimit-reset", 37)],
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct XRateLimitDelta {
    /// The limit, in units of cost.
    pub limit: u64,
    /// What is left of it, in units of cost.
    pub remaining: u64,
    /// Seconds until the whole limit is free again if nobody spends, rounded up.
    pub reset_s: u64,
}

impl XRateLimitDelta {
    /// The names and values of the three fields.
    pub fn fields(self) -> [(&'static str, u64); 3] {
        [
            ("x-ratelimit-limit", self.limit),
            ("x-ratelimit-remaining", self.remaining),
            ("x-ratelimit-reset", self.reset_s),
        ]
    }
}

impl From<&Decision> for XRateLimitDelta {
    fn from(decision: &Decision) -> Self {
        Self {
            limit: decision.limit,
            remaining: decision.remaining,
            reset_s: ceil_seconds(decision.reset_after()),
        }
    }
}

impl From<&PolicyStatus> for XRateLimitDelta {
    fn from(layer: &PolicyStatus) -> Self {
        Self {
            limit: layer.limit,
            remaining: layer.remaining,
            reset_s: ceil_seconds(layer.reset_after()),
        }
    }
}

/// An integer of a structured field (RFC 9651, section 3.3.1): at most fifteen digits.
struct SfInteger(u64);

impl Display for SfInteger {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const MAX: u64 = 999_999_999_999_999;
        Display::fmt(&self.0.min(MAX), f)
    }
}

/// A string of a structured field (RFC 9651, section 3.3.3): printable ASCII in quotes.
struct SfString<'a>(&'a str);

impl Display for SfString<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => f.write_char(c)?,
                // A line end here would end the field; validated names hold none.
                _ => f.write_char('?')?,
            }
        }
        f.write_char('"')
    }
}

/// A JSON string (RFC 8259, section 7): only what must be escaped is.
struct JsonString<'a>(&'a str);

impl Display for JsonString<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(c))?,
                _ => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::PolicyId;
    use crate::decision::Verdict;

    // Here because a decision cannot be made outside of the crate, nor by hand.
    #[test]
    fn x_rate_limit_tells_of_the_deciding_policy() {
        let decision = Decision {
            verdict: Verdict::Denied,
            policy: PolicyId::default(),
            limit: 20,
            remaining: 3,
            retry_after_ns: Some(2_000_000_000),
            reset_after_ns: 36_000_000_001,
            table_full: false,
        };
        let values = XRateLimitDelta::from(&decision).fields().map(|field| field.1);
        assert_eq!(values, [20, 3, 37]);
    }
}
