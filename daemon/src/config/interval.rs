//! A span of time as it is typed.
//! It must not know what it limits.

use std::time::Duration;

/// Reads `10`, `5s`, `2m` or `1h`.
///
/// # Errors
/// What is wrong with the text, for people.
pub fn interval(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number);
    let seconds = number.and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds @ 1..=SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it must be from 1 second to 24 hours".to_owned()),
        None => Err("a time is a number of seconds, or has a unit: 10, \"5s\", \"2m\"".to_owned()),
    }
}

const SECONDS_MAX: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, seconds) in [("10", 10), ("5s", 5), ("2m", 120), ("24h", 86_400), ("1", 1)] {
            assert_eq!(interval(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "s", "0", "0m", "-1", "1.5", "5x", "25h", "99999999999999999999", "1 s", "+1"]
        {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
