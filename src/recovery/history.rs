//! What was published to a document lately, for clients that come back.
//!
//! A room appends, in the order in which its members get the messages, and reads from an offset on; both on its own
//! thread. That is all it knows of a history, so that one day a log which several processes share can stand here.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    budget::{Budget, Relief},
    saved::SavedPublication,
};
use crate::{
    config::HistoryLimits,
    connection::batch::Batch,
    ids::{ClientSessionId, Id},
};

/// One publication.
#[derive(Debug)]
struct Publication {
    /// The whole frame.
    frame: Bytes,
    /// Whose own it is; `None` for a route handler's.
    from: Option<ClientSessionId>,
    /// The only client that gets it; `None` for all.
    to: Option<Box<Id>>,
    offset: u64,
    /// The room's clock when it came.
    at: u32,
}

impl Publication {
    fn cost(&self) -> usize {
        self.frame.len() + size_of::<Self>()
    }
}

/// A log that another process keeps leaves out at least as many offsets where it cannot know whether they were given before:
/// what stands behind them follows what stands before them all the same. Fewer are what a panic has lost.
pub const LEAP: u64 = 1 << 24;

/// Most leaps that are remembered, beyond what stood around them.
const LEAPS: usize = 16;

/// The latest publications of one document, bounded in number, bytes and time.
#[derive(Debug)]
pub struct History {
    publications: VecDeque<Publication>,
    /// The offset of the last one appended.
    last: u64,
    /// The offset directly before the first one that is kept, where one is.
    before: u64,
    /// The offsets before and behind the latest leaps: nobody was given what lies between, or it is lost.
    leaps: VecDeque<(u64, u64)>,
    bytes: usize,
    limits: HistoryLimits,
    budget: Arc<Budget>,
}

impl History {
    /// An empty history. What it holds comes out of `budget`.
    pub fn new(limits: HistoryLimits, budget: Arc<Budget>) -> Self {
        Self {
            publications: VecDeque::new(),
            last: 0,
            before: 0,
            leaps: VecDeque::new(),
            bytes: 0,
            limits,
            budget,
        }
    }

    /// A history that goes on behind the offset `last`, with what was published up to there. `elapsed` milliseconds have
    /// passed since that was saved, of which `now` is the end.
    pub(crate) fn go_on(&mut self, last: u64, publications: Vec<SavedPublication>, elapsed: u32, now: u32) {
        self.clear();
        // They are without a gap: what leaps is remembered by its log.
        let first = last.saturating_sub(publications.len() as u64) + 1;
        for (offset, SavedPublication { frame, from, to, age }) in (first..).zip(publications) {
            let at = now.wrapping_sub(age.saturating_add(elapsed));
            if self.publications.is_empty() {
                self.before = offset - 1;
            }
            self.push(Publication { frame, from, to: to.map(Box::new), offset, at });
        }
        self.last = last;
    }

    /// What it holds.
    pub(crate) fn save(&self, now: u32) -> Vec<SavedPublication> {
        let publications = self.publications.iter();
        publications
            .map(|Publication { frame, from, to, offset: _, at }| SavedPublication {
                frame: frame.clone(),
                from: *from,
                to: to.as_deref().cloned(),
                age: now.wrapping_sub(*at),
            })
            .collect()
    }

    /// Appends the publications among the frames of a batch that was sent at `now`.
    pub fn append(&mut self, batch: &Batch, now: u32) {
        let history_bytes =
            batch.ranges().filter_map(|(range, frame)| Some((range, &frame.meta, frame.meta.offset?)));
        // A slice keeps the whole batch in memory, which is no more than twice what is counted.
        let share = batch.history_bytes * 2 >= batch.bytes.len();
        for (range, meta, offset) in history_bytes {
            let leaps = offset > self.last && offset - self.last > LEAP;
            if offset != self.last + 1 && !leaps {
                // A batch went missing in a panic: what is before it leads nowhere.
                self.clear();
            }
            if leaps {
                self.leaps.truncate(LEAPS - 1);
                self.leaps.push_front((self.last, offset));
            }
            if self.publications.is_empty() {
                self.before = if leaps { self.last } else { offset - 1 };
            }
            let frame =
                if share { batch.bytes.slice(range) } else { Bytes::copy_from_slice(&batch.bytes[range]) };
            let to = meta.to.clone().map(Box::new);
            self.push(Publication { frame, from: meta.client_session, to, offset, at: now });
            // Not before it is there: a panic in between would have later replays begin one too early.
            self.last = offset;
        }
    }

    /// Where it does not fit, the oldest give way; one that does not fit alone is not kept, and nothing before it.
    fn push(&mut self, publication: Publication) {
        let cost = publication.cost();
        let HistoryLimits { messages, bytes, .. } = self.limits;
        while self.publications.len() >= messages || self.bytes + cost > bytes {
            if self.publications.is_empty() {
                return;
            }
            self.forget_first();
        }
        self.budget.charge(cost);
        self.bytes += cost;
        self.publications.push_back(publication);
    }

    /// Publications up to `offset` may have been appended or not: where they were not, nothing before them is of use.
    pub(crate) fn lost(&mut self, offset: u64) {
        if self.last < offset {
            self.clear();
            self.last = offset;
        }
    }

    /// Forgets everything, and goes on behind `offset`.
    pub(crate) fn restart(&mut self, offset: u64) {
        self.clear();
        self.leaps.clear();
        self.last = offset;
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many publications it holds.
    pub fn len(&self) -> usize {
        self.publications.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.publications.is_empty()
    }

    /// Forgets the oldest until it takes `bytes` at most.
    pub fn trim(&mut self, bytes: usize) {
        while self.bytes > bytes {
            self.forget_first();
        }
    }

    /// Where more is remembered than may be in all documents together: the task of making room.
    pub(crate) fn relief(&self) -> Option<Relief> {
        self.budget.relief()
    }

    /// The frames after `offset` which a client misses that has seen everything up to it: not those of its own client session,
    /// nor those for another client. `None` where they are not all there.
    pub fn since(&self, offset: u64, client_session: ClientSessionId, client: &Id) -> Option<Vec<Bytes>> {
        let first = self.publications.partition_point(|publication| publication.offset <= offset);
        let seen = match first.checked_sub(1) {
            Some(index) => self.publications[index].offset,
            None if self.publications.is_empty() => self.last,
            None => self.before,
        };
        // What is none of these is gone, or was never given in this history.
        if seen != offset {
            return None;
        }
        let is_for = |publication: &&Publication| {
            publication.from != Some(client_session)
                && publication.to.as_deref().is_none_or(|to| to == client)
        };
        Some(self.publications.range(first..).filter(is_for).map(|each| each.frame.clone()).collect())
    }

    /// Whether what stood at `offset` is known to be lost, where there was anything.
    pub fn has_leapt_over(&self, offset: u64) -> bool {
        self.leaps.iter().any(|(before, behind)| (before + 1..*behind).contains(&offset))
    }

    /// The offset of the last publication; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Forgets what is older than `age`, in milliseconds.
    pub fn forget(&mut self, now: u32, age: u32) {
        while self.publications.front().is_some_and(|first| now.wrapping_sub(first.at) > age) {
            self.forget_first();
        }
        if self.publications.is_empty() {
            self.publications = VecDeque::new();
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.publications.pop_front() {
            self.before = first.offset;
            self.bytes -= first.cost();
            self.budget.give_back(first.cost());
        }
    }

    fn clear(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.bytes));
        self.publications = VecDeque::new();
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests;
