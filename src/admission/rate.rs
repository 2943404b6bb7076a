//! Token buckets in eight bytes each.
//!
//! A bucket is kept as the moment at which it will be full again (the generic cell rate algorithm): what is taken moves
//! the moment on, time catches up with it, and nothing has to be refilled. Taking is never refused, because what was
//! read from a socket is not thrown away; the answer is how long to wait before reading more.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// How fast a bucket fills, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 0 is no limit.
    per_second: u64,
    /// Nanoseconds that the whole bucket takes to fill.
    burst: u64,
}

const SECOND: u64 = 1_000_000_000;

/// Nobody waits longer, whatever was taken: a user whose connections went too far together is not shut out for a day.
const LONGEST_WAIT: u64 = 600 * SECOND;

impl Rate {
    /// No limit.
    pub const NONE: Self = Self { per_second: 0, burst: 0 };

    /// `per_second`, with `burst` at once after a rest. 0 a second is no limit.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        if per_second == 0 {
            return Self::NONE;
        }
        Self { per_second: per_second as u64, burst: burst as u64 * SECOND / per_second as u64 }
    }

    /// Half as fast, with half as much at once, but one.
    pub(crate) fn half(self) -> Self {
        let per_second = self.per_second.div_ceil(2);
        let one = SECOND.checked_div(per_second).unwrap_or(0);
        // A bucket of half the size takes as long to fill.
        Self { per_second, burst: self.burst.max(one) }
    }

    /// Nanoseconds in which `count` flows in.
    fn cost(self, count: u64) -> u64 {
        count.saturating_mul(SECOND) / self.per_second
    }
}

/// One bucket: when it will be full again, in nanoseconds of [`now`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket(u64);

impl Bucket {
    /// When it is full again, in nanoseconds of [`now`].
    pub(crate) fn full_at(self) -> u64 {
        self.0
    }

    /// Takes `count`; returns how long to wait until the bucket holds anything again, 0 where it does.
    pub(crate) fn take(&mut self, rate: Rate, count: u64, now: u64) -> u64 {
        if rate == Rate::NONE {
            return 0;
        }
        let longest = now.saturating_add(rate.burst).saturating_add(LONGEST_WAIT);
        self.0 = self.0.max(now).saturating_add(rate.cost(count)).min(longest);
        self.0.saturating_sub(now).saturating_sub(rate.burst)
    }
}

/// The buckets of one connection, or of one user: messages and bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    messages: Bucket,
    bytes: Bucket,
}

impl Meter {
    /// Takes from both buckets; returns how long to wait before taking more.
    pub fn take(&mut self, rates: (Rate, Rate), counts: (u64, u64), now: u64) -> Duration {
        let messages = self.messages.take(rates.0, counts.0, now);
        Duration::from_nanos(messages.max(self.bytes.take(rates.1, counts.1, now)))
    }

    /// When both buckets are full again, in nanoseconds of [`now`].
    pub fn full_at(&self) -> u64 {
        self.messages.0.max(self.bytes.0)
    }
}

/// Nanoseconds since this was first asked.
pub fn now() -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGIN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Meter, Rate, SECOND};

    const RATES: (Rate, Rate) = (Rate::new(10, 20), Rate::new(1000, 5000));

    #[test]
    fn two_buckets_take_sixteen_bytes() {
        assert_eq!(size_of::<Meter>(), 16);
    }

    #[test]
    fn a_burst_is_free_and_what_follows_waits() {
        let mut meter = Meter::default();
        assert_eq!(meter.take(RATES, (20, 0), 0), Duration::ZERO);
        assert_eq!(meter.take(RATES, (1, 0), 0), Duration::from_millis(100));
        assert_eq!(meter.take(RATES, (1, 0), 0), Duration::from_millis(200));
    }

    #[test]
    fn time_fills_the_bucket_and_no_further_than_full() {
        let mut meter = Meter::default();
        meter.take(RATES, (20, 0), 0);
        assert_eq!(meter.take(RATES, (10, 0), SECOND), Duration::ZERO);
        assert_eq!(meter.take(RATES, (1, 0), SECOND), Duration::from_millis(100));
        assert_eq!(meter.take(RATES, (20, 0), 1000 * SECOND), Duration::ZERO);
        assert_eq!(meter.take(RATES, (1, 0), 1000 * SECOND), Duration::from_millis(100));
    }

    #[test]
    fn over_a_long_time_exactly_the_rate_passes() {
        let (mut meter, mut now, mut passed) = (Meter::default(), 0, 0);
        while now < 1000 * SECOND {
            passed += 7;
            now += u64::try_from(meter.take(RATES, (7, 0), now).as_nanos()).unwrap();
        }
        assert!((10_000..=10_030).contains(&passed), "{passed}");
    }

    #[test]
    fn bytes_count_beside_messages_and_the_longer_wait_counts() {
        let mut meter = Meter::default();
        assert_eq!(meter.take(RATES, (21, 6000), 0), Duration::from_secs(1));
        assert_eq!(meter.take((Rate::NONE, Rate::NONE), (u64::MAX, u64::MAX), 0), Duration::ZERO);
    }

    #[test]
    fn a_meter_that_is_full_again_is_as_good_as_a_new_one() {
        let mut meter = Meter::default();
        assert_eq!(meter.full_at(), 0);
        meter.take(RATES, (20, 1000), SECOND);
        assert_eq!(meter.full_at(), 3 * SECOND);
        assert_eq!(meter.take(RATES, (20, 0), 3 * SECOND), Duration::ZERO);
    }

    #[test]
    fn no_count_and_no_time_overflows() {
        let mut meter = Meter::default();
        for now in [0, 1, u64::MAX / 2, u64::MAX] {
            meter.take((Rate::new(u32::MAX, u32::MAX), Rate::new(1, u32::MAX)), (u64::MAX, u64::MAX), now);
        }
    }
}
