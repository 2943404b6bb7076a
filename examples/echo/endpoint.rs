//! An endpoint that sends every message back: what the Autobahn suite and the boundary's tests talk to.

use std::sync::Arc;

use captify_hub::{
    admission::upgrade::Upgrade,
    connection::{
        Connection,
        batch::QueuePolicy,
        endpoint::{Endpoint, Handler},
    },
    websocket::{close::Close, frame},
};

/// Sends every message back.
#[derive(Debug)]
pub(crate) struct Echo {
    path: String,
}

impl Echo {
    /// Serves `path`.
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into() }
    }
}

impl Endpoint for Echo {
    fn path(&self) -> &str {
        &self.path
    }

    fn open(&self, _: &Arc<Connection>, _: &Upgrade) -> Result<Box<dyn Handler>, Close> {
        Ok(Box::new(EchoHandler))
    }
}

struct EchoHandler;

impl Handler for EchoHandler {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], text: bool) {
        let frame = match std::str::from_utf8(payload) {
            Ok(payload) if text => frame::text(payload),
            _ => frame::binary(payload),
        };
        connection.send(frame, None, QueuePolicy::Reliable);
    }
}
