//! What was published to a document lately, for clients that come back.
//!
//! A room appends, in the order in which its members get the messages, and reads from an offset on; both on its own
//! thread. That is all it knows of a history, so that one day a log which several processes share can stand here.

use std::{
    collections::VecDeque,
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::{batch::Batch, config::HistoryLimits, lineage::LineageId, protocol::Id};

/// Names one history of a document. Offsets of another epoch mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// One that has not been before. It is no secret, so the keys that hash maps get are random enough.
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits {
            return Err(());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

/// Bytes that all rooms of a hub may use together to remember.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, if there are as many.
    pub fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Gives `bytes` back.
    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One publication.
#[derive(Debug)]
struct Publication {
    /// The whole frame.
    frame: Bytes,
    /// Whose own it is; `None` for a route handler's.
    from: Option<LineageId>,
    /// The only client that gets it; `None` for all.
    to: Option<Box<Id>>,
    /// The room's clock when it came.
    at: u32,
}

impl Publication {
    fn cost(&self) -> usize {
        self.frame.len() + size_of::<Self>()
    }
}

/// The latest publications of one document, bounded in number, bytes and time.
#[derive(Debug)]
pub struct History {
    publications: VecDeque<Publication>,
    /// The offset of the last one appended; those before it are without a gap.
    last: u64,
    bytes: usize,
    limits: HistoryLimits,
    budget: Arc<Budget>,
}

impl History {
    /// An empty history. What it holds comes out of `budget`.
    pub fn new(limits: HistoryLimits, budget: Arc<Budget>) -> Self {
        Self { publications: VecDeque::new(), last: 0, bytes: 0, limits, budget }
    }

    /// Appends the publications among the frames of a batch that was sent at `now`.
    pub fn append(&mut self, batch: &Batch, now: u32) {
        let numbered =
            batch.ranges().filter_map(|(range, part)| Some((range, &part.head, part.head.offset?)));
        // A slice keeps the whole batch in memory, which is no more than twice what is counted.
        let share = batch.numbered * 2 >= batch.bytes.len();
        for (range, head, offset) in numbered {
            if offset != self.last + 1 {
                // A batch went missing in a panic: what is before it leads nowhere.
                self.clear();
            }
            self.last = offset;
            let frame =
                if share { batch.bytes.slice(range) } else { Bytes::copy_from_slice(&batch.bytes[range]) };
            let to = head.to.clone().map(Box::new);
            self.push(Publication { frame, from: head.lineage, to, at: now });
        }
    }

    /// Where it does not fit, the oldest give way; one that does not fit alone is not kept, and nothing before it.
    fn push(&mut self, publication: Publication) {
        let cost = publication.cost();
        let HistoryLimits { messages, bytes, .. } = self.limits;
        loop {
            let fits = self.publications.len() < messages && self.bytes + cost <= bytes;
            if fits && self.budget.take(cost) {
                self.bytes += cost;
                self.publications.push_back(publication);
                return;
            }
            if self.publications.is_empty() {
                return;
            }
            self.forget_first();
        }
    }

    /// The frames after `offset` which a client misses that has seen everything up to it: not those of its own lineage,
    /// nor those for another client. `None` where they are not all there.
    pub fn since(&self, offset: u64, lineage: LineageId, client: &Id) -> Option<Vec<Bytes>> {
        let missed = usize::try_from(self.last.checked_sub(offset)?).ok()?;
        let first = self.publications.len().checked_sub(missed)?;
        let is_for = |publication: &&Publication| {
            publication.from != Some(lineage) && publication.to.as_deref().is_none_or(|to| to == client)
        };
        Some(self.publications.range(first..).filter(is_for).map(|each| each.frame.clone()).collect())
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
