//! Fair turns: whoever was refused waits in a queue, and only the batches of its first are accepted.
//!
//! Without them the quickest writer wins every time, and one with a slower line than the others is never confirmed. A turn
//! is as long as its writer needs to see the batch before it and to send its own, which is measured: from the moment for
//! which it was told to come again, to the attempt that shows that it was told. Who does not come in that time has lost its
//! turn, and queues again when it comes. There is no timer: which turns have passed is found out when somebody comes.

use std::collections::{HashMap, VecDeque};

/// What a round trip is taken for while nobody's was measured, in milliseconds.
const FIRST_ROUND_TRIP_MS: u64 = 100;

/// Longest turn, in milliseconds.
const MAX_TURN_MS: u64 = 2000;

/// Shortest turn, in milliseconds: on the shortest line, too, a disk and a busy browser take some time.
const MIN_TURN_MS: u64 = 60;

/// How much later than expected who is next is told to come, in milliseconds: a batch that is sent before the one ahead of
/// it was seen costs a whole round trip, one that is sent later no more than that.
const SLACK_MS: u64 = 15;

/// Has the number of a writer of another process.
const ELSEWHERE: u64 = 1 << 63;

/// What becomes of those whose batches come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Who was refused has a turn, in the order of the first refusals.
    Fair,
    /// Who comes first is first. For comparison.
    Plain,
}

/// Who waits, and whose turn it is. Holds nothing until somebody is refused.
#[derive(Debug)]
pub(super) struct FairTurns {
    /// Who was refused and not accepted since; the first has the turn.
    queue: VecDeque<u64>,
    /// The turn of the first; `None` until somebody comes.
    turn: Option<Turn>,
    /// Those who were refused once and have not left.
    writers: HashMap<u64, Writer>,
    /// What a round trip is taken for that was not measured yet, from those that were.
    usual_round_trip: u64,
}

/// A turn, in milliseconds of the caller's clock.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// When it was given.
    given: u64,
    /// From when on it counts.
    begins: u64,
}

/// What is known of a writer.
#[derive(Debug, Clone, Copy, Default)]
struct Writer {
    /// How long it takes to come again, smoothed, in milliseconds.
    round_trip: Option<u64>,
    /// The last refusal that it has not answered.
    told: Option<Told>,
}

/// A refusal.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// When it was to come again, if its line took no time.
    again: u64,
    /// The version of which it had seen everything when it was told: an attempt for an older one was under way before.
    seen: u64,
}

impl Default for FairTurns {
    fn default() -> Self {
        let (queue, writers) = (VecDeque::new(), HashMap::new());
        Self { queue, turn: None, writers, usual_round_trip: FIRST_ROUND_TRIP_MS }
    }
}

impl FairTurns {
    /// Whether a batch for `version` is accepted at `now`, where the document is at `head`. Else how long its writer shall
    /// wait, in milliseconds; `None` where it shall come at once.
    pub(super) fn attempt(
        &mut self,
        writer: u64,
        version: u64,
        head: u64,
        now: u64,
    ) -> Result<(), Option<u32>> {
        self.measure(writer, version, now);
        if self.queue.front() != Some(&writer) {
            // Who comes late and has kept nobody waiting is not late.
            self.pass(now);
        }
        if version == head && self.queue.front().is_none_or(|first| *first == writer) {
            self.queue.pop_front();
            self.begin(now);
            return Ok(());
        }
        let place = self.queue.iter().position(|waiting| *waiting == writer).unwrap_or_else(|| {
            self.queue.push_back(writer);
            self.queue.len() - 1
        });
        if self.turn.is_none() {
            self.begin(now);
        }
        let wait = self.wait(place, now);
        self.writers.entry(writer).or_default().told.get_or_insert(Told { again: now + wait, seen: head });
        Err(u32::try_from(wait).ok().filter(|wait| *wait > 0))
    }

    /// Learns from an attempt how long a writer takes to come again.
    fn measure(&mut self, writer: u64, version: u64, now: u64) {
        let Some(known) = self.writers.get_mut(&writer) else { return };
        let Some(told) = known.told.take_if(|told| told.seen <= version) else { return };
        // One that did not wait says nothing of its line, nor does one that had nothing left to send and has something now.
        let Some(took) = now.checked_sub(told.again).filter(|took| *took <= MAX_TURN_MS) else { return };
        known.round_trip = Some(match known.round_trip {
            None => {
                self.usual_round_trip = (7 * self.usual_round_trip + took) / 8;
                took
            }
            // What became slower needs a longer turn soon.
            Some(smoothed) if took > smoothed => smoothed.midpoint(took),
            Some(smoothed) => (7 * smoothed + took) / 8,
        });
    }

    /// Takes the turn from those who have not come in time, and sees to it that the first has one.
    fn pass(&mut self, now: u64) {
        while let Some(first) = self.queue.front() {
            let Some(turn) = self.turn else { return self.begin(now) };
            let end = self.end(*first, turn);
            if now <= end {
                return;
            }
            self.queue
                .pop_front()
                .filter(|gone| gone & ELSEWHERE != 0)
                .map(|gone| self.writers.remove(&gone));
            // It may have been lost before it was given.
            self.begin(end.max(turn.given));
        }
    }

    /// Gives the turn to who is first, at `given`.
    fn begin(&mut self, given: u64) {
        self.turn = self.queue.front().map(|first| {
            // It may have been told to come later, when it was not known how quick those ahead of it would be.
            Turn { given, begins: self.told(*first).map_or(given, |again| again.max(given)) }
        });
    }

    /// The end of a turn. For who was to come before it, and has not, it counts from there: a client whose steps came to
    /// nothing does not come at all, and must not hold up the others.
    fn end(&self, writer: u64, turn: Turn) -> u64 {
        let from = self.told(writer).map_or(turn.begins, |again| again.min(turn.begins));
        (from + self.turn_ms(writer)).min(turn.given + MAX_TURN_MS)
    }

    /// When a writer was to come again that has not come since.
    fn told(&self, writer: u64) -> Option<u64> {
        self.writers.get(&writer)?.told.map(|told| told.again)
    }

    /// How long a turn is: two round trips, since the first attempt may have been under way when the turn began, and some.
    fn turn_ms(&self, writer: u64) -> u64 {
        let measured = self.writers.get(&writer).and_then(|known| known.round_trip);
        let round_trip = measured.unwrap_or_else(|| self.usual_round_trip.max(FIRST_ROUND_TRIP_MS));
        (round_trip * 26 / 10).clamp(MIN_TURN_MS, MAX_TURN_MS)
    }

    /// How long who stands at `place` shall wait, so that it comes in time. Who is next is to send when it has just seen the
    /// batch ahead of it; whoever stands behind that is to come once more before, since by then more is known.
    fn wait(&self, place: usize, now: u64) -> u64 {
        let Some(turn) = self.turn.filter(|_| place > 0) else { return 0 };
        let first = (turn.begins + self.round_trip(self.queue[0])).saturating_sub(now);
        let between = self.queue.range(1..place).map(|writer| self.round_trip(*writer)).sum::<u64>();
        if place == 1 {
            return first + SLACK_MS;
        }
        // One whose line was once slow, and is not, would otherwise come again and again until then.
        (first + between).saturating_sub(self.round_trip(self.queue[place]) * 3 / 2).max(SLACK_MS)
    }

    /// How long a writer takes to come again, as far as that is known, in milliseconds.
    pub(super) fn round_trip(&self, writer: u64) -> u64 {
        self.writers.get(&writer).and_then(|known| known.round_trip).unwrap_or(self.usual_round_trip)
    }

    /// The turn of a writer came to nothing, and is given again: it was not slow.
    pub(super) fn give_back(&mut self, writer: u64, head: u64, now: u64) {
        self.queue.retain(|waiting| *waiting != writer);
        self.queue.push_front(writer);
        self.writers.entry(writer).or_default().told = Some(Told { again: now, seen: head });
        self.turn = Some(Turn { given: now, begins: now });
    }

    /// Whether a writer waits.
    pub(super) fn is_waiting(&self, writer: u64) -> bool {
        self.queue.contains(&writer)
    }

    /// A writer of another process waits, that takes so long to come again: it has its place behind those who wait here.
    pub(super) fn waits_elsewhere(&mut self, writer: u64, round_trip: u64, now: u64) {
        let writer = writer | ELSEWHERE;
        self.writers.entry(writer).or_default().round_trip = Some(round_trip.min(MAX_TURN_MS));
        if !self.is_waiting(writer) {
            self.queue.push_back(writer);
        }
        if self.turn.is_none() {
            self.begin(now);
        }
    }

    /// A batch of a writer of another process was accepted there.
    pub(super) fn served_elsewhere(&mut self, writer: u64, now: u64) {
        let writer = writer | ELSEWHERE;
        if self.writers.remove(&writer).is_none() {
            return;
        }
        let was_first = self.queue.front() == Some(&writer);
        self.queue.retain(|waiting| *waiting != writer);
        if was_first {
            self.begin(now);
        }
    }

    /// Goes back to `head`: nobody has seen more.
    pub(super) fn rollback(&mut self, head: u64) {
        for told in self.writers.values_mut().filter_map(|known| known.told.as_mut()) {
            told.seen = told.seen.min(head);
        }
    }

    /// Has nobody wait any more.
    pub(super) fn dismiss(&mut self) {
        self.queue.clear();
        self.turn = None;
        for known in self.writers.values_mut() {
            known.told = None;
        }
    }

    /// Forgets a writer.
    pub(super) fn leave(&mut self, writer: u64) {
        if self.queue.front() == Some(&writer) {
            self.turn = None;
        }
        self.queue.retain(|waiting| *waiting != writer);
        self.writers.remove(&writer);
    }
}

#[cfg(test)]
mod tests;
