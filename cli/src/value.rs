//! The values of a log's fields: trimmed, absent, or numbers.

/// Removes the white space around a value, and also the quotes that follow a space.
///
/// In CSV, a quote after a space (`a, "b"`) is a part of the value.
pub fn trim(value: &[u8]) -> &[u8] {
    let trimmed = value.trim_ascii();
    if !value.first().is_some_and(u8::is_ascii_whitespace) {
        return trimmed;
    }
    let unquoted = trimmed.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    unquoted.map_or(trimmed, <[u8]>::trim_ascii)
}

/// Returns whether a trimmed value means that there is none: nothing, `-`, `null` or `\N`.
pub fn is_absent(value: &[u8]) -> bool {
    matches!(value, b"" | b"-" | b"\\N") || value.eq_ignore_ascii_case(b"null")
}

/// Returns whether a trimmed value means that there is no number. Also accepts `NaN` and `None`.
pub fn is_absent_number(value: &[u8]) -> bool {
    is_absent(value) || value.eq_ignore_ascii_case(b"nan") || value.eq_ignore_ascii_case(b"none")
}

/// Parses a whole number: `5`, `+5` or `5.0`.
pub fn whole_number(value: &[u8]) -> Option<u64> {
    let value = str::from_utf8(value).ok()?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    // `parse` accepts a leading `+`, but no `-` and no space.
    if is_whole { whole.parse().ok() } else { None }
}

/// Returns whether a trimmed value is a decimal number. It may have a sign and an exponent.
pub fn is_number(value: &[u8]) -> bool {
    let starts = value.first().is_some_and(|byte| byte.is_ascii_digit() || b"+-.".contains(byte));
    // The words that `parse` also accepts, such as `inf`, contain other letters than `e`.
    let is_plain = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    starts
        && value.iter().all(is_plain)
        && str::from_utf8(value).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quotes_after_a_space_are_removed() {
        for (value, trimmed) in [
            ("a", "a"),
            (" a\t", "a"),
            (" \"a\"", "a"),
            (" \" a \" ", "a"),
            ("\"a\"", "\"a\""),
            (" \"a", "\"a"),
            (" \"", "\""),
            (" \"\"", ""),
            (" ", ""),
        ] {
            assert_eq!(trim(value.as_bytes()), trimmed.as_bytes(), "{value:?}");
        }
    }

    #[test]
    fn an_absent_number_has_more_spellings_than_an_absent_key() {
        for value in ["", "-", "null", "NULL", "\\N"] {
            assert!(is_absent(value.as_bytes()) && is_absent_number(value.as_bytes()), "{value}");
        }
        for value in ["NaN", "nan", "None"] {
            assert!(!is_absent(value.as_bytes()) && is_absent_number(value.as_bytes()), "{value}");
        }
        for value in ["0", "--", "nulls", "\\n", "n/a", " "] {
            assert!(!is_absent(value.as_bytes()) && !is_absent_number(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn whole_numbers_may_have_a_sign_and_a_zero_fraction() {
        for (value, number) in
            [("0", 0), ("+5", 5), ("007", 7), ("1.000", 1), ("18446744073709551615.0", u64::MAX)]
        {
            assert_eq!(whole_number(value.as_bytes()), Some(number), "{value}");
        }
        for wrong in ["", "-5", "-0", "1.", ".0", "0.5", "1e3", "1,0", " 1", "+", "++1", "1.0.0"] {
            assert_eq!(whole_number(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(whole_number(b"18446744073709551616"), None);
    }

    #[test]
    fn numbers_are_neither_dates_nor_words() {
        for number in ["0", "20261010", "-5", "+5", "1.5", ".5", "1e9", "1.79e+9"] {
            assert!(is_number(number.as_bytes()), "{number}");
        }
        for other in ["", "-", "2026-10-10", "inf", "NaN", "0x10", "1 2", "1,5", "e9", "1.2.3"] {
            assert!(!is_number(other.as_bytes()), "{other}");
        }
    }
}
