//! An endpoint whose handler is written in another language, with a thread of its own: TypeScript, on Node's.
//!
//! What happens on such connections becomes events in the hub's one [`EventQueue`], which the handlers' thread empties; a
//! [`Notifier`] tells it that there is something, and is rung only where there was nothing before. The handler answers
//! through the [`HandlerConnection`] of a connection, or publishes to a room of them, which the hub's threads write out.

mod connection;
mod event_queue;
mod events;
mod members;
mod outgoing;
mod outside;
mod rooms;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use self::rooms::HandlerRooms;
pub use self::{
    connection::HandlerConnection,
    event_queue::{EventQueue, HandlerCounts},
    events::{Event, Events, Heard, Notifier},
    outside::Outside,
    rooms::MAX_ROOMS,
};
use crate::{
    admission::upgrade::Upgrade,
    connection::{
        Connection,
        endpoint::{Endpoint, Farewell, Handler},
    },
    ids::ConnectionId,
    websocket::close::{self, Close},
};

/// Serves a path by a handler.
#[derive(Debug)]
pub struct HandlerEndpoint {
    path: String,
    queue: Arc<EventQueue>,
    rooms: Arc<HandlerRooms>,
}

impl HandlerEndpoint {
    /// Serves `path`; its events go to `queue`.
    pub fn new(path: impl Into<String>, queue: Arc<EventQueue>) -> Self {
        let path = path.into();
        let rooms = queue.rooms_at(&path);
        Self { path, queue, rooms }
    }
}

impl Endpoint for HandlerEndpoint {
    fn path(&self) -> &str {
        &self.path
    }

    fn open(&self, connection: &Arc<Connection>, _: &Upgrade) -> Result<Box<dyn Handler>, Close> {
        let connection = self.queue.open(Arc::clone(connection), &self.rooms);
        Ok(Box::new(Serving { connection, queue: Arc::clone(&self.queue) }))
    }

    fn refused(&self, id: ConnectionId) {
        self.queue.post(id, Event::Refused);
    }
}

struct Serving {
    connection: Arc<HandlerConnection>,
    queue: Arc<EventQueue>,
}

impl Handler for Serving {
    fn message(&mut self, _: &Arc<Connection>, payload: &[u8], text: bool) {
        self.queue.message(&self.connection, payload, text);
    }

    fn pong(&mut self, payload: &[u8]) {
        if self.connection.awaits_pong() {
            self.queue.pong(&self.connection, payload);
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.poll_ready(cx)
    }

    fn leave(self: Box<Self>) -> Option<Box<dyn Farewell>> {
        let Self { connection, queue } = *self;
        connection.left();
        queue.post(connection.id(), Event::Closing);
        Some(Box::new(Leaving { connection, queue, code: close::ABNORMAL, reason: String::new() }))
    }
}

struct Leaving {
    connection: Arc<HandlerConnection>,
    queue: Arc<EventQueue>,
    code: u16,
    reason: String,
}

impl Farewell for Leaving {
    fn peer_closed(&mut self, code: u16, reason: &str) {
        self.code = code;
        reason.clone_into(&mut self.reason);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.queue.closed(&self.connection, self.code, std::mem::take(&mut self.reason));
    }
}
