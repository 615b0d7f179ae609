//! The times of a log, as nanoseconds since 1970.

use crate::value;
use jiff::civil::Time;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::{DateTimeParser, Pieces};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use std::fmt;
use std::time::Duration;

/// The time format of Common Log Format: `10/Oct/2000:13:55:36 -0700`.
const CLF_TIME: &str = "%d/%b/%Y:%H:%M:%S %z";
/// The first instant of the year 2501.
const END_S: i64 = 16_756_761_600;

static PARSER: DateTimeParser = DateTimeParser::new();

/// The reason why a time cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// It is not a time.
    Unreadable,
    /// It is a number, and no unit was given.
    Number,
    /// It is not a number, although a unit was given.
    NotNumber,
    /// It is a date without a time of day.
    DateOnly,
    /// It is a time of day without a date.
    NoDate,
    /// It is before 1970.
    Early,
    /// It is after 2500.
    Late,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeError::Unreadable => "cannot be read",
            TimeError::Number => {
                "is a number; give its unit with --time-unit, or choose another column with --time"
            }
            TimeError::NotNumber => "is not a plain number such as 12.5, which --time-unit requires",
            TimeError::DateOnly => {
                "is a date without a time of day; name the columns of the date and the time with --date and \
                 --time, or read dates as midnight (UTC) with --midnight"
            }
            TimeError::NoDate => "has no date; name the date's column with --date",
            TimeError::Early => "is before 1970",
            TimeError::Late => "is after 2500",
        })
    }
}

/// Parses a time in Common Log Format.
pub fn clf(text: &[u8]) -> Result<u64, TimeError> {
    let parsed = BrokenDownTime::parse(CLF_TIME, text).and_then(|time| time.to_timestamp());
    unix_ns(parsed.map_err(|_| TimeError::Unreadable)?)
}

/// Parses an RFC 3339 time, or a date and time without a zone, which is taken as UTC.
pub fn iso(text: &[u8]) -> Result<u64, TimeError> {
    let text = text.trim_ascii();
    if let Ok(instant) = PARSER.parse_timestamp(text) {
        return unix_ns(instant);
    }
    // The parser accepts a number of eight digits as a date.
    if value::is_number(text) {
        return Err(TimeError::Number);
    }
    let Some(pieces) = pieces(text) else {
        // The parser takes the time of day from a whole time, too.
        let has_only_time = text.iter().all(|byte| byte.is_ascii_digit() || b":.,".contains(byte));
        let is_clock = has_only_time && text.contains(&b':') && PARSER.parse_time(text).is_ok();
        return Err(if is_clock { TimeError::NoDate } else { TimeError::Unreadable });
    };
    let local = pieces.date().to_datetime(pieces.time().ok_or(TimeError::DateOnly)?);
    unix_ns(TimeZone::UTC.to_timestamp(local).map_err(|_| TimeError::Unreadable)?)
}

/// Parses a date without a time of day, as midnight UTC.
pub fn midnight(text: &[u8]) -> Result<u64, TimeError> {
    if value::is_number(text) {
        return Err(TimeError::Number);
    }
    let date = pieces(text).ok_or(TimeError::Unreadable)?.date();
    let local = date.to_datetime(Time::midnight());
    unix_ns(TimeZone::UTC.to_timestamp(local).map_err(|_| TimeError::Unreadable)?)
}

/// Parses a date with the time 00:00:00, into the date and the offset, which is empty if there is none.
pub fn date_of_midnight(text: &[u8]) -> Option<(String, String)> {
    let pieces = PARSER.parse_pieces(text).ok()?;
    let is_midnight = pieces.time() == Some(Time::midnight()) && !text.contains(&b'[');
    let offset = pieces.to_numeric_offset().map(|offset| offset.to_string());
    is_midnight.then(|| (pieces.date().to_string(), offset.unwrap_or_default()))
}

/// Parses a number as the time since 1970 in this unit. A log with relative times starts in 1970.
pub fn number(text: &[u8], unit: Duration) -> Result<u64, TimeError> {
    let length_ns = length_ns(text, unit).ok_or(TimeError::NotNumber)?;
    if length_ns / 1_000_000_000 < END_S.unsigned_abs() {
        Ok(length_ns)
    } else {
        Err(TimeError::Late)
    }
}

/// The parts of a date, with or without a time, and without an offset.
fn pieces(text: &[u8]) -> Option<Pieces<'_>> {
    let pieces = PARSER.parse_pieces(text).ok()?;
    // Without an offset, a named zone would be ignored, and the time would wrongly be taken as UTC.
    (pieces.offset().is_none() && !text.contains(&b'[')).then_some(pieces)
}

fn unix_ns(instant: Timestamp) -> Result<u64, TimeError> {
    match u64::try_from(instant.as_nanosecond()) {
        _ if instant.as_second() >= END_S => Err(TimeError::Late),
        Err(_) => Err(TimeError::Early),
        Ok(unix_ns) => Ok(unix_ns),
    }
}

/// Formats a time as RFC 3339 in UTC, with 0, 3, 6 or 9 fractional digits: as few as keep it exact.
pub fn rfc3339(unix_ns: u64) -> impl fmt::Display {
    // The largest u64 is in the year 2554, which a timestamp can represent.
    let instant = Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or(Timestamp::MAX);
    let digits = match unix_ns {
        whole if whole % 1_000_000_000 == 0 => 0,
        milli if milli % 1_000_000 == 0 => 3,
        micro if micro % 1_000 == 0 => 6,
        _ => 9,
    };
    fmt::from_fn(move |f| write!(f, "{instant:.digits$}"))
}

/// Formats a length of time: exactly below one second (`12.5ms`), else rounded to two units
/// (`1m 30s`, `2d 3h`).
pub fn span(length_ns: u64) -> String {
    let span = jiff::SignedDuration::from_nanos(i64::try_from(length_ns).unwrap_or(i64::MAX));
    let unit = match span.as_secs() {
        0 => return format!("{}ms", length_ns as f64 / 1e6),
        1..3_600 => Unit::Second,
        3_600..86_400 => Unit::Minute,
        _ => Unit::Hour,
    };
    let rounded = span.round(unit).unwrap_or(span).as_secs();
    let parts = [
        (rounded / 86_400, "d"),
        (rounded / 3_600 % 24, "h"),
        (rounded / 60 % 60, "m"),
        (rounded % 60, "s"),
    ];
    let shown =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    shown.collect::<Vec<_>>().join(" ")
}

/// The decimal number `number` times `unit`, in nanoseconds. `None` if it is not a decimal number.
///
/// A result that does not fit is `u64::MAX`. Digits after the ninth fractional digit are ignored.
pub fn length_ns(number: &[u8], unit: Duration) -> Option<u64> {
    const DIGITS: usize = 9;
    let number = str::from_utf8(number).ok()?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return None;
    }
    let billionths = format!("{:0<DIGITS$}", &part[..part.len().min(DIGITS)]);
    // A number that does not fit saturates.
    let whole: u128 = whole.parse().unwrap_or(u128::MAX);
    let number = whole.saturating_mul(10_u128.pow(DIGITS as u32));
    let number = number.saturating_add(billionths.parse().unwrap_or(0));
    let length_ns = number.saturating_mul(unit.as_nanos()) / 10_u128.pow(DIGITS as u32);
    Some(u64::try_from(length_ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clf_times_apply_their_offset() {
        assert_eq!(clf(b"10/Oct/2000:13:55:36 -0700"), Ok(971_211_336_000_000_000));
        assert_eq!(clf(b"17/May/2015:10:05:03 +0000"), Ok(1_431_857_103_000_000_000));
        assert_eq!(clf(b"17/May/2015:15:35:03 +0530"), Ok(1_431_857_103_000_000_000));
        for wrong in
            ["", "17/May/2015:10:05:03", "32/May/2015:10:05:03 +0000", "17/Mai/2015:10:05:03 +0000"]
        {
            assert_eq!(clf(wrong.as_bytes()), Err(TimeError::Unreadable), "{wrong}");
        }
        assert_eq!(clf(b"01/Jan/1960:00:00:00 +0000"), Err(TimeError::Early));
    }

    #[test]
    fn iso_times_without_an_offset_are_utc() {
        let expected = 1_700_158_623_979_960_000;
        for text in [
            "2023-11-16 18:17:03.9799600",
            "2023-11-16T18:17:03.97996Z",
            "2023-11-16T20:17:03.97996+02:00",
            " 2023-11-16 18:17:03.979960000 ",
        ] {
            assert_eq!(iso(text.as_bytes()), Ok(expected), "{text}");
        }
        for wrong in [
            "",
            "x",
            "2023-11-16 25:00:00",
            "2023-11-16T18:17:03+99:99",
            "2023-11-16T18:17:03[Asia/Tokyo]",
        ] {
            assert_eq!(iso(wrong.as_bytes()), Err(TimeError::Unreadable), "{wrong}");
        }
    }

    #[test]
    fn a_part_of_a_time_or_a_number_is_not_a_time() {
        for (text, error) in [
            ("2026-10-10", TimeError::DateOnly),
            ("13:55:36.5", TimeError::NoDate),
            ("13:55", TimeError::NoDate),
            ("20261010", TimeError::Number),
            ("20261010135536", TimeError::Number),
            ("135536", TimeError::Number),
            ("-12.5", TimeError::Number),
            ("2026-10-10+02:00", TimeError::Unreadable),
            ("2026-10-10[UTC]", TimeError::Unreadable),
        ] {
            assert_eq!(iso(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(midnight(b"2026-10-10"), iso(b"2026-10-10T00:00:00Z"));
        for wrong in ["20261010", "", "13:55:36", "2026-10-10[UTC]", "2026-10-10+02:00"] {
            assert!(midnight(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_with_a_time_of_zero_are_found() {
        let found = |text: &str| date_of_midnight(text.as_bytes());
        let date = || "2026-10-10".to_owned();
        assert_eq!(found("2026-10-10 00:00:00.000"), Some((date(), String::new())));
        assert_eq!(found("20261010T000000-05:30"), Some((date(), "-05:30".to_owned())));
        let others =
            ["2026-10-10", "2026-10-10T00:00:00.001", "00:00:00", "2026-10-10 00:00[UTC]", ""];
        for other in others {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn numbers_count_from_1970_in_their_unit() {
        let ms = Duration::from_millis(1);
        assert_eq!(number(b"0", ms), Ok(0));
        assert_eq!(number(b"2874.25", ms), Ok(2_874_250_000));
        assert_eq!(number(b"16756761599999.999999", ms), Ok(16_756_761_599_999_999_999));
        assert_eq!(number(b"16756761600000", ms), Err(TimeError::Late));
        assert_eq!(number(&[b'9'; 40], ms), Err(TimeError::Late));
        for wrong in ["", "-1", "1e3", "2026-10-10", "x"] {
            assert_eq!(number(wrong.as_bytes(), ms), Err(TimeError::NotNumber), "{wrong}");
        }
    }

    #[test]
    fn times_before_1970_or_after_2500_are_rejected() {
        assert_eq!(iso(b"1969-12-31T23:59:59.999999999Z"), Err(TimeError::Early));
        assert_eq!(iso(b"1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(iso(b"2500-12-31T23:59:59.999999999Z"), Ok(16_756_761_599_999_999_999));
        assert_eq!(iso(b"2501-01-01T00:00:00Z"), Err(TimeError::Late));
        assert_eq!(iso(b"9999-01-01T00:00:00Z"), Err(TimeError::Late));
    }

    #[test]
    fn formatted_times_are_exact() {
        let shown = |unix_ns: u64| rfc3339(unix_ns).to_string();
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(1_700_158_623_900_000_000), "2023-11-16T18:17:03.900Z");
        assert_eq!(shown(1_700_158_623_979_960_000), "2023-11-16T18:17:03.979960Z");
        assert_eq!(shown(1_700_158_623_979_960_100), "2023-11-16T18:17:03.979960100Z");
        assert_eq!(shown(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn decimal_numbers_of_units_convert_to_nanoseconds() {
        let (second, twenty_ms) = (Duration::from_secs(1), Duration::from_millis(20));
        assert_eq!(length_ns(b"0.2500000009", second), Some(250_000_000));
        assert_eq!(length_ns(b"3", second), Some(3_000_000_000));
        assert_eq!(length_ns(b"0", second), Some(0));
        assert_eq!(length_ns(b"150", twenty_ms), Some(3_000_000_000));
        assert_eq!(length_ns(b"1.5", twenty_ms), Some(30_000_000));
        // The greatest length is 2^64 - 1 ns, that is 922,337,203,685.47... times 20 ms.
        assert_eq!(length_ns(b"922337203685.4", twenty_ms), Some(18_446_744_073_708_000_000));
        assert_eq!(length_ns(b"922337203685.5", twenty_ms), Some(u64::MAX));
        assert_eq!(length_ns(&[b'9'; 60], second), Some(u64::MAX));
        for wrong in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "1.2.3", "0x1", "NaN"] {
            assert_eq!(length_ns(wrong.as_bytes(), second), None, "{wrong}");
        }
    }

    #[test]
    fn spans_of_a_second_or_more_are_rounded_to_two_units() {
        let shown = [12_500_000, 90_000_000_000, 3_600_000_000_000, 183_600_000_000_000].map(span);
        assert_eq!(shown, ["12.5ms", "1m 30s", "1h", "2d 3h"]);
    }
}
