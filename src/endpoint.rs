//! What serves the connections of a path.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    close::Close,
    connection::{Connection, ConnectionId},
    handshake::Upgrade,
};

/// Serves every connection of one path, such as [`Fabric`](crate::fabric::Fabric).
pub trait Endpoint: Send + Sync + fmt::Debug {
    /// The path: `/ws/fabric`.
    fn path(&self) -> &str;

    /// What decides on which thread a connection lives: equal keys meet on one. `None` leaves it to the hub.
    fn affinity(&self, upgrade: &Upgrade) -> Option<String> {
        let _ = upgrade;
        None
    }

    /// Whether its clients know the hub's own messages (`session-expiring`, `access`, `RATE_LIMITED`). Where they do
    /// not, they are only held back and closed.
    fn takes_notices(&self) -> bool {
        false
    }

    /// The connection that is there and whose place one of this upgrade would take, so that it is not one more. On its
    /// thread, and asked only where a limit is against it.
    fn replaced(&self, upgrade: &Upgrade) -> Option<Arc<Connection>> {
        let _ = upgrade;
        None
    }

    /// Begins a connection, on its thread, before any byte is answered; what it sends follows the 101 response.
    ///
    /// # Errors
    ///
    /// The handshake is completed all the same and the connection closed so: a browser cannot see an HTTP status.
    fn open(&self, connection: &Arc<Connection>, upgrade: &Upgrade) -> Result<Box<dyn Session>, Close>;

    /// A connection that was announced under this name will not open: its handshake was refused, or never came.
    fn refused(&self, id: ConnectionId) {
        let _ = id;
    }
}

/// One connection as its endpoint sees it. Dropped, on the connection's thread, as soon as the connection is closing.
pub trait Session: Send {
    /// A whole message came. `text` tells a text message from a binary one; a text is UTF-8.
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], text: bool);

    /// The messages that were read together have all been handed over.
    fn read_end(&mut self, connection: &Arc<Connection>) {
        let _ = connection;
    }

    /// How many of the messages since the last call do not count against what the connection may send.
    fn uncounted(&mut self) -> u64 {
        0
    }

    /// A pong came.
    fn pong(&mut self, payload: &[u8]) {
        let _ = payload;
    }

    /// Whether the session takes more messages now. Until it does, and wakes the task, nothing is read: the bytes wait
    /// in the kernel, and with them the peer.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// The connection is closing. What is returned lives until its socket is closed.
    fn leave(self: Box<Self>) -> Option<Box<dyn Farewell>> {
        None
    }
}

/// What an endpoint keeps of a connection while that closes. Dropped, on the connection's thread, once the socket is.
pub trait Farewell: Send {
    /// The peer's close frame came; `code` is 1005 where it carried none.
    fn peer_closed(&mut self, code: u16, reason: &str);
}
