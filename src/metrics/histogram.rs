//! How values are spread, in buckets that are known beforehand.

use std::time::Duration;

use super::counter::Counter;

/// Upper bounds of times, in microseconds. `js/admission/times.js` has the same.
pub const TIMES: [u64; 12] =
    [100, 250, 1000, 2500, 5000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000];

/// Upper bounds of how many came together.
pub const COUNTS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024];

/// How times are spread.
pub type Times = Histogram<12>;

/// How many came together, and how often.
pub type Counts = Histogram<10>;

/// How values are spread over `N` buckets and one for what is above. It has one writer.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    buckets: [Counter; N],
    above: Counter,
    sum: Counter,
}

impl<const N: usize> Histogram<N> {
    /// An empty one, with upper bounds that are part of their buckets.
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            buckets: std::array::from_fn(|_| Counter::new()),
            above: Counter::new(),
            sum: Counter::new(),
        }
    }

    /// Counts a value. By its one writer.
    #[inline]
    pub fn observe(&self, value: u64) {
        let found = self.bounds.iter().position(|bound| value <= *bound);
        found.map_or(&self.above, |index| &self.buckets[index]).add(1);
        self.sum.add(value);
    }
}

impl Times {
    /// An empty one for times.
    pub fn of_times() -> Self {
        Self::new(&TIMES)
    }

    /// Counts a time. By its one writer.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

/// What one or several [`Histogram`]s had counted at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bounds, and how many values were at most that: of those alone that were above the bound before.
    pub buckets: Vec<(f64, u64)>,
    /// How many values were above all bounds.
    pub above: u64,
    /// Their sum.
    pub sum: f64,
}

/// One second in the unit of times.
const SECOND: f64 = 1e6;

impl Distribution {
    /// An empty one of times, whose bounds are seconds.
    pub fn of_times() -> Self {
        Self::with(&TIMES, SECOND)
    }

    /// An empty one of counts.
    pub fn of_counts() -> Self {
        Self::with(&COUNTS, 1.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    fn with(bounds: &[u64], unit: f64) -> Self {
        let buckets = bounds.iter().map(|bound| (*bound as f64 / unit, 0)).collect();
        Self { buckets, above: 0, sum: 0.0 }
    }

    /// The same with what times were counted.
    #[must_use]
    pub fn and_times(mut self, times: &Times) -> Self {
        self.add(times, SECOND);
        self
    }

    /// The same with what was counted.
    #[must_use]
    pub fn and_counts(mut self, counts: &Counts) -> Self {
        self.add(counts, 1.0);
        self
    }

    #[expect(clippy::cast_precision_loss, reason = "a sum is read as a rate")]
    fn add<const N: usize>(&mut self, histogram: &Histogram<N>, unit: f64) {
        for ((_, count), bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *count += bucket.get();
        }
        self.above += histogram.above.get();
        self.sum += histogram.sum.get() as f64 / unit;
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum::<u64>() + self.above
    }

    /// Upper bounds, each with how many values were at most that.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.buckets.iter().scan(0, |total, (bound, count)| {
            *total += count;
            Some((*bound, *total))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{COUNTS, Counts, Distribution, TIMES, Times};

    #[test]
    fn a_value_counts_in_the_bucket_whose_bound_it_reaches() {
        let counts = Counts::new(&COUNTS);
        for value in [0, 1, 2, 3, 1024, 1025] {
            counts.observe(value);
        }
        let found = Distribution::of_counts().and_counts(&counts).and_counts(&counts);
        let cumulative: Vec<_> = found.cumulative().map(|(_, count)| count).collect();
        assert_eq!(cumulative, [4, 6, 8, 8, 8, 8, 8, 8, 8, 10]);
        assert_eq!((found.above, found.count(), found.sum), (2, 12, 4110.0));
    }

    #[test]
    fn times_are_told_in_seconds() {
        let times = Times::of_times();
        times.observe_time(Duration::from_micros(100));
        times.observe_time(Duration::from_millis(1500));
        let found = Distribution::of_times().and_times(&times);
        assert_eq!(found.buckets[0], (0.0001, 1));
        assert_eq!(found.cumulative().last(), Some((10.0, 2)));
        assert!((found.sum - 1.5001).abs() < 1e-9);
        assert!(TIMES.is_sorted() && COUNTS.is_sorted());
    }
}
