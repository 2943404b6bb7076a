//! When each writer sends, at a fixed rate each.

use std::time::{Duration, Instant};

/// Every writer once a period, at a moment of its own in it, so that messages come unevenly as they do in life.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    period: Duration,
    /// Moment in the period and writer, by moment.
    turns: Vec<(Duration, usize)>,
    next: usize,
}

impl Schedule {
    /// `writers` send `rate` messages a second each, from `start` on. The moments are the same in every run.
    pub fn new(writers: usize, rate: f64, start: Instant) -> Self {
        let period = Duration::from_secs_f64(1.0 / rate);
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut turns: Vec<_> = (0..writers)
            .map(|writer| {
                // xorshift64: any even spread will do.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (period.mul_f64(random as f64 / u64::MAX as f64), writer)
            })
            .collect();
        turns.sort_unstable();
        Self { start, period, turns, next: 0 }
    }

    /// When the next message is due.
    pub fn due(&self) -> Instant {
        let round = (self.next / self.turns.len()) as u32;
        self.start + self.period * round + self.turns[self.next % self.turns.len()].0
    }

    /// The next message, where it is due at `now`: when it was, and who sends it.
    pub fn take(&mut self, now: Instant) -> Option<(Instant, usize)> {
        let due = self.due();
        if due > now {
            return None;
        }
        let writer = self.turns[self.next % self.turns.len()].1;
        self.next += 1;
        Some((due, writer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writer_sends_once_a_period_in_order_of_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new(3, 10.0, start);
        assert!(schedule.take(start - Duration::from_millis(1)).is_none());
        let far = start + Duration::from_millis(199);
        let all: Vec<_> = std::iter::from_fn(|| schedule.take(far)).collect();
        assert!(all.is_sorted_by_key(|(due, _)| *due));
        let mut writers: Vec<_> = all[..3].iter().map(|(_, writer)| *writer).collect();
        writers.sort_unstable();
        assert_eq!(writers, [0, 1, 2]);
        assert!(schedule.due() > far);
    }
}
