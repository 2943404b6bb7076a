//! What happened on connections that handlers serve, and waits to be seen by them.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{ids::ConnectionId, sync::lock};

/// What a message or a pong costs beside its payload; so many empty ones fill an inbox too.
const EVENT_BYTES: usize = 64;

/// Buffers above this are given back rather than kept for the next events.
const KEPT_BYTES: usize = 256 << 10;

/// The connection of an event that is of none: no connection has this number.
pub(super) const NO_CONNECTION: ConnectionId = ConnectionId::new(0);

/// Tells the handlers' thread that the queue holds something.
pub trait Notifier: Send + Sync {
    /// From any thread; must not block, and must not use the queue.
    fn notify(&self);
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
    /// More bytes wait for the connection, after a publication of this room, than it had named when it joined. Comes once
    /// a membership.
    Slow(Box<str>),
    /// What was published to a room before this number was asked for has been sent to its members. Of no connection.
    Sent(u32),
    /// Another process has said something in a room of this path which no connection is in, or may have. Of no connection.
    Heard(Box<Heard>),
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

/// What another process has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The endpoint's.
    pub path: Box<str>,
    /// The room's name.
    pub room: Box<str>,
    /// Who has said it; `None` where something may have been said that did not come.
    pub process: Option<u64>,
    /// What it has said.
    pub message: Bytes,
}

impl Event {
    /// What it takes of the inbox of its connection.
    pub(super) fn inbox_bytes(&self) -> usize {
        match self {
            Self::Text(payload) | Self::Binary(payload) | Self::Pong(payload) => payload.len() + EVENT_BYTES,
            _ => 0,
        }
    }
}

/// Events in the order they came, each with its connection.
pub type Events = Vec<(ConnectionId, Event)>;

#[derive(Default)]
struct Unseen {
    events: Events,
    /// Since when it is watched how long the handlers' thread takes to come.
    probed: Option<Instant>,
}

/// Events that the handlers' thread has not taken.
pub(super) struct UnseenEvents {
    unseen: Mutex<Unseen>,
    notifier: Box<dyn Notifier>,
}

impl fmt::Debug for UnseenEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnseenEvents")
            .field("events", &lock(&self.unseen).events.len())
            .finish_non_exhaustive()
    }
}

impl UnseenEvents {
    pub(super) fn new(notifier: Box<dyn Notifier>) -> Self {
        Self { unseen: Mutex::default(), notifier }
    }

    /// Leaves an event; from any thread.
    pub(super) fn post(&self, id: ConnectionId, event: Event) {
        let mut unseen = lock(&self.unseen);
        let first = unseen.events.is_empty();
        unseen.events.push((id, event));
        drop(unseen);
        if first {
            self.notifier.notify();
        }
    }

    /// Has the handlers' thread come, also where there is nothing for it, so that it is known how long that takes. From any
    /// thread.
    pub(super) fn probe(&self) {
        let mut unseen = lock(&self.unseen);
        if unseen.probed.is_some() {
            return;
        }
        unseen.probed = Some(Instant::now());
        let is_told = !unseen.events.is_empty();
        drop(unseen);
        if !is_told {
            self.notifier.notify();
        }
    }

    /// Takes everything: replaces what `events` held. Returns how long that took, where it was watched.
    pub(super) fn take(&self, events: &mut Events) -> Option<Duration> {
        events.clear();
        if events.capacity() * size_of::<(ConnectionId, Event)>() > KEPT_BYTES {
            *events = Events::new();
        }
        let mut unseen = lock(&self.unseen);
        std::mem::swap(&mut unseen.events, events);
        unseen.probed.take().map(|probed| probed.elapsed())
    }
}
