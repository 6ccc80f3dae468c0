//! Durations in buckets of less than 1 % width, so that recording one allocates nothing.

/// Each power of two is divided in so many buckets, as a power of two.
const PRECISION: u32 = 7;
const BUCKETS: usize = (64 - PRECISION as usize + 1) << PRECISION;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0 }
    }

    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
    }

    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The quantile in nanoseconds, unless nothing was recorded.
    pub fn quantile(&self, fraction: f64) -> Option<u64> {
        let rank = ((self.total as f64 * fraction).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|&count| {
            seen += count;
            seen >= rank
        })?;
        Some(middle(found))
    }
}

fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION + 1);
    ((shift as usize) << PRECISION) + (value >> shift) as usize
}

fn middle(bucket: usize) -> u64 {
    let shift = (bucket >> PRECISION).saturating_sub(1);
    let lowest = ((bucket - (shift << PRECISION)) as u64) << shift;
    lowest + (1_u64 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_a_hundredth() {
        for value in [0, 1, 127, 128, 255, 256, 12_345, 1_000_000, 987_654_321, u64::MAX / 2] {
            let mut histogram = Histogram::new();
            histogram.record(value);
            let found = histogram.quantile(0.5).unwrap();
            assert!(found.abs_diff(value) <= value / 100, "{value} became {found}");
        }
    }

    #[test]
    fn quantiles_are_in_order() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|value| histogram.record(value * 1000));
        assert!(histogram.quantile(0.5).unwrap().abs_diff(500_000) < 5_000);
        assert!(histogram.quantile(0.99).unwrap().abs_diff(990_000) < 9_900);
    }
}
