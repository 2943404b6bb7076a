//! An endpoint whose handler is a script: another language's code, on a thread of its own.
//!
//! What happens on such connections becomes events in the hub's one [`Mailbox`], which the script's thread empties; a
//! [`Doorbell`] tells it that there is something, and is rung only where there was nothing before. The script answers
//! through the [`Line`] of a connection.

mod line;
mod mailbox;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

pub use self::{
    line::Line,
    mailbox::{Doorbell, Event, Letters, Mailbox},
};
use crate::{
    close::{self, Close},
    connection::{Connection, ConnectionId},
    endpoint::{Endpoint, Farewell, Session},
    handshake::Upgrade,
};

/// Serves a path by script.
#[derive(Debug)]
pub struct Scripted {
    path: String,
    mailbox: Arc<Mailbox>,
}

impl Scripted {
    /// Serves `path`; its events go to `mailbox`.
    pub fn new(path: impl Into<String>, mailbox: Arc<Mailbox>) -> Self {
        Self { path: path.into(), mailbox }
    }
}

impl Endpoint for Scripted {
    fn path(&self) -> &str {
        &self.path
    }

    fn open(&self, connection: &Arc<Connection>, _: &Upgrade) -> Result<Box<dyn Session>, Close> {
        let line = self.mailbox.open(Arc::clone(connection));
        Ok(Box::new(Serving { line, mailbox: Arc::clone(&self.mailbox) }))
    }

    fn refused(&self, id: ConnectionId) {
        self.mailbox.post(id, Event::Refused);
    }
}

struct Serving {
    line: Arc<Line>,
    mailbox: Arc<Mailbox>,
}

impl Session for Serving {
    fn message(&mut self, _: &Arc<Connection>, payload: &[u8], text: bool) {
        self.mailbox.message(&self.line, payload, text);
    }

    fn pong(&mut self, payload: &[u8]) {
        if self.line.awaits_pong() {
            self.mailbox.pong(&self.line, payload);
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.line.poll_ready(cx)
    }

    fn leave(self: Box<Self>) -> Option<Box<dyn Farewell>> {
        let Self { line, mailbox } = *self;
        mailbox.post(line.id(), Event::Closing);
        Some(Box::new(Leaving { line, mailbox, code: close::ABNORMAL, reason: String::new() }))
    }
}

struct Leaving {
    line: Arc<Line>,
    mailbox: Arc<Mailbox>,
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
        self.mailbox.closed(&self.line, self.code, std::mem::take(&mut self.reason));
    }
}
