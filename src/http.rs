//! HTTP header fields and bodies for decisions, as plain names and values for any HTTP library.
//!
//! | part of the response | made from | source |
//! |---|---|---|
//! | [`STATUS_TOO_MANY_REQUESTS`] | | RFC 6585, section 4 |
//! | [`RETRY_AFTER`]: [`retry_after_seconds`] | [`Decision::retry_after`] | RFC 9110, section 10.2.3 |
//! | [`RATE_LIMIT_POLICY`]: [`RateLimitPolicyDraft11`] | [`Item`]s | draft-ietf-httpapi-ratelimit-headers-11, section 3 |
//! | [`RATE_LIMIT`]: [`RateLimitDraft11`] | [`Item`]s | the same, section 4 |
//! | a body of [`PROBLEM_JSON`]: [`QuotaExceeded`] | [`Item`]s | the same, section 5.1; RFC 9457 |
//! | `x-ratelimit-*`: [`XRateLimitDelta`] | a [`Decision`] or [`PolicyStatus`] | none: convention |
//!
//! The draft is an Internet-Draft: work in progress, not an RFC. Earlier drafts had other fields
//! under the same names, and later drafts may change them again. So the types here have the number
//! of the draft in their names, and a new draft will get new types.
//!
//! Field names are in lower case, as HTTP/2 and HTTP/3 require and HTTP/1.1 accepts. Values
//! implement [`Display`]: `to_string()` returns a `String`, and `write!` writes to a buffer without
//! allocating. Field values are printable ASCII, whatever the policy names are. So no policy name can
//! end a field or begin another.
//!
//! # Fields for each verdict
//!
//! - [`Allowed`](crate::Verdict::Allowed): the two `ratelimit` fields, if clients should see them.
//! - [`Denied`](crate::Verdict::Denied): status 429, `retry-after`, the problem body, and the two
//!   `ratelimit` fields.
//! - [`Impossible`](crate::Verdict::Impossible): the same without `retry-after`. No wait helps, and
//!   [`Decision::retry_after`] is `None`.
//! - [`TableFull`](crate::Verdict::TableFull) and [`Invalid`](crate::Verdict::Invalid): status 503
//!   and 500. No quota was exceeded; the fault is the server's.
//!
//! `retry-after` is never less than the `t` of any policy that had no room, and clients give it
//! precedence over `t`. When a calendar budget restarts at midnight, all clients that exhausted it
//! return at midnight. To spread them, add some random seconds to the wait before you write it
//! (section 8.5 of the draft).
//!
//! ```
//! use std::fmt::Write;
//! use tollgate::{Decision, http::{self, Item}};
//!
//! /// The status, headers and body of a denial.
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

/// The name of the field with the value of [`retry_after_seconds`] (RFC 9110, section 10.2.3).
pub const RETRY_AFTER: &str = "retry-after";

/// The name of the field with the value of [`RateLimitPolicyDraft11`].
pub const RATE_LIMIT_POLICY: &str = "ratelimit-policy";

/// The name of the field with the value of [`RateLimitDraft11`].
pub const RATE_LIMIT: &str = "ratelimit";

/// The media type of a [`QuotaExceeded`] body (RFC 9457, section 3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Returns the value of `retry-after`: whole seconds, rounded up, at least 1 (RFC 9110, section
/// 10.2.3).
///
/// A value rounded down would send the client back too early. A wait beyond `u64::MAX` seconds
/// saturates.
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

/// One policy of a request for the HTTP fields: its name, window and status.
///
/// [`Limiter::http_items`](crate::Limiter::http_items) makes items from statuses. The types that
/// take items accept a `&[Item]`, or any other cloneable iterable of items or of references to items.
/// The two `ratelimit` fields have one member for each item, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item<'a> {
    /// The policy's name.
    pub name: &'a str,
    /// The time over which the limit counts. For a calendar budget it is
    /// [`Period::longest`](crate::Period::longest), so that the field stays the same all year.
    pub window: Duration,
    /// The unit that the limit counts, such as `"tokens"`. `None` means requests.
    pub unit: Option<&'a str>,
    /// The status of the policy after the decision.
    pub status: PolicyStatus,
}

impl<'a> Item<'a> {
    /// Returns an item that counts requests.
    pub fn new(name: &'a str, window: Duration, status: PolicyStatus) -> Self {
        Self { name, window, unit: None, status }
    }

    /// Returns the same item with another unit.
    pub fn with_unit(self, unit: &'a str) -> Self {
        Self { unit: Some(unit), ..self }
    }
}

/// The value of `ratelimit-policy`: the policies and their limits
/// (draft-ietf-httpapi-ratelimit-headers-11, section 3).
///
/// Do not send the field without items, because its value would be empty.
///
/// `q` is the limit in units, and `w` the window in seconds, rounded up, at least 1. A unit that
/// the draft registers (`requests`, `content-bytes`, `concurrent-requests`) is sent as `qu`. Any
/// other unit, such as tokens, is sent as `tollgate-unit`, because the draft requires a prefix for
/// additional parameters. A client that does not know that parameter assumes requests. No partition
/// key (`pk`) is sent, because keys can be personal data.
///
/// Strings and integers follow the structured fields of RFC 9651. A character outside printable
/// ASCII becomes `?`. A number above 999 999 999 999 999 becomes that number.
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

/// The units registered by the draft (section 10.3), spelled as in its section 3.1.2.
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
            write!(f, ";q={}", SfInteger(item.status.limit))?;
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

/// The value of `ratelimit`: the current status of the policies
/// (draft-ietf-httpapi-ratelimit-headers-11, section 4).
///
/// Do not send the field without items, because its value would be empty.
///
/// `r` is the number of remaining units. `t` is a time in seconds, rounded up. It is
/// [`PolicyStatus::retry_after`] if the policy had no room and a wait helps. Otherwise, also for a
/// charge above its limit, it is [`PolicyStatus::reset_after`]. A client that uses no more than `r`
/// units during `t` is not denied by that policy. A sliding window frees its units little by little,
/// so more may be free earlier. Strings and integers are written as in [`RateLimitPolicyDraft11`].
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
            let Item { name, status, .. } = item.borrow();
            let wait_s = ceil_seconds(status.retry_after().unwrap_or(status.reset_after()));
            write!(f, "{separator}{}", SfString(name))?;
            write!(f, ";r={}", SfInteger(status.remaining))?;
            write!(f, ";t={}", SfInteger(wait_s))?;
            separator = ", ";
        }
        Ok(())
    }
}

/// A problem body of type `quota-exceeded` (draft-ietf-httpapi-ratelimit-headers-11, section 5.1;
/// RFC 9457).
///
/// Its media type is [`PROBLEM_JSON`], its status 429. `violated-policies` names every policy that had
/// no room, not only the deciding one. The body is one line of UTF-8 without a line end.
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
    /// Returns the body for these items, without a `detail` member.
    pub fn new(items: I) -> Self {
        Self { items, detail: None }
    }

    /// Returns the same body with a `detail` member: a human-readable explanation of this denial.
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
            if item.status.violated {
                write!(f, "{separator}{}", JsonString(item.name))?;
                separator = ",";
            }
        }
        f.write_str("]}")
    }
}

/// The conventional `x-ratelimit-*` fields for one policy, with the reset in seconds from now.
///
/// No document defines these fields. Some servers send a Unix time as `x-ratelimit-reset`. This
/// type sends a difference ("delta"), which needs no common clock. The fields describe one policy.
/// For several policies, use the [`Decision`], which describes the deciding one.
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
    /// The units left of that limit.
    pub remaining: u64,
    /// Seconds until the whole limit is free, rounded up. It assumes no other charges meanwhile.
    pub reset_s: u64,
}

impl XRateLimitDelta {
    /// Returns the names and values of the three fields.
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
    fn from(status: &PolicyStatus) -> Self {
        Self {
            limit: status.limit,
            remaining: status.remaining,
            reset_s: ceil_seconds(status.reset_after()),
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
                // A line end would end the field. Validated policy names have none.
                _ => f.write_char('?')?,
            }
        }
        f.write_char('"')
    }
}

/// A JSON string (RFC 8259, section 7) that escapes only what must be escaped.
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

    // A unit test, because code outside of the crate cannot construct a decision.
    #[test]
    fn x_rate_limit_reports_the_deciding_policy() {
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
