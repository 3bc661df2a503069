//! Numbers as people read them. It must not know what is counted.

use std::time::Duration;

use blit_core::entry::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A count with its thousands apart: `53 212`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 file`, `2 files`. Nouns that end in y become `..ies`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", count(number)),
        (_, None) => format!("{} {noun}s", count(number)),
    }
}

/// Bytes in binary units, with three significant digits or so: `612.3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with four digits at most")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded up to 1024 is shown in the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Bytes over a time: `291.6 MiB/s`.
pub(super) fn rate(bytes: u64, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    let per_second = u128::from(bytes) * 1000 / millis;
    format!("{}/s", size(u64::try_from(per_second).unwrap_or(u64::MAX)))
}

/// A duration that has passed: `2.1 s`, `3 min 20 s`.
pub(super) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() < 100 => format!("{:.3} s", time.as_secs_f64()),
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A duration to come, as a clock shows it: `0:05`, `1:02:03`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A moment as programs read it: RFC 3339 in UTC, with all its digits.
pub(super) fn timestamp(time: Time) -> String {
    moment(time).map_or_else(|| format!("@{}", time.secs), |moment| format!("{moment:.9}"))
}

/// A moment as people read it, in their own zone: `2026-01-31 12:00:00`.
pub(super) fn date(time: Time, zone: &TimeZone) -> String {
    let shown = moment(time)
        .map(|moment| moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string());
    shown.unwrap_or_else(|| format!("@{}", time.secs))
}

/// A file system may hold times that no calendar does.
fn moment(time: Time) -> Option<Timestamp> {
    let nanos = i32::try_from(time.nanos).ok()?;
    Timestamp::new(time.secs, nanos).ok()
}

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1 000"), (53212, "53 212"), (1_234_567, "1 234 567")]
        {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(0, "file"), "0 files");
        assert_eq!(counted(2, "directory"), "2 directories");
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (642_000_000, "612.3 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn rates_of_an_instant_are_no_division_by_zero() {
        assert_eq!(rate(1024, Duration::ZERO), "1000.0 KiB/s");
        assert_eq!(rate(2 << 20, Duration::from_secs(2)), "1.0 MiB/s");
    }

    #[test]
    fn moments_are_dates_where_the_calendar_has_them() {
        let time = Time { secs: -1, nanos: 5 };
        assert_eq!(timestamp(time), "1969-12-31T23:59:59.000000005Z");
        assert_eq!(date(time, &TimeZone::UTC), "1969-12-31 23:59:59");
        assert_eq!(timestamp(Time { secs: i64::MAX, nanos: 0 }), "@9223372036854775807");
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        let text = |millis| elapsed(Duration::from_millis(millis));
        assert_eq!(
            [text(4), text(2100), text(200_000), text(7_260_000)],
            ["0.004 s", "2.1 s", "3 min 20 s", "2 h 1 min"]
        );
        assert_eq!([clock(5), clock(65), clock(3723)], ["0:05", "1:05", "1:02:03"]);
    }
}
