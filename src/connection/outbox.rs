//! What waits for a connection whose socket would block.
//!
//! Bounded in bytes, and the rules differ by kind: updates and steps are never dropped, so a connection for which more
//! waits than may is closed as slow; awareness and selection say what is true now, so only the newest of each sender
//! waits, at the place where it came in. An outbox exists only while something waits in it.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    io::IoSlice,
};

use bytes::{Buf, Bytes};

use super::batch::QueuePolicy;
use crate::ids::{ConnectionId, Topic};

/// Which frames replace which: those of one connection and topic. The connection and not its client id, because a
/// client that comes back is another sender: its question must not overtake what its old connection had sent.
type Key = (Option<ConnectionId>, Topic);

/// Frames in the order in which they will be written.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    /// Number of the first entry; entries are numbered as they come, so that `newest` can name them.
    first: u64,
    newest: HashMap<Key, u64>,
    /// Entries that were replaced and hold no bytes any more.
    replaced: usize,
    bytes: usize,
    /// Of these, what a connection began with and is still to be written.
    granted: usize,
    /// Whether the beginning of the first entry was written.
    begun: bool,
    watches: Vec<Watch>,
}

/// Tells, by being dropped, that at most so many bytes wait, or that the outbox has gone with its connection.
pub struct Watch {
    below_bytes: usize,
    tell: Option<Box<dyn FnOnce() + Send>>,
}

impl Watch {
    /// Calls `tell` once at most `below_bytes` wait. It must not use the connection, whose lock may be held.
    pub fn new(below_bytes: usize, tell: impl FnOnce() + Send + 'static) -> Self {
        Self { below_bytes, tell: Some(Box::new(tell)) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("below_bytes", &self.below_bytes).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    key: Option<Key>,
}

impl Outbox {
    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that came since the connection began with what it was granted.
    pub fn counted_bytes(&self) -> usize {
        self.bytes - self.granted
    }

    /// Appends what a connection begins with: what it missed is no sign of being slow.
    pub fn push_granted(&mut self, bytes: Bytes) {
        self.push(bytes, None, QueuePolicy::Reliable);
        // All that is in front of it leaves before it.
        self.granted = self.bytes;
    }

    /// What waits now does not count, unless something waits already that does not: then whoever asks again and again for
    /// what is large has it counted.
    pub fn grant_waiting(&mut self) {
        if self.granted == 0 {
            self.granted = self.bytes;
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether more than one frame waits.
    pub fn has_several(&self) -> bool {
        self.entries.len() - self.replaced > 1
    }

    /// Appends one frame.
    pub fn push(&mut self, bytes: Bytes, from: Option<ConnectionId>, keep: QueuePolicy) {
        self.bytes += bytes.len();
        let key = match keep {
            QueuePolicy::Reliable => None,
            QueuePolicy::Latest(topic) => Some((from, topic)),
        };
        if let Some(key) = key {
            let number = self.first + self.entries.len() as u64;
            if let Some(older) = self.newest.insert(key, number) {
                self.forget(older);
            }
        }
        self.entries.push_back(Entry { bytes, key });
        if self.replaced > 16 && self.replaced > self.entries.len() / 2 {
            self.compact();
        }
    }

    /// Appends the rest of a frame whose beginning was written: it must go out whatever its kind.
    pub fn push_rest(&mut self, bytes: Bytes) {
        debug_assert!(self.is_empty(), "only the frame that is being written can be the rest of one");
        self.push(bytes, None, QueuePolicy::Reliable);
        self.begun = true;
    }

    fn forget(&mut self, number: u64) {
        let index = usize::try_from(number - self.first).ok();
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            self.bytes -= entry.bytes.len();
            *entry = Entry { bytes: Bytes::new(), key: None };
            self.replaced += 1;
        }
    }

    fn compact(&mut self) {
        self.entries.retain(|entry| !entry.bytes.is_empty());
        self.replaced = 0;
        self.newest.clear();
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(key) = entry.key {
                self.newest.insert(key, self.first + index as u64);
            }
        }
    }

    /// Fills `slices` with what is to be written next; returns how many.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let waiting = self.entries.iter().filter(|entry| !entry.bytes.is_empty());
        let mut filled = 0;
        for (slot, entry) in slices.iter_mut().zip(waiting) {
            *slot = IoSlice::new(&entry.bytes);
            filled += 1;
        }
        filled
    }

    /// Keeps `watch` until it is time to drop it.
    pub fn watch(&mut self, watch: Watch) {
        if self.bytes > watch.below_bytes {
            self.watches.push(watch);
        }
    }

    /// Takes away the `count` bytes that were written.
    pub fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        if !self.watches.is_empty() {
            self.watches.retain(|watch| watch.below_bytes < self.bytes);
        }
        self.granted = self.granted.saturating_sub(count);
        while let Some(entry) = self.entries.front_mut() {
            if entry.bytes.len() > count {
                entry.bytes.advance(count);
                self.begun |= count > 0;
                if count > 0
                    && let Some(key) = entry.key.take()
                {
                    // Half of it is out: the rest must follow, so nothing may replace it.
                    self.newest.remove(&key);
                }
                return;
            }
            count -= entry.bytes.len();
            self.begun = false;
            if entry.bytes.is_empty() {
                self.replaced -= 1;
            } else if let Some(key) = entry.key {
                self.newest.remove(&key);
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// Drops everything but the rest of a frame whose beginning is out, which the peer needs to read on.
    pub fn keep_begun(&mut self) {
        let begun = self.begun.then(|| self.entries.pop_front()).flatten();
        *self = Self::default();
        if let Some(entry) = begun {
            self.push_rest(entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;

    use super::{Outbox, QueuePolicy};
    use crate::ids::{ConnectionId, Topic};

    const A: Option<ConnectionId> = Some(ConnectionId::new(1));
    const B: Option<ConnectionId> = Some(ConnectionId::new(2));
    const CURSOR: QueuePolicy = QueuePolicy::Latest(Topic::Awareness);

    fn content(outbox: &Outbox) -> String {
        let mut slices = [IoSlice::new(&[]); 1000];
        let filled = outbox.slices(&mut slices);
        slices[..filled].iter().map(|slice| String::from_utf8_lossy(slice).into_owned()).collect()
    }

    fn push(outbox: &mut Outbox, text: &'static str, from: Option<ConnectionId>, keep: QueuePolicy) {
        outbox.push(Bytes::from_static(text.as_bytes()), from, keep);
    }

    #[test]
    fn frames_leave_in_the_order_they_came() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "one", A, QueuePolicy::Reliable);
        push(&mut outbox, "two", B, QueuePolicy::Reliable);
        outbox.advance(4);
        assert_eq!((content(&outbox).as_str(), outbox.bytes()), ("wo", 2));
        outbox.advance(2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn only_the_newest_awareness_of_each_sender_waits() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "a1 ", A, CURSOR);
        push(&mut outbox, "b1 ", B, CURSOR);
        push(&mut outbox, "update ", A, QueuePolicy::Reliable);
        push(&mut outbox, "a2 ", A, CURSOR);
        push(&mut outbox, "s1 ", A, QueuePolicy::Latest(Topic::Selection));
        assert_eq!(content(&outbox), "b1 update a2 s1 ");
        assert_eq!(outbox.bytes(), content(&outbox).len());
    }

    #[test]
    fn a_frame_whose_beginning_is_out_is_not_replaced() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "first", A, CURSOR);
        outbox.advance(2);
        push(&mut outbox, "second", A, CURSOR);
        assert_eq!(content(&outbox), "rstsecond");
    }

    #[test]
    fn a_cursor_that_moves_for_ever_takes_no_memory() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "update ", A, QueuePolicy::Reliable);
        for _ in 0..100_000 {
            push(&mut outbox, "cursor ", A, CURSOR);
            push(&mut outbox, "other ", B, CURSOR);
        }
        assert_eq!(content(&outbox), "update cursor other ");
        assert!(outbox.entries.len() < 100, "{}", outbox.entries.len());
        outbox.advance(outbox.bytes());
        assert!(outbox.is_empty() && outbox.newest.is_empty());
    }

    #[test]
    fn replacing_goes_on_after_some_of_it_was_written() {
        let mut outbox = Outbox::default();
        for _ in 0..50 {
            push(&mut outbox, "up", A, QueuePolicy::Reliable);
            push(&mut outbox, "cu", A, CURSOR);
            outbox.advance(2);
        }
        assert!(content(&outbox).ends_with("cu"));
        assert_eq!(content(&outbox).matches("cu").count(), 1);
        assert_eq!(outbox.bytes(), content(&outbox).len());
    }

    #[test]
    fn what_a_connection_begins_with_does_not_count_until_it_is_written() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "101", A, QueuePolicy::Reliable);
        outbox.push_granted(Bytes::from_static(b"missed"));
        outbox.push_granted(Bytes::from_static(b"shown"));
        assert_eq!((outbox.bytes(), outbox.counted_bytes()), (14, 0));
        push(&mut outbox, "live", A, QueuePolicy::Reliable);
        assert_eq!(outbox.counted_bytes(), 4);
        outbox.advance(10);
        assert_eq!((outbox.bytes(), outbox.counted_bytes()), (8, 4));
        outbox.advance(6);
        assert_eq!((outbox.bytes(), outbox.counted_bytes()), (2, 2));
        push(&mut outbox, "more", A, QueuePolicy::Reliable);
        assert_eq!(outbox.counted_bytes(), 6);
    }

    #[test]
    fn dropping_the_rest_keeps_the_frame_that_was_begun() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "begun", A, QueuePolicy::Reliable);
        push(&mut outbox, "more", A, QueuePolicy::Reliable);
        outbox.advance(2);
        outbox.keep_begun();
        assert_eq!((content(&outbox).as_str(), outbox.bytes()), ("gun", 3));
        outbox.advance(3);
        push(&mut outbox, "not begun", A, QueuePolicy::Reliable);
        outbox.keep_begun();
        assert!(outbox.is_empty());
    }
}
