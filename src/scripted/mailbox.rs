//! What has happened on the connections that script serves, and has not been seen by it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use bytes::BytesMut;

use super::Line;
use crate::{
    connection::{Connection, ConnectionId},
    frame,
    sync::lock,
};

/// What a message or a pong costs beside its payload; so many empty ones fill an inbox too.
const LETTER_BYTES: usize = 64;

/// Buffers above this are given back rather than kept for the next letters.
const KEPT_BYTES: usize = 256 << 10;

/// Tells the script's thread that the mailbox holds something.
pub trait Doorbell: Send + Sync {
    /// From any thread; must not block, and must not use the mailbox.
    fn ring(&self);
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection opened. First of its events, but for one that was refused.
    Open,
    /// A connection that was announced will not open.
    Refused,
    /// A text message, which is UTF-8.
    Text(Box<[u8]>),
    /// A binary message.
    Binary(Box<[u8]>),
    /// The answer to a ping.
    Pong(Box<[u8]>),
    /// As few bytes wait as was asked for under this number.
    Flushed(u32),
    /// The connection is closing: nothing more comes, and nothing more is sent.
    Closing,
    /// The connection's socket is closed. Last of its events.
    Closed {
        /// The peer's close code, 1005 where its close frame carried none, 1006 where it sent no close frame.
        code: u16,
        /// The peer's reason.
        reason: String,
    },
}

impl Event {
    /// What it takes of the inbox of its connection.
    fn inbox_bytes(&self) -> usize {
        match self {
            Self::Text(payload) | Self::Binary(payload) | Self::Pong(payload) => payload.len() + LETTER_BYTES,
            _ => 0,
        }
    }
}

/// Events in the order they came, each with its connection.
pub type Letters = Vec<(ConnectionId, Event)>;

/// The mailbox of a hub.
pub struct Mailbox {
    letters: Mutex<Letters>,
    lines: Mutex<HashMap<ConnectionId, Arc<Line>>>,
    /// Lines for which the script has gathered something this turn.
    gathering: Mutex<Vec<Arc<Line>>>,
    doorbell: Box<dyn Doorbell>,
    max_inbox_bytes: usize,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("letters", &lock(&self.letters).len()).finish_non_exhaustive()
    }
}

impl Mailbox {
    /// An empty mailbox. `max_inbox_bytes` is [`Config::max_inbox_bytes`](crate::Config::max_inbox_bytes).
    pub fn new(doorbell: Box<dyn Doorbell>, max_inbox_bytes: usize) -> Self {
        Self {
            letters: Mutex::default(),
            lines: Mutex::default(),
            gathering: Mutex::default(),
            doorbell,
            max_inbox_bytes,
        }
    }

    pub(super) fn open(&self, connection: Arc<Connection>) -> Arc<Line> {
        let line = Arc::new(Line::new(connection, self.max_inbox_bytes));
        lock(&self.lines).insert(line.id(), Arc::clone(&line));
        self.post(line.id(), Event::Open);
        line
    }

    pub(super) fn message(&self, line: &Line, payload: &[u8], text: bool) {
        self.receive(line, if text { Event::Text(payload.into()) } else { Event::Binary(payload.into()) });
    }

    /// A client may send as many as it likes, asked or not, so they take room in the inbox too.
    pub(super) fn pong(&self, line: &Line, payload: &[u8]) {
        self.receive(line, Event::Pong(payload.into()));
    }

    fn receive(&self, line: &Line, event: Event) {
        line.received(event.inbox_bytes());
        self.post(line.id(), event);
    }

    pub(super) fn closed(&self, line: &Line, code: u16, reason: String) {
        lock(&self.lines).remove(&line.id());
        self.post(line.id(), Event::Closed { code, reason });
    }

    /// Leaves an event; from any thread.
    pub(super) fn post(&self, id: ConnectionId, event: Event) {
        let mut letters = lock(&self.letters);
        let first = letters.is_empty();
        letters.push((id, event));
        drop(letters);
        if first {
            self.doorbell.ring();
        }
    }

    /// Takes everything: replaces what `letters` held. Their messages count as taken.
    pub fn take(&self, letters: &mut Letters) {
        letters.clear();
        if letters.capacity() * size_of::<(ConnectionId, Event)>() > KEPT_BYTES {
            *letters = Letters::new();
        }
        std::mem::swap(&mut *lock(&self.letters), letters);
    }

    /// The script is about to see this event: the room that it took in the inbox is free again. Answers how
    /// many bytes that was.
    pub fn seen(&self, id: ConnectionId, event: &Event) -> usize {
        let bytes = event.inbox_bytes();
        if bytes > 0
            && let Some(line) = self.line(id)
        {
            line.taken(bytes);
        }
        bytes
    }

    /// Posts [`Event::Flushed`] with `number` once at most `below_bytes` wait for this line, or it has ended.
    pub fn when_flushed(self: &Arc<Self>, line: &Line, below_bytes: usize, number: u32) {
        let (mailbox, id) = (Arc::clone(self), line.id());
        line.when_flushed(below_bytes, move || mailbox.post(id, Event::Flushed(number)));
    }

    /// The line of a connection whose socket is not closed.
    pub fn line(&self, id: ConnectionId) -> Option<Arc<Line>> {
        lock(&self.lines).get(&id).cloned()
    }

    /// Sends a text message with the others of this turn. Answers whether the connection is open.
    pub fn send_text(&self, id: ConnectionId, message: &str) -> bool {
        self.gather(id, |out| frame::put_text(out, &[message]))
    }

    /// Sends a binary message; otherwise as [`Mailbox::send_text`].
    pub fn send_binary(&self, id: ConnectionId, message: &[u8]) -> bool {
        self.gather(id, |out| frame::put_binary(out, message))
    }

    fn gather(&self, id: ConnectionId, put: impl FnOnce(&mut BytesMut)) -> bool {
        let Some(line) = self.line(id).filter(|line| line.is_open()) else { return false };
        if line.gather(put) {
            lock(&self.gathering).push(line);
        }
        true
    }

    /// Ends a turn: writes everything that was sent in it, what is for one connection in one write.
    pub fn flush(&self) {
        for line in std::mem::take(&mut *lock(&self.gathering)) {
            line.flush();
        }
    }
}
