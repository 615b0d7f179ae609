//! An independent reader for simple, unambiguous lines.

use super::checking_sink::ReadRequest;
use super::civil;
use tollgate_cli::log::{Format, Options};

const MINUTE_NS: u64 = 60 * civil::SECOND;

/// Panics unless `requests` contains every simple line of the log, with the same values. Skips some logs.
pub fn check(log: &[u8], options: &Options, requests: &[ReadRequest]) {
    let Ok(text) = std::str::from_utf8(log) else { return };
    // Skip logs whose format is detected, logs with a byte order mark, and CSV logs with quotes or
    // carriage returns, in which a record may not be one line.
    match options.format {
        Some(Format::Clf) if !text.starts_with('\u{feff}') => check_clf(text, requests),
        Some(Format::Csv)
            if options.csv.time_unit.is_none() && !text.contains(['"', '\r', '\u{feff}']) =>
        {
            check_csv(text, options.csv.no_header, requests);
        }
        _ => {}
    }
}

fn check_clf(text: &str, requests: &[ReadRequest]) {
    for (number, line) in (1..).zip(text.split('\n')) {
        if let Some((unix_ns, values)) = clf(line) {
            check_line(requests, number, unix_ns, &values);
        }
    }
}

fn check_csv(text: &str, no_header: bool, requests: &[ReadRequest]) {
    let mut lines = (1..).zip(text.split('\n')).filter(|(_, line)| !line.is_empty()).peekable();
    let Some((_, header)) = lines.peek().copied() else { return };
    if !no_header {
        lines.next();
        // Only a header with digits or colons can look like a request.
        if header.contains(|c: char| c.is_ascii_digit() || c == ':') {
            return;
        }
    }
    for (number, line) in lines {
        let values: Vec<&str> = line.split(',').collect();
        if values.len() == header.split(',').count()
            && let Some(unix_ns) = iso(values[0])
        {
            check_line(requests, number, unix_ns, &values);
        }
    }
}

fn check_line(requests: &[ReadRequest], number: u64, unix_ns: u64, values: &[&str]) {
    let found = requests.iter().find(|request| request.line == number);
    let found = found.unwrap_or_else(|| panic!("line {number} was not read"));
    assert_eq!(found.unix_ns, unix_ns);
    assert!(found.values.iter().map(Vec::as_slice).eq(values.iter().map(|value| value.as_bytes())));
}

/// Parses `host ident user [time zone] "METHOD target HTTP/1.1" status bytes`.
///
/// Returns `None` if any part is unusual.
fn clf(line: &str) -> Option<(u64, Vec<&str>)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [host, ident, user, when, zone, method, target, protocol, status, bytes] = words[..] else {
        return None;
    };
    let unix_ns = clf_time(when.strip_prefix('[')?, zone.strip_suffix(']')?)?;
    let is_usual = |c: char| c.is_ascii_alphanumeric() || "./-_:".contains(c);
    let usual = [host, ident, user, target].iter().all(|word| {
        let usual = !word.is_empty() && word.chars().all(is_usual);
        usual && !word.starts_with("HTTP/")
    });
    // An ident that is an address follows a virtual host.
    let usual = usual && !ident.contains(['.', ':']);
    let method = method.strip_prefix('"')?;
    let named = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let numbers = digits(status) && (digits(bytes) || bytes == "-");
    (usual && named && numbers && protocol == "HTTP/1.1\"")
        .then(|| (unix_ns, vec![host, user, target, status, bytes]))
}

/// Parses `17/May/2015:10:05:03` and `+0530`.
fn clf_time(when: &str, zone: &str) -> Option<u64> {
    let [date, hour, minute, second] = when.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    let [day, month, year] = date.split('/').collect::<Vec<_>>()[..] else { return None };
    let is_month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"].contains(&month)
        || ["Jul", "Aug", "Sep", "Oct", "Nov", "Dec"].contains(&month);
    let simple = is_month && two_digits(day, 1..=28) && is_year(year);
    if !simple
        || !two_digits(hour, 0..=23)
        || !two_digits(minute, 0..=59)
        || !two_digits(second, 0..=59)
    {
        return None;
    }
    let (sign, zone) = zone.split_at_checked(1)?;
    let (hours, minutes) = zone.split_at_checked(2)?;
    if !two_digits(hours, 0..=14) || !two_digits(minutes, 0..=59) {
        return None;
    }
    let east_min: u64 = hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?;
    let local = civil::from_clf(&format!("{when} +0000"));
    match sign {
        "+" => local.checked_sub(east_min * MINUTE_NS),
        "-" => Some(local + east_min * MINUTE_NS),
        _ => None,
    }
}

/// Parses `2023-11-16T18:17:03.97996Z`. The fraction is optional.
fn iso(text: &str) -> Option<u64> {
    let bare = text.strip_suffix('Z')?;
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, "0"));
    let (date, clock) = whole.split_once('T')?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else { return None };
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>()[..] else { return None };
    let simple = is_year(year)
        && two_digits(month, 1..=12)
        && two_digits(day, 1..=28)
        && two_digits(hour, 0..=23)
        && two_digits(minute, 0..=59)
        && two_digits(second, 0..=59)
        && digits(fraction)
        && fraction.len() <= 9;
    simple.then(|| civil::from_iso(text))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn two_digits(text: &str, range: std::ops::RangeInclusive<u64>) -> bool {
    text.len() == 2 && digits(text) && text.parse().is_ok_and(|number| range.contains(&number))
}

fn is_year(text: &str) -> bool {
    let within = |year: u64| (1971..=2499).contains(&year);
    text.len() == 4 && digits(text) && text.parse().is_ok_and(within)
}
