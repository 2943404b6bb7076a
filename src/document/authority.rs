//! Which batch comes next: the version check of a document, and fair turns where several write at once.

use super::turns::FairTurns;
pub use super::turns::Turns;

/// Orders the steps of one document: batches are accepted whole, each at the version at which the one before it ends.
///
/// It is told of everything and does nothing by itself: no clock, no timer, no I/O. There are two versions: the *head*, up to
/// which batches were accepted, and what was *delivered* of that. Between the two lie batches that wait for the disk. A
/// batch is judged by the head; a writer that was refused must be told so only after everything up to the head of that
/// moment was delivered to it, because it cannot rebase over what it has not seen.
#[derive(Debug)]
pub struct Authority {
    /// The version after everything that was accepted.
    head: u64,
    /// The version after everything that was delivered.
    delivered: u64,
    /// Whose turn it is; `None` where refusals are plain.
    turns: Option<FairTurns>,
}

/// A batch that asks for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Who sends it: a key of its connection, or one for all route handlers.
    pub writer: u64,
    /// The version that its steps were made for.
    pub version: u64,
    /// How many steps it has; at least one.
    pub count: u32,
}

/// What becomes of an [`Attempt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next; to be delivered once it is stored.
    Accepted {
        /// The version that it was made for.
        before: u64,
        /// The version behind its last step.
        after: u64,
    },
    /// Its version is behind the head, or it is another writer's turn: to be sent again, rebased.
    Stale {
        /// How long to wait before, in milliseconds; `None` for not at all. Whoever does not wait is refused again and
        /// neither gains nor loses its place.
        retry_in_ms: Option<u32>,
    },
    /// Its version is one that there is not: its client comes from another history.
    Ahead,
}

impl Authority {
    /// The authority of a document at `version`, at most 2^53 - 1, with fair turns.
    pub fn new(version: u64) -> Self {
        Self::with_turns(version, Turns::Fair)
    }

    /// The same with the given kind of turns.
    pub fn with_turns(version: u64, turns: Turns) -> Self {
        let turns = match turns {
            Turns::Fair => Some(FairTurns::default()),
            Turns::Plain => None,
        };
        Self { head: version, delivered: version, turns }
    }

    /// Judges a batch at `now`, in milliseconds of a clock that never goes back. An accepted one advances the head.
    pub fn submit(&mut self, attempt: Attempt, now: u64) -> Verdict {
        let Attempt { writer, version, count } = attempt;
        debug_assert!(count > 0, "a batch has steps");
        if version > self.head {
            return Verdict::Ahead;
        }
        let is_current = version == self.head;
        let turn = match &mut self.turns {
            Some(turns) => turns.attempt(writer, version, self.head, now),
            None if is_current => Ok(()),
            None => Err(None),
        };
        if let Err(retry_in_ms) = turn {
            return Verdict::Stale { retry_in_ms };
        }
        self.head = version + u64::from(count);
        Verdict::Accepted { before: version, after: self.head }
    }

    /// Notes that everything up to `version`, which is where an accepted batch ends, was delivered.
    pub fn delivered(&mut self, version: u64) {
        debug_assert!((self.delivered..=self.head).contains(&version), "what is delivered was accepted");
        self.delivered = version.clamp(self.delivered, self.head);
    }

    /// Takes back the batch that was accepted last, which began at `version`: it went nowhere.
    pub fn withdraw(&mut self, version: u64) {
        self.head = version.clamp(self.delivered, self.head);
    }

    /// Takes the head back to what was delivered, because the store has failed: whatever was accepted since was refused,
    /// and its versions go to others. Who waits keeps its place.
    pub fn rollback(&mut self) {
        self.head = self.delivered;
        if let Some(turns) = &mut self.turns {
            turns.rollback(self.head);
        }
    }

    /// Another process had a batch in its place first, which was delivered and ends at `version`: what was accepted here since,
    /// and was not delivered, has none any more. Who waits keeps its place.
    pub fn overtaken(&mut self, version: u64) {
        debug_assert!(version >= self.delivered, "batches follow each other");
        (self.head, self.delivered) = (version, version);
    }

    /// The batch of `writer` was accepted here, and another process's was before it: the writer has the next turn, and is to
    /// come at once.
    pub fn give_back(&mut self, writer: u64, now: u64) {
        if let Some(turns) = &mut self.turns {
            turns.give_back(writer, self.delivered, now);
        }
    }

    /// How long a writer that waits for its turn takes to come again, in milliseconds; `None` where it does not wait.
    pub fn waiting(&self, writer: u64) -> Option<u64> {
        let turns = self.turns.as_ref().filter(|turns| turns.is_waiting(writer))?;
        Some(turns.round_trip(writer))
    }

    /// A writer of another process waits for its turn, which that measures.
    pub fn waits_elsewhere(&mut self, writer: u64, round_trip: u64, now: u64) {
        if let Some(turns) = &mut self.turns {
            turns.waits_elsewhere(writer, round_trip, now);
        }
    }

    /// A batch of a writer of another process was delivered.
    pub fn served_elsewhere(&mut self, writer: u64, now: u64) {
        if let Some(turns) = &mut self.turns {
            turns.served_elsewhere(writer, now);
        }
    }

    /// Goes on at `version`, because the document was changed elsewhere: everything before is void, and so is who waits.
    /// `false`, and nothing happens, where it is not behind the head: a version is never given twice.
    #[must_use]
    pub fn jump(&mut self, version: u64) -> bool {
        if version <= self.head {
            return false;
        }
        (self.head, self.delivered) = (version, version);
        if let Some(turns) = &mut self.turns {
            turns.dismiss();
        }
        true
    }

    /// Forgets a writer that has gone: its turn, its place among those who wait, and what was measured of it.
    pub fn leave(&mut self, writer: u64) {
        if let Some(turns) = &mut self.turns {
            turns.leave(writer);
        }
    }

    /// The version after everything that was accepted.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The version of the document: after everything that was delivered.
    pub fn version(&self) -> u64 {
        self.delivered
    }
}
