//! A connection as its handler sees it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;

use crate::{
    connection::{Connection, batch::QueuePolicy, outbox::Watch},
    ids::ConnectionId,
    sync::lock,
    websocket::{close::Close, frame},
};

/// Bytes gathered for one connection that are written without waiting for more.
const GATHERED_BYTES: usize = 64 << 10;

/// A connection as its handler sees it. All calls are for the handlers' thread unless they say otherwise.
#[derive(Debug)]
pub struct HandlerConnection {
    connection: Arc<Connection>,
    max_inbox_bytes: usize,
    /// Bytes of messages that came and that the handler has not taken. Until it is ready for them, none counts as taken.
    inbox: AtomicUsize,
    /// Of these, what the handler has been given before it was ready.
    held: AtomicUsize,
    ready: AtomicBool,
    awaits_pong: AtomicBool,
    /// Wakes the connection's task, which waits for the inbox to be emptied.
    reader: Mutex<Option<Waker>>,
    /// Frames of this turn.
    gathered: Mutex<BytesMut>,
}

impl HandlerConnection {
    pub(super) fn new(connection: Arc<Connection>, max_inbox_bytes: usize) -> Self {
        Self {
            connection,
            max_inbox_bytes,
            inbox: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            ready: AtomicBool::new(false),
            awaits_pong: AtomicBool::new(false),
            reader: Mutex::default(),
            gathered: Mutex::default(),
        }
    }

    /// The connection's name.
    pub fn id(&self) -> ConnectionId {
        self.connection.id()
    }

    /// A message of this size came. On the connection's thread.
    pub(super) fn received(&self, bytes: usize) {
        self.inbox.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Whether more may come. On the connection's thread.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.inbox.load(Ordering::Acquire) < self.max_inbox_bytes {
            return Poll::Ready(());
        }
        *lock(&self.reader) = Some(cx.waker().clone());
        // It may have been emptied before the waker was there to be found.
        if self.inbox.load(Ordering::Acquire) < self.max_inbox_bytes {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// The handler was given a message of this size.
    pub(super) fn taken(&self, bytes: usize) {
        if self.ready.load(Ordering::Relaxed) {
            self.release(bytes);
        } else {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The handler is ready for messages: those it was given so far are done with.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.release(self.held.swap(0, Ordering::Relaxed));
    }

    /// The handler takes nothing more until it is ready again: what it is given meanwhile does not count as taken.
    pub fn hold(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        let before = self.inbox.fetch_sub(bytes, Ordering::AcqRel);
        // Not at the first free byte, or a fast client would cost a wake-up a message.
        let low = self.max_inbox_bytes / 2;
        if before > low
            && before - bytes <= low
            && let Some(reader) = lock(&self.reader).take()
        {
            reader.wake();
        }
    }

    pub(super) fn awaits_pong(&self) -> bool {
        self.awaits_pong.load(Ordering::Relaxed)
    }

    /// Gathers a message; [`HandlerConnection::flush`] writes what was gathered. Returns whether it is the first, so that somebody
    /// must see to that. A connection that is closing gets nothing more.
    pub(super) fn gather(&self, put: impl FnOnce(&mut BytesMut)) -> bool {
        let mut gathered = lock(&self.gathered);
        let first = gathered.is_empty();
        put(&mut gathered);
        let full = gathered.len() > GATHERED_BYTES;
        drop(gathered);
        if full {
            self.flush();
        }
        first && !full
    }

    /// Writes what was gathered, at once where the socket takes it.
    pub fn flush(&self) {
        let bytes = std::mem::take(&mut *lock(&self.gathered));
        if !bytes.is_empty() {
            self.connection.send(bytes.freeze(), None, QueuePolicy::Reliable);
        }
    }

    /// Whether messages still go both ways.
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Bytes that were sent and wait for the socket.
    pub fn buffered_bytes(&self) -> usize {
        lock(&self.gathered).len() + self.connection.buffered_bytes()
    }

    /// Calls `tell`, from any thread, once at most `below_bytes` wait or the connection has ended.
    pub(super) fn when_flushed(&self, below_bytes: usize, tell: impl FnOnce() + Send + 'static) {
        self.flush();
        self.connection.watch(Watch::new(below_bytes, tell));
    }

    /// Sends a ping, whose pong becomes an event. `payload` has at most 125 bytes.
    pub fn ping(&self, payload: &[u8]) {
        self.awaits_pong.store(true, Ordering::Relaxed);
        self.connection.send(frame::ping(payload), None, QueuePolicy::Reliable);
    }

    /// Sends a pong that nobody asked for.
    pub fn pong(&self, payload: &[u8]) {
        self.flush();
        self.connection.send(frame::pong(payload), None, QueuePolicy::Reliable);
    }

    /// Begins the closing handshake after what was sent.
    pub fn close(&self, close: &Close) {
        self.flush();
        self.connection.close(close);
    }

    /// Drops the socket at once.
    pub fn terminate(&self) {
        self.connection.terminate();
    }
}
