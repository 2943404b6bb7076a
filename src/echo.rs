//! An endpoint that sends every message back: what the Autobahn suite and the boundary's tests talk to.

use std::sync::Arc;

use crate::{
    batch::Keep,
    close::Close,
    connection::Connection,
    endpoint::{Endpoint, Session},
    frame,
    handshake::Upgrade,
};

/// Sends every message back.
#[derive(Debug)]
pub struct Echo {
    path: String,
}

impl Echo {
    /// Serves `path`.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into() }
    }
}

impl Endpoint for Echo {
    fn path(&self) -> &str {
        &self.path
    }

    fn open(&self, _: &Arc<Connection>, _: &Upgrade) -> Result<Box<dyn Session>, Close> {
        Ok(Box::new(EchoSession))
    }
}

struct EchoSession;

impl Session for EchoSession {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], text: bool) {
        let frame = match std::str::from_utf8(payload) {
            Ok(payload) if text => frame::text(payload),
            _ => frame::binary(payload),
        };
        connection.send(frame, None, Keep::Every);
    }
}
