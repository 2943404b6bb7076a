//! What has happened on the connections that handlers serve, and has not been seen by them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use bytes::BytesMut;

use super::connection::HandlerConnection;
use crate::{connection::Connection, ids::ConnectionId, sync::lock, websocket::frame};

/// What a message or a pong costs beside its payload; so many empty ones fill an inbox too.
const EVENT_BYTES: usize = 64;

/// Buffers above this are given back rather than kept for the next events.
const KEPT_BYTES: usize = 256 << 10;

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
            Self::Text(payload) | Self::Binary(payload) | Self::Pong(payload) => payload.len() + EVENT_BYTES,
            _ => 0,
        }
    }
}

/// Events in the order they came, each with its connection.
pub type Events = Vec<(ConnectionId, Event)>;

/// The event queue of a hub.
pub struct EventQueue {
    events: Mutex<Events>,
    connections: Mutex<HashMap<ConnectionId, Arc<HandlerConnection>>>,
    /// Those for which the handlers have gathered something this turn.
    gathering: Mutex<Vec<Arc<HandlerConnection>>>,
    notifier: Box<dyn Notifier>,
    max_inbox_bytes: usize,
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue").field("events", &lock(&self.events).len()).finish_non_exhaustive()
    }
}

impl EventQueue {
    /// An empty queue. `max_inbox_bytes` is [`Config::max_inbox_bytes`](crate::Config::max_inbox_bytes).
    pub fn new(notifier: Box<dyn Notifier>, max_inbox_bytes: usize) -> Self {
        Self {
            events: Mutex::default(),
            connections: Mutex::default(),
            gathering: Mutex::default(),
            notifier,
            max_inbox_bytes,
        }
    }

    pub(super) fn open(&self, connection: Arc<Connection>) -> Arc<HandlerConnection> {
        let connection = Arc::new(HandlerConnection::new(connection, self.max_inbox_bytes));
        lock(&self.connections).insert(connection.id(), Arc::clone(&connection));
        self.post(connection.id(), Event::Open);
        connection
    }

    pub(super) fn message(&self, connection: &HandlerConnection, payload: &[u8], text: bool) {
        self.receive(
            connection,
            if text { Event::Text(payload.into()) } else { Event::Binary(payload.into()) },
        );
    }

    /// A client may send as many as it likes, asked or not, so they take room in the inbox too.
    pub(super) fn pong(&self, connection: &HandlerConnection, payload: &[u8]) {
        self.receive(connection, Event::Pong(payload.into()));
    }

    fn receive(&self, connection: &HandlerConnection, event: Event) {
        connection.received(event.inbox_bytes());
        self.post(connection.id(), event);
    }

    pub(super) fn closed(&self, connection: &HandlerConnection, code: u16, reason: String) {
        lock(&self.connections).remove(&connection.id());
        self.post(connection.id(), Event::Closed { code, reason });
    }

    /// Leaves an event; from any thread.
    pub(super) fn post(&self, id: ConnectionId, event: Event) {
        let mut events = lock(&self.events);
        let first = events.is_empty();
        events.push((id, event));
        drop(events);
        if first {
            self.notifier.notify();
        }
    }

    /// Takes everything: replaces what `events` held. Their messages count as taken.
    pub fn take(&self, events: &mut Events) {
        events.clear();
        if events.capacity() * size_of::<(ConnectionId, Event)>() > KEPT_BYTES {
            *events = Events::new();
        }
        std::mem::swap(&mut *lock(&self.events), events);
    }

    /// The handler is about to see this event: the room that it took in the inbox is free again. Returns how
    /// many bytes that was.
    pub fn seen(&self, id: ConnectionId, event: &Event) -> usize {
        let bytes = event.inbox_bytes();
        if bytes > 0
            && let Some(connection) = self.connection(id)
        {
            connection.taken(bytes);
        }
        bytes
    }

    /// Posts [`Event::Flushed`] with `number` once at most `below_bytes` wait for this connection, or it has ended.
    pub fn when_flushed(self: &Arc<Self>, connection: &HandlerConnection, below_bytes: usize, number: u32) {
        let (queue, id) = (Arc::clone(self), connection.id());
        connection.when_flushed(below_bytes, move || queue.post(id, Event::Flushed(number)));
    }

    /// The connection of this name whose socket is not closed.
    pub fn connection(&self, id: ConnectionId) -> Option<Arc<HandlerConnection>> {
        lock(&self.connections).get(&id).cloned()
    }

    /// Sends a text message with the others of this turn. Returns whether the connection is open.
    pub fn send_text(&self, id: ConnectionId, message: &str) -> bool {
        self.gather(id, |out| frame::put_text(out, &[message]))
    }

    /// Sends a binary message; otherwise as [`EventQueue::send_text`].
    pub fn send_binary(&self, id: ConnectionId, message: &[u8]) -> bool {
        self.gather(id, |out| frame::put_binary(out, message))
    }

    fn gather(&self, id: ConnectionId, put: impl FnOnce(&mut BytesMut)) -> bool {
        let Some(connection) = self.connection(id).filter(|connection| connection.is_open()) else {
            return false;
        };
        if connection.gather(put) {
            lock(&self.gathering).push(connection);
        }
        true
    }

    /// Ends a turn: writes everything that was sent in it, what is for one connection in one write.
    pub fn flush(&self) {
        for connection in std::mem::take(&mut *lock(&self.gathering)) {
            connection.flush();
        }
    }
}
