//! What serves the connections of a path.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use super::{Connection, EncodeNotice};
use crate::{
    admission::{rate::Bucket, upgrade::Upgrade},
    ids::ConnectionId,
    metrics::labels::EndpointKind,
    websocket::close::Close,
};

/// Serves every connection of one path, such as [`Fabric`](crate::fabric::Fabric).
pub trait Endpoint: Send + Sync + fmt::Debug {
    /// The path: `/ws/fabric`.
    fn path(&self) -> &str;

    /// Whose it is, for counts.
    fn kind(&self) -> EndpointKind {
        EndpointKind::Handler
    }

    /// The document that a connection is about; `None` where it is about none. All connections of a document live on one
    /// thread, its access is asked for and changed under this name, and it is what limits count.
    fn document(&self, upgrade: &Upgrade) -> Option<String> {
        let _ = upgrade;
        None
    }

    /// How its clients are told what the hub has to say of its own accord. `None` where they would not understand it: they
    /// are only held back and closed.
    fn notices(&self) -> Option<EncodeNotice> {
        None
    }

    /// The connection that is there and whose place one of this upgrade would take, so that it is not one more. On its
    /// thread, and asked only where a limit is against it.
    fn replaced(&self, upgrade: &Upgrade) -> Option<Arc<Connection>> {
        let _ = upgrade;
        None
    }

    /// Whether an upgrade shows that its client was here before, in whatever process: then it takes the place of the connection
    /// that it had. On its thread, and asked only where a limit is against it that is all processes'.
    fn comes_back(&self, upgrade: &Upgrade) -> bool {
        let _ = upgrade;
        false
    }

    /// Begins a connection, on its thread, before any byte is answered; what it sends follows the 101 response.
    ///
    /// # Errors
    ///
    /// The handshake is completed all the same and the connection closed so: a browser cannot see an HTTP status.
    fn open(&self, connection: &Arc<Connection>, upgrade: &Upgrade) -> Result<Box<dyn Handler>, Close>;

    /// A connection that was announced under this name will not open: its handshake was refused, or never came.
    fn refused(&self, id: ConnectionId) {
        let _ = id;
    }
}

/// One connection as its endpoint sees it. Dropped, on the connection's thread, as soon as the connection is closing.
pub trait Handler: Send {
    /// A whole message came. `text` tells a text message from a binary one; a text is UTF-8.
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], text: bool);

    /// The messages that were read together have all been handed over.
    fn read_end(&mut self, connection: &Arc<Connection>) {
        let _ = connection;
    }

    /// How the messages since the last call count against what the connection may send.
    fn tally(&mut self) -> Tally<'_> {
        Tally::default()
    }

    /// A pong came.
    fn pong(&mut self, payload: &[u8]) {
        let _ = payload;
    }

    /// Whether the handler takes more messages now. Until it does, and wakes the task, nothing is read: the bytes wait
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

/// How messages count against what a connection may send, where that is not one each.
#[derive(Debug, Default)]
pub struct Tally<'a> {
    /// How many of them do not count.
    pub uncounted: u64,
    /// How many steps there were in them, and where the steps of a client without a user are counted.
    pub(crate) steps: Option<(u64, &'a mut Bucket)>,
}

/// What an endpoint keeps of a connection while that closes. Dropped, on the connection's thread, once the socket is.
pub trait Farewell: Send {
    /// The peer's close frame came; `code` is 1005 where it carried none.
    fn peer_closed(&mut self, code: u16, reason: &str);
}

/// An endpoint that a hub serves, with its open connections.
#[derive(Debug)]
pub(crate) struct EndpointEntry {
    /// Names it among those of the hub.
    pub(crate) number: usize,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    open: AtomicUsize,
    /// Bytes of broadcasts that some thread has not sent yet.
    pub(crate) pending: AtomicUsize,
}

impl EndpointEntry {
    pub(crate) fn new(number: usize, endpoint: Arc<dyn Endpoint>) -> Self {
        Self { number, endpoint, open: AtomicUsize::new(0), pending: AtomicUsize::new(0) }
    }

    /// Open connections.
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

/// One open connection of an endpoint; dropping it takes it out of the count.
#[derive(Debug)]
pub(crate) struct Permit(Arc<EndpointEntry>);

impl Permit {
    pub(crate) fn of(entry: &Arc<EndpointEntry>) -> Self {
        entry.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(entry))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A broadcast to an endpoint counts among what waits until the last thread has dropped this.
#[derive(Debug)]
pub(crate) struct PendingBytes {
    entry: Arc<EndpointEntry>,
    bytes: usize,
}

impl PendingBytes {
    pub(crate) fn of(entry: &Arc<EndpointEntry>, bytes: usize) -> Arc<Self> {
        entry.pending.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Self { entry: Arc::clone(entry), bytes })
    }

    /// The number of the endpoint.
    pub(crate) fn endpoint(&self) -> usize {
        self.entry.number
    }
}

impl Drop for PendingBytes {
    fn drop(&mut self) {
        self.entry.pending.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
