//! How old something is, by clocks that do not leave out the time in which the process, or all of its machine, stood still.

use std::time::{Duration, Instant, SystemTime};

/// When something was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    /// Stands still with the machine.
    monotonic: Instant,
    /// Does not, and may be set.
    wall: SystemTime,
}

impl Since {
    pub(super) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// How long ago it was at least: a clock that was set makes it older, never younger.
    pub(super) fn age(&self) -> Duration {
        self.monotonic.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// What time it is for a server, as far as that was asked once. Where the machine stood still meanwhile it is behind: then what was
/// published seems older than it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerClock {
    asked: Instant,
    /// Milliseconds of its calendar.
    said: u64,
}

impl ServerClock {
    /// What it has said, which was asked at `asked`.
    pub(super) fn of(asked: Instant, said: u64) -> Self {
        Self { asked, said }
    }

    /// When something was by its clock, in milliseconds.
    pub(super) fn time_of(&self, since: Since) -> u64 {
        let now = u128::from(self.said) + self.asked.elapsed().as_millis();
        u64::try_from(now.saturating_sub(since.age().as_millis())).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::{ServerClock, Since};

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn what_was_before_the_machine_stood_still_is_as_old_as_the_calendar_says() {
        let slept = Since { monotonic: Instant::now(), wall: SystemTime::now() - HOUR };
        assert!(slept.age() >= HOUR);
        let before = Instant::now().checked_sub(HOUR).unwrap();
        let set_back = Since { monotonic: before, wall: SystemTime::now() + HOUR };
        assert!(set_back.age() >= HOUR);
        assert!(Since::now().age() < HOUR);
    }

    #[test]
    fn a_servers_clock_goes_on_from_what_it_has_said() {
        let said = 1_700_000_000_000;
        let clock = ServerClock::of(Instant::now().checked_sub(HOUR).unwrap(), said);
        let hour = 3_600_000;
        assert!((said + hour - 1000..=said + hour + 10_000).contains(&clock.time_of(Since::now())));
        let slept = Since { monotonic: Instant::now(), wall: SystemTime::now() - HOUR };
        assert!((said - 1000..=said + 10_000).contains(&clock.time_of(slept)));
    }
}
