//! Sizes, moments and shares as they are typed.
//! It must not know what they limit.

use blit_core::entry::Time;
use blit_core::pace::BYTES_PER_SEC_MIN;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Part of a number of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// So many.
    Count(u64),
    /// So many of a hundred.
    Percent(u64),
}

impl Share {
    /// How many of `whole` these are at most.
    pub(crate) fn of(self, whole: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                u64::try_from(u128::from(whole) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Reads `12` or `5%`.
///
/// # Errors
/// What is wrong with the text, for people.
pub(crate) fn share(text: &str) -> Result<Share, String> {
    let number = |digits: &str| digits.parse().map_err(|_| "a number, or a percentage like 5%");
    match text.strip_suffix('%') {
        None => Ok(Share::Count(number(text)?)),
        Some(digits) => match number(digits)? {
            percent @ 0..=100 => Ok(Share::Percent(percent)),
            _ => Err("at most 100%".to_owned()),
        },
    }
}

/// Reads `500`, `10K`, `1.5G`: bytes in binary units.
///
/// # Errors
/// What is wrong with the text, for people.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
    let (digits, shift) = match bare.char_indices().next_back() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => {
            let power = UNITS.find(unit).ok_or_else(|| WANTED_SIZE.to_owned())?;
            (&bare[..at], (power + 1) * 10)
        }
        _ => (bare, 0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > PART_DIGITS_MAX {
        return Err(WANTED_SIZE.to_owned());
    }
    let parsed = |text: &str| text.parse::<u128>().map_err(|_| WANTED_SIZE.to_owned());
    let tens = 10_u128.pow(u32::try_from(part.len()).unwrap_or(0));
    let total = parsed(whole)?
        .checked_mul(tens)
        .and_then(|scaled| scaled.checked_add(parsed(part).ok()?))
        .and_then(|scaled| scaled.checked_mul(1 << shift));
    let total = total.map(|scaled| scaled / tens).ok_or("too large")?;
    u64::try_from(total).map_err(|_| "too large".to_owned())
}

/// Reads a size that is moved in a second.
///
/// # Errors
/// What is wrong with the text, for people.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes < BYTES_PER_SEC_MIN => {
            Err("at least 1K, which is 1024 bytes per second".into())
        }
        bytes => Ok(bytes),
    }
}

/// Reads `5`, `5s`, `2m` or `1h` as seconds.
///
/// # Errors
/// What is wrong with the text, for people.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let unit = units.iter().find_map(|(unit, each)| Some((text.strip_suffix(unit)?, *each)));
    let (digits, each) = unit.unwrap_or((text, 1));
    let wanted = || "seconds, or a number with s, m or h".to_owned();
    let number: u32 = digits.parse().map_err(|_| wanted())?;
    number.checked_mul(each).ok_or_else(wanted)
}

/// Reads an age before now, or a date.
///
/// # Errors
/// What is wrong with the text, for people.
pub(crate) fn moment(text: &str) -> Result<Time, String> {
    moment_in(text, Timestamp::now(), &TimeZone::system())
}

fn moment_in(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Time, String> {
    if let Some(age) = age(text) {
        let then = now.checked_sub(SignedDuration::from_secs(age));
        return then.map(time).map_err(|_| "that is before all time".to_owned());
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(time(timestamp));
    }
    let civil = text.parse::<DateTime>().or_else(|_| {
        text.parse::<Date>().map(|date| date.to_datetime(jiff::civil::Time::midnight()))
    });
    let civil = civil.map_err(|_| WANTED_MOMENT.to_owned())?;
    let zoned = civil.to_zoned(zone.clone()).map_err(|_| WANTED_MOMENT.to_owned())?;
    Ok(time(zoned.timestamp()))
}

/// Seconds of `30s`, `5m`, `12h`, `3d`, `2w`.
fn age(text: &str) -> Option<i64> {
    let (at, unit) = text.char_indices().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = &text[..at];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(seconds)
}

fn time(timestamp: Timestamp) -> Time {
    let nanos = timestamp.subsec_nanosecond();
    // Before 1970 both parts are negative there; here the second one counts forward.
    let secs = timestamp.as_second() - i64::from(nanos < 0);
    let nanos = if nanos < 0 { nanos + 1_000_000_000 } else { nanos };
    Time { secs, nanos: u32::try_from(nanos).unwrap_or(0) }
}

const UNITS: &str = "KMGTPE";
/// More digits than a unit has bytes tell nothing.
const PART_DIGITS_MAX: usize = 18;
const WANTED_SIZE: &str = "a size is a number of bytes, or has a unit: 500, 10K, 1.5G, 2T";
const WANTED_MOMENT: &str =
    "an age like 30m, 12h, 3d or 2w, or a date like 2026-01-31 or 2026-01-31T12:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_or_have_a_unit() {
        for (text, wanted) in [("0", 0), ("5", 5), ("5s", 5), ("2m", 120), ("1h", 3600)] {
            assert_eq!(seconds(text), Ok(wanted));
        }
        for text in ["", "s", "-1", "1d", "5 s", "99999999h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("0", 0),
            ("500", 500),
            ("500B", 500),
            ("10k", 10 << 10),
            ("1.5G", 3 << 29),
            ("2TiB", 2 << 40),
            ("0.1K", 102),
            ("15E", 15 << 60),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "1.K", ".5K", "-1", "1X", "1e3", "16E", "99999999999999999999", "1 K"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_sizes_that_are_not_too_small() {
        assert_eq!((rate("1K"), rate("1.5M")), (Ok(1024), Ok(3 << 19)));
        assert!(rate("1023").is_err() && rate("0").is_err() && rate("fast").is_err());
    }

    #[test]
    fn shares_are_numbers_or_percentages() {
        assert_eq!(share("12"), Ok(Share::Count(12)));
        assert_eq!(share("5%").map(|share| share.of(199)), Ok(9));
        assert_eq!(share("100%").map(|share| share.of(u64::MAX)), Ok(u64::MAX));
        for text in ["", "%", "101%", "-1", "5 %", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_ages_or_dates() {
        let now = Timestamp::from_second(1_000_000).expect("valid");
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let secs = |text: &str| moment_in(text, now, &zone).map(|time| time.secs);
        assert_eq!(secs("3d"), Ok(1_000_000 - 3 * 86_400));
        assert_eq!(secs("90s"), Ok(1_000_000 - 90));
        assert_eq!(secs("1970-01-02"), Ok(86_400 - 7200));
        assert_eq!(secs("1970-01-02T00:00"), Ok(86_400 - 7200));
        assert_eq!(secs("1970-01-02T00:00:00Z"), Ok(86_400));
        assert_eq!(secs("1970-01-02T00:00:00+01:00"), Ok(86_400 - 3600));
        for text in ["", "d", "3", "3y", "-3d", "yesterday", "2026-02-30", "99999999999999999d"] {
            assert!(secs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_before_1970_count_forward() {
        let zone = TimeZone::UTC;
        let then = moment_in("1969-12-31T23:59:59.25Z", Timestamp::UNIX_EPOCH, &zone);
        assert_eq!(then, Ok(Time { secs: -1, nanos: 250_000_000 }));
    }
}
