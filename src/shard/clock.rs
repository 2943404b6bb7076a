//! The clock of a thread: how often it ticks, and which time counts.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Config, connection::thread::Deadlines};

/// How often a thread looks at what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) step: Duration,
    pub(super) deadlines: Deadlines,
    /// Milliseconds after which rooms forget again; `None` where they remember nothing.
    pub(super) forget: Option<u32>,
}

/// Rooms forget this often in their window, so what they hold outlives it by no more than that.
const FORGETS_PER_WINDOW: u32 = 8;

impl Clock {
    pub(super) fn of(config: &Config) -> Self {
        let times = [config.heartbeat, Some(config.close_timeout), config.recovery_window];
        let shortest = times.into_iter().flatten().min().unwrap_or_default();
        Self {
            // Fine enough for a quarter of the shortest time, and never busy.
            step: (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1)),
            deadlines: Deadlines {
                heartbeat: config.heartbeat.map(milliseconds),
                close_timeout: milliseconds(config.close_timeout),
            },
            forget: config.recovery_window.map(|window| milliseconds(window / FORGETS_PER_WINDOW)),
        }
    }
}

/// The time in which a thread could see what its peers did. Pauses of the whole process (a stopped container, a suspended
/// machine) are no part of it: pongs that came meanwhile lie unread, or are still to be sent again by the peer's TCP.
#[derive(Debug)]
pub(super) struct ObservedTime {
    passed: Duration,
    last: Instant,
}

impl ObservedTime {
    /// Begins at `begin`.
    pub(super) fn since(begin: Instant) -> Self {
        Self { passed: Duration::ZERO, last: begin }
    }

    /// What has passed of it.
    pub(super) fn passed(&self) -> Duration {
        self.passed
    }

    /// The clock ticks, every `step` unless the thread is kept from it. Returns whether there was a pause.
    pub(super) fn advance(&mut self, now: Instant, step: Duration) -> bool {
        let since = now.saturating_duration_since(std::mem::replace(&mut self.last, now));
        // A step is at most a quarter of a heartbeat: whoever did not answer a ping has then had half of one to do so.
        let paused = since > 2 * step;
        self.passed += if paused { step } else { since };
        paused
    }
}

/// Milliseconds, wrapping after 49 days: only differences of them are of use.
#[expect(clippy::cast_possible_truncation, reason = "wrapping is meant")]
pub(super) fn milliseconds(duration: Duration) -> u32 {
    duration.as_millis() as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::ObservedTime;

    #[test]
    fn a_pause_is_no_time_in_which_a_peer_was_silent() {
        let step = Duration::from_secs(1);
        let begin = Instant::now();
        let mut time = ObservedTime::since(begin);
        for (at, passed, paused) in
            [(1.0, 1.0, false), (3.0, 3.0, false), (5.1, 4.0, true), (63.0, 5.0, true), (64.0, 6.0, false)]
        {
            let at = begin + Duration::from_secs_f64(at);
            assert_eq!(time.advance(at, step), paused, "{at:?}");
            assert_eq!(time.passed(), Duration::from_secs_f64(passed));
        }
    }
}
