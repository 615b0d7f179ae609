//! Lengths of time: a whole number and a unit.

use std::time::Duration;

/// Parses a positive length of time, such as `90s`.
pub fn length(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let length_ms = number.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    (length_ms > 0).then(|| Duration::from_millis(length_ms))
}

/// Parses a length of time like [`length`]. Also accepts microseconds, which some servers log.
pub fn unit(text: &str) -> Option<Duration> {
    let Some(number) = text.strip_suffix("us") else { return length(text) };
    let micros =
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    (micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::{length, unit};
    use std::time::Duration;

    #[test]
    fn a_length_needs_a_positive_number_and_a_unit() {
        assert_eq!(length("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(length("90s"), Some(Duration::from_secs(90)));
        assert_eq!(length("2d"), Some(Duration::from_secs(172_800)));
        for wrong in [
            "",
            "5",
            "m",
            "0s",
            "-1s",
            "1.5h",
            "1 m",
            "1w",
            "99999999999999999999s",
            "300000000000000d",
        ] {
            assert_eq!(length(wrong), None, "{wrong}");
            assert_eq!(unit(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_unit_of_a_duration_may_be_microseconds() {
        assert_eq!(unit("1us"), Some(Duration::from_micros(1)));
        assert_eq!(unit("20ms"), Some(Duration::from_millis(20)));
        for wrong in ["us", "0us", "+1us", "1.5us", "1 us"] {
            assert_eq!(unit(wrong), None, "{wrong}");
        }
    }
}
