//! Latencies counted in buckets of 3 %, from 1 ns up.

/// Buckets for every power of two.
const STEPS: u64 = 32;
const STEPS_BITS: u32 = STEPS.ilog2();

/// How often each latency was seen.
#[derive(Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; (u64::BITS as usize) << STEPS_BITS], count: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn record(&mut self, nanos: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(nanos)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// Counts what another has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += count;
        }
        self.count += other.count;
    }

    /// The latency in nanoseconds that `share` of all stay within; 0 when there is none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return lower_bound(index + 1) as f64;
            }
        }
        0.0
    }
}

fn bucket_of(nanos: u64) -> usize {
    // Below 32 ns nothing is told apart: no reply is that fast.
    let nanos = nanos.max(STEPS);
    let power = nanos.ilog2();
    let step = (nanos >> (power - STEPS_BITS)) - STEPS;
    (u64::from(power) * STEPS + step) as usize
}

/// The smallest latency of a bucket.
fn lower_bound(index: usize) -> u64 {
    let (power, step) = (index as u64 / STEPS, index as u64 % STEPS);
    let shift = (power as u32).saturating_sub(STEPS_BITS);
    (STEPS + step).checked_shl(shift).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.record(micros * 1000);
        }
        for (share, truth) in [(0.5, 500e3), (0.99, 990e3), (1.0, 1000e3)] {
            let found = histogram.quantile(share);
            assert!(found >= truth && found <= truth * 1.04, "{share}: {found}");
        }
    }

    #[test]
    fn nothing_seen_is_zero() {
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
    }

    #[test]
    fn every_latency_has_a_bucket_that_holds_it() {
        for nanos in [32, 33, 63, 64, 1000, 123_456_789, u64::MAX / 2] {
            let bucket = bucket_of(nanos);
            assert!(lower_bound(bucket) <= nanos && nanos < lower_bound(bucket + 1), "{nanos}");
        }
    }
}
