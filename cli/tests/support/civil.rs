//! An independent calendar, so that tests do not compare the tool's calendar with itself.

pub const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The year, month and day of a time.
fn date(unix_ns: u64) -> (u64, u64, u64) {
    let (mut year, mut month, mut days) = (1970, 1, unix_ns / DAY);
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
    (year, month, days + 1)
}

/// The time of a date plus `second` seconds.
fn time(year: u64, month: u64, day: u64, second: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    (years + months + day - 1) * DAY + second * SECOND
}

fn clock(text: &str) -> u64 {
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    parts[0] * 3600 + parts[1] * 60 + parts[2]
}

/// Parses `17/May/2015:10:05:03 +0000`, in UTC only.
pub fn from_clf(text: &str) -> u64 {
    let text = text.strip_suffix(" +0000").unwrap();
    let month = MONTHS.iter().position(|month| *month == &text[3..6]).unwrap() as u64 + 1;
    time(text[7..11].parse().unwrap(), month, text[..2].parse().unwrap(), clock(&text[12..]))
}

/// Parses `2023-11-16 18:17:03.9799600`, in UTC only. Also accepts `T` and a final `Z`.
pub fn from_iso(text: &str) -> u64 {
    let text = text.trim_end_matches('Z');
    let part = |from: usize, to: usize| text[from..to].parse::<u64>().unwrap();
    let fraction = text.get(20..).unwrap_or("");
    let fraction: u64 = format!("{fraction:0<9}").parse().unwrap();
    time(part(0, 4), part(5, 7), part(8, 10), clock(&text[11..19])) + fraction
}

/// Formats a time as in the decisions.
pub fn to_iso(unix_ns: u64) -> String {
    let (year, month, day) = date(unix_ns);
    let second = unix_ns % DAY / SECOND;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match unix_ns % SECOND {
        0 => String::new(),
        ns if ns % 1_000_000 == 0 => format!(".{:03}", ns / 1_000_000),
        ns if ns % 1_000 == 0 => format!(".{:06}", ns / 1_000),
        ns => format!(".{ns:09}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The end of the hour, day or month of a time.
pub fn end_of(period: &str, unix_ns: u64) -> u64 {
    let next = |length: u64| (unix_ns / length + 1) * length;
    match period {
        "hour" => next(3600 * SECOND),
        "day" => next(DAY),
        "month" => match date(unix_ns) {
            (year, 12, _) => time(year + 1, 1, 1, 0),
            (year, month, _) => time(year, month + 1, 1, 0),
        },
        other => panic!("no period {other}"),
    }
}
