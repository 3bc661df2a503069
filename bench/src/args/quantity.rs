//! Sizes and counts as they are typed.

use std::str::FromStr;

/// Bytes, written as 512, 4K, 256MiB or 1G.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" => 0,
            "K" | "k" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            "T" | "TiB" => 40,
            _ => return Err(format!("unknown unit {unit:?}; use K, M, G or T, as in 4K or 1G")),
        };
        let number: u64 = number.parse().map_err(|_| "a size is a number, as in 4K or 1G")?;
        let bytes = number.checked_mul(1 << shift);
        bytes.map(Self).ok_or_else(|| "larger than any disk".to_owned())
    }
}

/// How many, written as 500, 10k or 1M: thousands and millions, not powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, factor) = match text.strip_suffix(['k', 'K', 'M']) {
            Some(number) if text.ends_with('M') => (number, 1_000_000),
            Some(number) => (number, 1000),
            None => (text, 1),
        };
        let number: u64 = number.parse().map_err(|_| "a number, as in 500, 10k or 1M")?;
        match number.checked_mul(factor) {
            Some(0) | None => Err("at least 1, and fewer than any disk holds".to_owned()),
            Some(count) => Ok(Self(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Option<u64> {
        text.parse::<Size>().ok().map(|size| size.0)
    }

    #[test]
    fn sizes_take_binary_suffixes() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("4K"), Some(4096));
        assert_eq!(size("256MiB"), Some(256 << 20));
        assert_eq!(size("1G"), Some(1 << 30));
        assert_eq!(size("2T"), Some(2 << 40));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "K", "-1", "1.5G", "4KB", "4 K", "99999999999999999999", "18000000T"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn counts_take_decimal_suffixes() {
        let count = |text: &str| text.parse::<Count>().ok().map(|count| count.0);
        assert_eq!(count("500"), Some(500));
        assert_eq!(count("10k"), Some(10_000));
        assert_eq!(count("1M"), Some(1_000_000));
        for text in ["", "k", "0", "-1", "1.5M", "99999999999999999999", "18446744073709551615k"] {
            assert_eq!(count(text), None, "{text}");
        }
    }
}
