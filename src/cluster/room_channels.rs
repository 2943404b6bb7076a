//! The channels of the rooms that have members in this process, and what waits to go to Redis of all rooms. No I/O.

use std::{
    collections::{HashMap, VecDeque},
    fmt, mem,
    sync::{Arc, Mutex, OnceLock},
};

use bytes::Bytes;

use crate::sync::lock;

/// Most that goes to Redis at once.
pub(super) const AT_ONCE: usize = 256;

/// Is given what another process has published to a room: the path of its endpoint, its name, the process, and the frame. Where
/// something may have been missed, as by who was cut off, it is given no process and an empty frame. On the thread of Redis.
pub type HearRoom = Box<dyn Fn(&str, &str, Option<u64>, Bytes) + Send + Sync>;

/// Is told once how many processes got a message, this one among them where it hears the room; `None` where nobody knows, also
/// because the hub has ended. On the thread of Redis, or at once.
pub type Reached = Box<dyn FnOnce(Option<u32>) + Send>;

/// Whoever waits to be told how many processes got a message: wherever it is dropped it tells that nobody knows.
pub(super) struct Waits(Option<Reached>);

impl Waits {
    pub(super) fn new(reached: Option<Reached>) -> Self {
        Self(reached)
    }

    pub(super) fn tell(mut self, processes: u32) {
        self.tell_once(Some(processes));
    }

    fn tell_once(&mut self, processes: Option<u32>) {
        if let Some(reached) = self.0.take() {
            reached(processes);
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.tell_once(None);
    }
}

/// A room: the path of its endpoint, and its name.
pub(super) type Room = Arc<(String, String)>;

/// The rooms that have members in this process, and what is published here.
#[derive(Default)]
pub(super) struct Rooms {
    pub(super) hear: OnceLock<HearRoom>,
    pub(super) by_channel: Mutex<HashMap<String, Room>>,
    /// Channels whose rooms have become open or closed, until Redis knows.
    pub(super) changed: Mutex<Queue<String>>,
    pub(super) outgoing: Mutex<Queue<Told>>,
}

/// What one task takes from, which is there as long as there is something.
pub(super) struct Queue<T> {
    waiting: VecDeque<T>,
    /// Of what waits and what was taken last; counted by who puts and takes.
    pub(super) bytes: usize,
    is_taken_from: bool,
    /// More was put there than may be, since it was empty last.
    pub(super) is_over: bool,
    /// Nobody takes from it any more, and nothing is to be put there.
    pub(super) is_closed: bool,
}

/// Something that was published here.
pub(super) struct Told {
    pub(super) channel: String,
    pub(super) message: Vec<u8>,
    pub(super) waits: Waits,
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("by_channel", &lock(&self.by_channel).len()).finish_non_exhaustive()
    }
}

impl Rooms {
    /// Whether the room of a channel has members here.
    pub(super) fn is_open(&self, channel: &str) -> bool {
        lock(&self.by_channel).contains_key(channel)
    }

    /// The room of a channel.
    pub(super) fn of_channel(&self, channel: &str) -> Option<Room> {
        lock(&self.by_channel).get(channel).cloned()
    }

    /// The room of a channel hears again: what was published between is remembered by nobody.
    pub(super) fn missed(&self, channel: &str) {
        if let Some(room) = self.of_channel(channel)
            && let Some(hear) = self.hear.get()
        {
            hear(&room.0, &room.1, None, Bytes::new());
        }
    }

    /// The hub has ended: nothing more is told, and whoever waits for that is told so.
    pub(super) fn end(&self) {
        let waiting = lock(&self.outgoing).close();
        // With nothing locked: who is told may publish.
        drop(waiting);
    }

    /// The channels of all rooms that have members here.
    pub(super) fn channels(&self) -> Vec<String> {
        lock(&self.by_channel).keys().cloned().collect()
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, is_taken_from: false, is_over: false, is_closed: false }
    }
}

impl<T> Queue<T> {
    /// Whether nobody takes from it: then the caller sees to that.
    pub(super) fn push(&mut self, one: T) -> bool {
        self.waiting.push_back(one);
        !mem::replace(&mut self.is_taken_from, true)
    }

    /// Nobody takes from it any more. Returns what waits.
    pub(super) fn close(&mut self) -> VecDeque<T> {
        self.is_closed = true;
        mem::take(&mut self.waiting)
    }

    /// Some of it; where there is none, the task that asks ends.
    pub(super) fn take(&mut self) -> Option<Vec<T>> {
        let count = self.waiting.len().min(AT_ONCE);
        self.is_taken_from = count > 0;
        self.is_over &= self.is_taken_from;
        self.is_taken_from.then(|| self.waiting.drain(..count).collect())
    }
}
