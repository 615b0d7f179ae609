//! Formats text from logs for a terminal, and numbers for reading.

/// The maximum number of characters of an excerpt.
const EXCERPT_CHARS: usize = 100;

/// The start of a line, with control characters escaped.
pub fn excerpt(line: &[u8]) -> String {
    let head = line.get(..4 * EXCERPT_CHARS).unwrap_or(line);
    let head = String::from_utf8_lossy(head);
    let shown: String = head.chars().take(EXCERPT_CHARS).collect();
    let cut = shown.len() < head.len() || head.len() < line.len();
    printable(&shown) + if cut { "…" } else { "" }
}

/// Escapes control characters, which could change the state of a terminal.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// Formats field names for a message: the first 12, escaped.
pub fn list(names: &[String]) -> String {
    const MAX_NAMES: usize = 12;
    let mut shown: Vec<String> =
        names.iter().take(MAX_NAMES).map(|name| excerpt(name.as_bytes())).collect();
    if names.len() > MAX_NAMES {
        shown.push(format!("and {} more", names.len() - MAX_NAMES));
    }
    shown.join(", ")
}

/// Formats a number with thousands separators: 1,234,567.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Formats a number of bytes: 44.7 MiB.
pub fn bytes(bytes: usize) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Formats a part of a whole as a percentage.
pub fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_truncated_and_escaped() {
        assert_eq!(excerpt(b"a\x1b[31m\"b\"\\"), "a\\u{1b}[31m\"b\"\\");
        let long = excerpt(&[b'x'; 5000]);
        assert_eq!(long.chars().count(), EXCERPT_CHARS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn numbers_are_grouped_from_the_right() {
        let shown = [0, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let shown = [1_023, 1_536, 1 << 20, 3 << 29].map(bytes);
        assert_eq!(shown, ["1023 bytes", "1.5 KiB", "1.0 MiB", "1536.0 MiB"]);
    }
}
