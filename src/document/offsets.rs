//! The offsets of a document: the place of each of its batches, and of what goes by without being kept, among all that its
//! members are sent.
//!
//! They go on over rooms and over processes, so that who comes back is given what it missed, whatever has ended meanwhile.
//! A batch has its offset in the store. What is not kept has none there: that such offsets may be given is noted before the
//! first of them is, or a client could be told that it missed nothing.

use super::store::{Passing, Stored};
use crate::ids::Epoch;

/// How many offsets are noted at a time for what is not kept.
const PASSING_AT_A_TIME: u64 = 10_000;

/// Where a document stands among its offsets.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    /// Names the history they are of.
    pub(super) epoch: Epoch,
    /// The last that was given to something whose way out is certain.
    given: u64,
    /// The last that was given, also to what the store has not answered yet.
    asked: u64,
    /// The last that was given to a batch.
    batch: u64,
    /// What the store has noted.
    noted: Option<Passing>,
    /// An earlier process has given offsets up to here at most to what nobody can be given any more.
    lost_up_to: Option<u64>,
}

impl Offsets {
    /// Those of a document that begins.
    pub(super) fn new() -> Self {
        Self { epoch: Epoch::random(), given: 0, asked: 0, batch: 0, noted: None, lost_up_to: None }
    }

    /// Those of a document that the store has.
    pub(super) fn of(stored: &Stored) -> Self {
        let last = stored.last_offset();
        let unknown = stored.passing.filter(|passing| last <= passing.behind);
        let lost_up_to = unknown.map(|passing| passing.up_to);
        Self { epoch: stored.epoch, given: last, asked: last, batch: last, noted: None, lost_up_to }
    }

    /// The last of what nobody can be given any more, or of what has gone out.
    pub(super) fn before(&self) -> u64 {
        self.lost_up_to.unwrap_or(self.given)
    }

    /// The last that was given to something that has gone out, or is about to.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    fn next(&mut self) -> u64 {
        if let Some(up_to) = self.lost_up_to.take() {
            (self.given, self.asked) = (up_to, up_to);
        }
        self.asked += 1;
        self.asked
    }

    /// The place of the next batch.
    pub(super) fn next_batch(&mut self) -> u64 {
        self.batch = self.next();
        self.batch
    }

    /// The place of something that is not kept, with what the store has to note before it goes out.
    pub(super) fn next_passing(&mut self) -> (u64, Option<Passing>) {
        let offset = self.next();
        let is_noted = |noted: &Passing| self.batch <= noted.behind && offset <= noted.up_to;
        if self.noted.as_ref().is_some_and(is_noted) {
            return (offset, None);
        }
        let passing = Passing { behind: offset - 1, up_to: offset + PASSING_AT_A_TIME };
        self.noted = Some(passing);
        (offset, Some(passing))
    }

    /// What has this place goes out.
    pub(super) fn give(&mut self, offset: u64) {
        self.given = offset;
    }

    /// What was given this place last does not take it.
    pub(super) fn withdraw(&mut self, offset: u64) {
        self.asked = offset - 1;
        self.noted = None;
    }

    /// Whatever has a place and was not given it has none.
    pub(super) fn take_back(&mut self) {
        self.asked = self.given;
        self.noted = None;
    }

    /// The document goes on as another one, behind what nobody of the old one has seen.
    pub(super) fn begin_anew(&mut self) {
        self.take_back();
        self.epoch = Epoch::random();
    }

    /// Goes on behind an offset up to which an earlier process has sent everything; whether that can be.
    pub(super) fn resume(&mut self, offset: u64) -> bool {
        let can_be = self.asked == self.given && self.given <= offset;
        if can_be {
            (self.given, self.asked, self.lost_up_to) = (offset, offset, None);
        }
        can_be
    }
}
