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
        atomic::{AtomicBool, AtomicUsize, Ordering},
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

/// Bytes that something may take in all rooms of a hub together. Nobody is refused any: above the limit somebody makes
/// room, so that one document's bytes never cost another what it remembers.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    /// Somebody is making room.
    relieving: AtomicBool,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit, relieving: AtomicBool::new(false) }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Uses `bytes` more.
    pub fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back.
    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What is left of an age where more is used than may be: half as much of it for twice the bytes.
    pub fn shortened(&self, age: u32) -> u32 {
        let (used, limit) = (self.used() as u128, self.limit as u128);
        if used <= limit {
            return age;
        }
        u32::try_from(u128::from(age) * limit / used).unwrap_or(age)
    }

    /// The task of making room, where more is used than may be and nobody has it already.
    pub(crate) fn relief(self: &Arc<Self>) -> Option<Relief> {
        let is_mine = self.used() > self.limit && !self.relieving.swap(true, Ordering::AcqRel);
        is_mine.then(|| Relief(Arc::clone(self)))
    }
}

/// The task of making room in a [`Budget`]; until it is dropped nobody else has it.
#[derive(Debug)]
pub(crate) struct Relief(Arc<Budget>);

impl Relief {
    /// The most that one may keep of its `sizes`, so that an eighth of the limit is free again: the largest give way, each
    /// down to the same size, and whoever has less keeps all.
    pub(crate) fn level(&self, mut sizes: Vec<usize>) -> usize {
        sizes.sort_unstable();
        let mut left = self.0.limit - self.0.limit / 8;
        for (index, size) in sizes.iter().enumerate() {
            let share = left / (sizes.len() - index);
            if *size > share {
                return share;
            }
            left -= size;
        }
        usize::MAX
    }
}

impl Drop for Relief {
    fn drop(&mut self) {
        self.0.relieving.store(false, Ordering::Release);
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
            let frame =
                if share { batch.bytes.slice(range) } else { Bytes::copy_from_slice(&batch.bytes[range]) };
            let to = head.to.clone().map(Box::new);
            self.push(Publication { frame, from: head.lineage, to, at: now });
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

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
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
