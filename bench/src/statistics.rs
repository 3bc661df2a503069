//! Whether two series differ, and by how much: exact ranks and resampling, without any assumption
//! about how times are distributed.

use std::collections::BTreeMap;

use crate::random::Random;

/// What two series of times say about each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// The median of the new series divided by that of the old one.
    pub(crate) ratio: f64,
    /// Where that ratio lies in 95 of 100 resamplings.
    pub(crate) interval: (f64, f64),
    /// How probable ranks as unequal as these are if nothing has changed.
    pub(crate) p: f64,
}

impl Change {
    /// None where a series is empty or has times that are no times.
    pub(crate) fn between(old: &[f64], new: &[f64]) -> Option<Self> {
        let is_time = |time: &f64| time.is_finite() && *time > 0.0;
        if old.is_empty() || new.is_empty() || !old.iter().chain(new).all(is_time) {
            return None;
        }
        Some(Self {
            ratio: median(new) / median(old),
            interval: bootstrap(old, new),
            p: mann_whitney(old, new),
        })
    }
}

/// The middle, or the mean of both middles; of a series that is not empty.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The two-sided probability of the Mann-Whitney U test.
///
/// It is exact, ties included: of all ways to choose the ranks of the first series from those of
/// both, it counts the ones whose sum is at least as far from the expected sum.
pub(crate) fn mann_whitney(first: &[f64], second: &[f64]) -> f64 {
    let ranks = doubled_ranks(first, second);
    let own: u64 = ranks[..first.len()].iter().sum();
    let all: u64 = ranks.iter().sum();
    if ranks.len() > EXACT_MAX {
        return by_normal(first.len(), &ranks, own);
    }
    // How many choices of a number of ranks have a sum: filled rank by rank.
    let mut ways: Vec<BTreeMap<u64, f64>> = vec![BTreeMap::new(); first.len() + 1];
    ways[0].insert(0, 1.0);
    for rank in &ranks {
        for chosen in (0..first.len()).rev() {
            let longer: Vec<(u64, f64)> =
                ways[chosen].iter().map(|(sum, count)| (sum + rank, *count)).collect();
            for (sum, count) in longer {
                *ways[chosen + 1].entry(sum).or_insert(0.0) += count;
            }
        }
    }
    // Both sums are compared times the number of ranks, so that the expected sum is whole.
    let (len, share) = (ranks.len() as u64, first.len() as u64);
    let distance = |sum: u64| (sum * len).abs_diff(all * share);
    let sums = &ways[first.len()];
    let total: f64 = sums.values().sum();
    let far: f64 =
        sums.iter().filter(|(sum, _)| distance(**sum) >= distance(own)).map(|(_, n)| n).sum();
    far / total
}

/// Twice the rank of each value among all, equal values sharing the mean of theirs.
fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<u64> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| *other < value).count() as u64;
        let equal = all.iter().filter(|other| *other == value).count() as u64;
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// For long series, where the sum of ranks is as good as normally distributed.
fn by_normal(share: usize, ranks: &[u64], own: u64) -> f64 {
    let (len, share) = (float(ranks.len()), float(share));
    let mean = ranks.iter().map(|rank| whole(*rank)).sum::<f64>() / len;
    let variance = ranks.iter().map(|rank| (whole(*rank) - mean).powi(2)).sum::<f64>() / len;
    let spread = (share * (len - share) / (len - 1.0) * variance).sqrt();
    if spread == 0.0 {
        return 1.0;
    }
    // One doubled rank is two units wide: half of that is the correction for continuity.
    let distance = ((whole(own) - share * mean).abs() - 1.0).max(0.0);
    complementary_error(distance / spread / std::f64::consts::SQRT_2).min(1.0)
}

/// Numerical Recipes' approximation, right to seven digits.
fn complementary_error(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.5 * x);
    let sum = ERROR_TERMS.iter().rev().fold(0.0, |sum, term| sum * t + term);
    t * (sum - x * x).exp()
}

/// The ends of the middle 95 % of ratios of medians, over resamplings of both series.
fn bootstrap(old: &[f64], new: &[f64]) -> (f64, f64) {
    let mut random = Random::new(RESAMPLE_SEED, 0);
    let mut resampled = |series: &[f64]| {
        let picked: Vec<f64> = series.iter().map(|_| *random.pick(series)).collect();
        median(&picked)
    };
    let mut ratios: Vec<f64> = (0..RESAMPLINGS).map(|_| resampled(new) / resampled(old)).collect();
    ratios.sort_by(f64::total_cmp);
    (ratios[RESAMPLINGS / 40], ratios[RESAMPLINGS - 1 - RESAMPLINGS / 40])
}

#[expect(clippy::cast_precision_loss, reason = "lengths of series are small")]
fn float(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "ranks are small")]
fn whole(number: u64) -> f64 {
    number as f64
}

/// Beyond that many values counting takes long, and is no longer needed.
const EXACT_MAX: usize = 60;
const RESAMPLINGS: usize = 10_000;
/// Fixed: the same two reports give the same answer.
const RESAMPLE_SEED: u64 = 0x0062_6c69_7400_0001;
const ERROR_TERMS: [f64; 10] = [
    -1.265_512_23,
    1.000_023_68,
    0.374_091_96,
    0.096_784_18,
    -0.186_288_06,
    0.278_868_07,
    -1.135_203_98,
    1.488_515_87,
    -0.822_152_23,
    0.170_872_77,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() < 1e-4
    }

    #[test]
    fn wholly_separate_series_have_the_probability_of_the_tables() {
        // Two of the choices, C(6, 3) = 20 and C(10, 5) = 252, are as extreme as these.
        assert!(is_near(mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 0.1));
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!(is_near(mann_whitney(&low, &high), 2.0 / 252.0));
        assert!(is_near(mann_whitney(&high, &low), 2.0 / 252.0));
    }

    #[test]
    fn mixed_and_tied_series_have_the_probability_that_counting_by_hand_gives() {
        // Ranks 1, 2, 4 against 3, 5: sums of three of five ranks are 6 to 12, 9 is expected.
        assert!(is_near(mann_whitney(&[1.0, 2.0, 4.0], &[3.0, 5.0]), 0.4));
        // Ranks 1.5, 1.5 against 3.5, 3.5: sums of two are 3 once, 5 four times, 7 once.
        assert!(is_near(mann_whitney(&[1.0, 1.0], &[2.0, 2.0]), 2.0 / 6.0));
        assert!(is_near(mann_whitney(&[1.0, 1.0], &[1.0, 1.0]), 1.0));
    }

    #[test]
    fn long_series_agree_with_short_ones() {
        let exact: (Vec<f64>, Vec<f64>) =
            ((0..30).map(float).collect(), (8..38).map(|n| float(n) + 0.5).collect());
        let by_counting = mann_whitney(&exact.0, &exact.1);
        let ranks = doubled_ranks(&exact.0, &exact.1);
        let own = ranks[..30].iter().sum();
        assert!((by_normal(30, &ranks, own) - by_counting).abs() < 2e-3, "{by_counting}");
        assert!(by_counting < 0.01);
        let equal = vec![1.0; 40];
        assert!(is_near(mann_whitney(&equal, &equal), 1.0));
    }

    #[test]
    fn the_interval_holds_the_ratio_and_repeats() {
        let old = [1.0, 1.01, 0.99, 1.02, 0.98];
        let new = [2.0, 2.02, 1.98, 2.04, 1.96];
        let change = Change::between(&old, &new).expect("two series");
        assert!(is_near(change.ratio, 2.0));
        assert!(change.interval.0 > 1.8 && change.interval.0 <= 2.0, "{change:?}");
        assert!(change.interval.1 < 2.2 && change.interval.1 >= 2.0, "{change:?}");
        assert_eq!(Change::between(&old, &new), Some(change));
    }

    #[test]
    fn series_that_say_nothing_give_no_change() {
        assert_eq!(Change::between(&[], &[1.0]), None);
        assert_eq!(Change::between(&[0.0], &[1.0]), None);
        assert_eq!(Change::between(&[1.0], &[f64::NAN]), None);
    }
}
