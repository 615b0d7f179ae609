//! Common and Combined Log Format: `host ident user [time] "request" status bytes`.
//!
//! The rest of a line is ignored. A virtual host in front of the host is left out, and of a list of
//! addresses in place of the host (`X-Forwarded-For`), the first is the host.

use super::lines::Line;
use super::{Parsed, Parser, Reason, Request, Unread, Values, time};
use crate::{address, text};

/// The names of the fields of a line.
pub const FIELDS: [&str; 5] = ["ip", "user", "path", "status", "bytes"];

/// The parser. It has no state between lines.
pub struct Clf {
    names: [String; FIELDS.len()],
}

impl Default for Clf {
    fn default() -> Self {
        Clf { names: FIELDS.map(str::to_owned) }
    }
}

impl Parser for Clf {
    fn line<'l>(&'l mut self, line: Line<'l>) -> Parsed<'l> {
        if line.whole && line.text.trim_ascii().is_empty() {
            return Parsed::Nothing;
        }
        let parsed = if line.whole { fields(line.text) } else { Err(Reason::TooLong) };
        match parsed {
            Err(reason) => Parsed::Bad { line: line.number, text: Unread::Line(line.text), reason },
            Ok((unix_ns, values)) => Parsed::Request(Request {
                line: line.number,
                unix_ns,
                names: &self.names,
                values: Values::Slices(values),
            }),
        }
    }

    fn end(&mut self) -> Parsed<'_> {
        Parsed::Nothing
    }
}

/// Parses the time and the field values of a line.
fn fields(line: &[u8]) -> Result<(u64, [&[u8]; FIELDS.len()]), Reason> {
    let Client { host, user, rest } = client(line)?;
    let time_end = memchr::memchr(b']', rest).ok_or(Reason::NoPart("[time]"))?;
    let (when, rest) = (&rest[..time_end], &rest[time_end + 1..]);
    let rest = rest.strip_prefix(b" \"").ok_or(Reason::NoPart("\"request\""))?;
    let request_end = closing_quote(rest).ok_or(Reason::NoPart("\"request\""))?;
    let (request, rest) = (&rest[..request_end], &rest[request_end + 1..]);
    let rest = rest.strip_prefix(b" ").ok_or(Reason::NoPart("status"))?;
    let (status, rest) = word(rest, "status")?;
    let bytes = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
    let unix_ns =
        time::clf(when).map_err(|error| Reason::Time { value: text::excerpt(when), error })?;
    number(status, "status")?;
    number(bytes, "bytes")?;
    Ok((unix_ns, [host, user, path(request), status, bytes]))
}

/// The start of a line, up to the time.
struct Client<'l> {
    host: &'l [u8],
    user: &'l [u8],
    /// The time and what follows it.
    rest: &'l [u8],
}

/// Splits off the start of a line.
fn client(line: &[u8]) -> Result<Client<'_>, Reason> {
    let (first, rest) = host(line)?;
    let (second, user_and_time) = word(rest, "ident")?;
    // A user may contain spaces, so it ends where the time begins.
    let user_end = memchr::memmem::find(user_and_time, b" [").ok_or(Reason::NoPart("[time]"))?;
    let (user, time) = (&user_and_time[..user_end], &user_and_time[user_end + 2..]);
    let client = |host, user| Client { host, user: without_quotes(user), rest: time };
    let second_is_address = is_address(second);
    if second_is_address && is_address(first) {
        let [host, ident] = [first, second].map(text::excerpt);
        return Err(Reason::TwoAddresses { host, ident });
    }
    // Without a virtual host in front, the second word is the ident, which is `-` almost everywhere.
    if !second_is_address && (second == b"-" || !user.starts_with(b"- ")) {
        return Ok(client(first, user));
    }
    let (host, rest) = host(&rest[..rest.len() - time.len() - 2])?;
    let user = match memchr::memchr(b' ', rest) {
        Some(ident_end) => &rest[ident_end + 1..],
        None => rest,
    };
    Ok(client(host, user))
}

/// Splits off the host. Of a list of addresses, which has a space after each comma, it is the first one.
fn host(line: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let (first, mut rest) = word(line, "host")?;
    let mut last = first;
    while last.ends_with(b",") {
        (last, rest) = word(rest, "host")?;
    }
    Ok((first.strip_suffix(b",").unwrap_or(first), rest))
}

fn is_address(word: &[u8]) -> bool {
    str::from_utf8(word).is_ok_and(|word| address::parse(word).is_some())
}

/// Some servers write an absent user as two quotes.
fn without_quotes(user: &[u8]) -> &[u8] {
    if user == b"\"\"" { b"" } else { user }
}

/// Splits a line at the first space.
fn word<'l>(line: &'l [u8], part: &'static str) -> Result<(&'l [u8], &'l [u8]), Reason> {
    match memchr::memchr(b' ', line) {
        None | Some(0) => Err(Reason::NoPart(part)),
        Some(end) => Ok((&line[..end], &line[end + 1..])),
    }
}

/// The index of the quote that ends a quoted field: the first quote that no backslash escapes.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })
}

fn number(value: &[u8], part: &'static str) -> Result<(), Reason> {
    match value {
        b"" => Err(Reason::NoPart(part)),
        b"-" => Ok(()),
        digits if digits.iter().all(u8::is_ascii_digit) => Ok(()),
        other => Err(Reason::BadPart { part, value: text::excerpt(other) }),
    }
}

/// The target of a request line without its query, or the whole line if it is not a request.
fn path(request: &[u8]) -> &[u8] {
    let Some(method_end) = memchr::memchr(b' ', request) else { return request };
    let (method, rest) = (&request[..method_end], &request[method_end + 1..]);
    if method.is_empty()
        || !method.iter().all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(byte))
    {
        return request;
    }
    // A careless client may send spaces in the target, so it ends where the protocol begins.
    let target = match memchr::memmem::rfind(rest, b" HTTP/") {
        Some(end) => &rest[..end],
        None => rest,
    };
    target.split(|byte| *byte == b'?').next().unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(u64, Vec<String>), Reason> {
        let (unix_ns, values) = fields(line.as_bytes())?;
        Ok((
            unix_ns,
            values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect(),
        ))
    }

    #[test]
    fn common_and_combined_lines_parse_alike() {
        let common =
            r#"::1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=1 HTTP/1.0" 200 2326"#;
        let expected = ["::1", "frank", "/a.gif", "200", "2326"].map(str::to_owned).to_vec();
        assert_eq!(parsed(common), Ok((971_211_336_000_000_000, expected.clone())));
        let combined = format!(r#"{common} "http://example.com/\"q\"" "agent (x) \"y\"""#);
        assert_eq!(parsed(&combined), Ok((971_211_336_000_000_000, expected)));
    }

    #[test]
    fn malformed_request_lines_are_accepted_as_paths() {
        let path_of = |request: &str| {
            let line = format!(r#"h.example - - [10/Oct/2000:13:55:36 -0700] "{request}" 400 -"#);
            parsed(&line).unwrap().1[2].clone()
        };
        assert_eq!(path_of("-"), "-");
        assert_eq!(path_of(""), "");
        assert_eq!(path_of(r"\x16\x03\x01\x02"), r"\x16\x03\x01\x02");
        assert_eq!(path_of(r#"GET /a\"b?c HTTP/1.1"#), r#"/a\"b"#);
        assert_eq!(path_of("GET /a b HTTP/1.1"), "/a b");
        assert_eq!(path_of("GET /old"), "/old");
        assert_eq!(path_of("?? /x"), "?? /x");
        assert_eq!(path_of(r"ends in \\"), "in \\\\");
    }

    #[test]
    fn a_user_may_contain_spaces() {
        let line = r#"a - john doe [10/Oct/2000:13:55:36 -0700] "-" 408 0"#;
        assert_eq!(parsed(line).unwrap().1[1], "john doe");
    }

    #[test]
    fn the_client_and_the_user_are_found_before_the_time() {
        let parsed = |head: &str| {
            let line = format!(r#"{head} [10/Oct/2000:13:55:36 -0700] "-" 408 0"#);
            parsed(&line).map(|(_, values)| values[..2].join("|"))
        };
        for (head, host_and_user) in [
            ("a.example - - ", "a.example|- "),
            ("a.example ident jo", "a.example|jo"),
            ("a.example ident jo doe", "a.example|jo doe"),
            ("a.example - \"\"", "a.example|"),
            ("v.example:443 192.0.2.1 - -", "192.0.2.1|-"),
            ("v.example 192.0.2.1 -", "192.0.2.1|-"),
            ("v.example [2001:db8::1]:80 ident jo doe", "[2001:db8::1]:80|jo doe"),
            ("v.example a.example - jo", "a.example|jo"),
            ("v.example a.example ident jo", "v.example|ident jo"),
            ("192.0.2.1, 192.0.2.2 - -", "192.0.2.1|-"),
            ("v.example 192.0.2.1, a.example, 192.0.2.3 - jo", "192.0.2.1|jo"),
        ] {
            assert_eq!(parsed(head), Ok(host_and_user.to_owned()), "{head}");
        }
        let (host, ident) = ("192.0.2.1:80".to_owned(), "192.0.2.2".to_owned());
        let expected = Err(Reason::TwoAddresses { host, ident });
        assert_eq!(parsed("192.0.2.1:80 192.0.2.2 - -"), expected);
        for head in ["192.0.2.1, ", "v.example 192.0.2.1,", "v.example 192.0.2.1, 192.0.2.2"] {
            assert!(parsed(head).is_err(), "{head}");
        }
    }

    #[test]
    fn a_truncated_line_is_an_error_that_names_the_missing_part() {
        let line = r#"a - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1"#;
        for end in 0..line.len() {
            assert!(parsed(&line[..end]).is_err(), "{}", &line[..end]);
        }
        assert_eq!(parsed(&line[..20]), Err(Reason::NoPart("[time]")));
        assert_eq!(
            parsed(&line.replace(" 200", " two")).unwrap_err().to_string(),
            "the status is not a number: \"two\""
        );
    }
}
