//! Fair turns: whoever was refused waits in a queue, and its first is the only one whose batches are accepted.
//!
//! Without them the quickest writer wins every time, and one with a slower line than the others is never confirmed. A turn
//! is as long as its writer needs to see the batch before it and to send its own, which is measured: from a refusal, and
//! the wait that it asked for, to the next attempt. Who does not come in that time has lost its turn, and queues again when
//! it comes. There is no timer: which turns have passed is found out when somebody comes.

use std::collections::{HashMap, VecDeque};

/// The round trip of a writer that was not measured yet, in milliseconds.
const FIRST_ROUND_TRIP_MS: u64 = 100;

/// Longest turn, in milliseconds.
const MAX_TURN_MS: u64 = 2000;

/// Shortest turn, in milliseconds: a disk, and a browser that is busy, take some time on the shortest line, too.
const MIN_TURN_MS: u64 = 60;

/// What becomes of those whose batches come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Who was refused has a turn, in the order of the first refusals.
    Fair,
    /// Who comes first is first. For comparison.
    Plain,
}

/// Who waits, and whose turn it is. Costs nothing while nobody was ever refused.
#[derive(Debug, Default)]
pub(super) struct FairTurns {
    /// Who was refused and not accepted since; the first has the turn.
    queue: VecDeque<u64>,
    /// The turn of the queue's first; `None` until somebody comes who needs to know.
    turn: Option<Turn>,
    /// What was measured of those who were refused once and have not left.
    paces: HashMap<u64, Pace>,
}

/// A turn, in milliseconds of the caller's clock.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// When its writer can be here with a batch, if all goes well.
    due: u64,
    /// From when on it is lost.
    until: u64,
}

/// What is known of a writer's line.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// From a refusal to the next attempt, smoothed, in milliseconds.
    round_trip: u64,
    /// Whether that was ever measured.
    is_measured: bool,
    /// When it was told to come again, where it has not come since.
    from: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { round_trip: FIRST_ROUND_TRIP_MS, is_measured: false, from: None }
    }
}

impl Pace {
    /// Takes the time of an attempt into account.
    fn measure(&mut self, now: u64) {
        let Some(round_trip) = self.from.take().and_then(|from| now.checked_sub(from)) else {
            // It did not wait.
            return;
        };
        if round_trip > MAX_TURN_MS {
            // It had nothing to send any more, and has now.
            return;
        }
        self.round_trip = match self.round_trip {
            _ if !self.is_measured => round_trip,
            // What became slower must have a longer turn soon.
            smoothed if round_trip > smoothed => smoothed.midpoint(round_trip),
            smoothed => (7 * smoothed + round_trip) / 8,
        };
        self.is_measured = true;
    }

    /// How long a turn is, at least from when it can begin to use it.
    fn turn_ms(&self) -> u64 {
        (self.round_trip * 26 / 10).clamp(MIN_TURN_MS, MAX_TURN_MS)
    }
}

impl FairTurns {
    /// Whether a writer's batch, for the current version or an older one, is accepted at `now`. Else how long it shall
    /// wait, in milliseconds; `None` where it shall come at once.
    pub(super) fn attempt(&mut self, writer: u64, is_current: bool, now: u64) -> Result<(), Option<u32>> {
        if let Some(pace) = self.paces.get_mut(&writer) {
            pace.measure(now);
        }
        self.pass(now);
        if is_current && self.queue.front().is_none_or(|first| *first == writer) {
            self.next(now);
            return Ok(());
        }
        let place = self.queue.iter().position(|waiting| *waiting == writer).unwrap_or_else(|| {
            self.queue.push_back(writer);
            self.queue.len() - 1
        });
        self.pass(now);
        let wait = self.wait(place, now);
        self.paces.entry(writer).or_default().from = Some(now + wait);
        Err(u32::try_from(wait).ok().filter(|wait| *wait > 0))
    }

    /// Takes the turn from those who have not come in time, and sees to it that who is first has one.
    fn pass(&mut self, now: u64) {
        while let Some(turn) = self.turn.filter(|turn| turn.until < now) {
            self.next(turn.until);
        }
        if self.turn.is_none() {
            self.begin(now);
        }
    }

    /// Ends the turn of who is first, at `at`.
    fn next(&mut self, at: u64) {
        self.queue.pop_front();
        self.begin(at);
    }

    /// Begins the turn of who is first now.
    fn begin(&mut self, at: u64) {
        self.turn = self.queue.front().map(|first| {
            let pace = self.paces.get(first).copied().unwrap_or_default();
            // It may have been told to come later than it turns out.
            let start = pace.from.unwrap_or(at).clamp(at, at + MAX_TURN_MS - pace.turn_ms());
            Turn { due: start + pace.round_trip, until: start + pace.turn_ms() }
        });
    }

    /// How long who stands at `place` shall wait.
    fn wait(&self, place: usize, now: u64) -> u64 {
        let Some(turn) = self.turn.filter(|_| place > 0) else { return 0 };
        let between = self.queue.range(1..place);
        let own = self.queue.get(place).map_or(0, |writer| self.round_trip(*writer));
        let ahead =
            turn.due.saturating_sub(now) + between.map(|writer| self.round_trip(*writer)).sum::<u64>();
        if ahead > 2 * own { ahead - own } else { ahead }
    }

    fn round_trip(&self, writer: u64) -> u64 {
        self.paces.get(&writer).copied().unwrap_or_default().round_trip
    }

    /// Nobody waits any more.
    pub(super) fn dismiss(&mut self) {
        self.queue.clear();
        self.turn = None;
        for pace in self.paces.values_mut() {
            pace.from = None;
        }
    }

    /// Forgets a writer.
    pub(super) fn leave(&mut self, writer: u64) {
        self.paces.remove(&writer);
        if self.queue.front() == Some(&writer) {
            self.turn = None;
        }
        self.queue.retain(|waiting| *waiting != writer);
    }
}
