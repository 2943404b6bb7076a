//! A connection as its handler sees it.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    outgoing::{Outgoing, Recipient, Step},
    rooms::{HandlerRooms, MAX_ROOMS, Membership},
};
use crate::{
    Error,
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
    /// The rooms of its endpoint.
    rooms: Arc<HandlerRooms>,
    /// The way by its shard.
    outgoing: Arc<Outgoing>,
    /// There from its first room on: all that it is sent then goes by its shard.
    recipient: OnceLock<Arc<Recipient>>,
    joined: Mutex<Joined>,
}

/// The rooms that a connection is in, by their names.
#[derive(Debug, Default)]
enum Joined {
    #[default]
    None,
    Some(BTreeMap<Arc<str>, Membership>),
    /// It is closing, and joins none any more.
    Over,
}

impl HandlerConnection {
    pub(super) fn new(
        connection: Arc<Connection>,
        max_inbox_bytes: usize,
        rooms: Arc<HandlerRooms>,
        outgoing: Arc<Outgoing>,
    ) -> Self {
        Self {
            rooms,
            outgoing,
            recipient: OnceLock::new(),
            joined: Mutex::default(),
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
        if let Some(recipient) = self.recipient.get() {
            // Who hands over the steps of a turn sees to it.
            self.outgoing.send(recipient, put);
            return false;
        }
        let mut gathered = lock(&self.gathered);
        let first = gathered.is_empty();
        put(&mut gathered);
        let full = gathered.len() > GATHERED_BYTES;
        drop(gathered);
        if full {
            self.write_gathered();
        }
        first && !full
    }

    /// Writes what was gathered, at once where the socket takes it; for a member of rooms its shard does.
    pub fn flush(&self) {
        self.write_gathered();
        if self.recipient.get().is_some() {
            self.outgoing.hand_over();
        }
    }

    fn write_gathered(&self) {
        let bytes = mem::take(&mut *lock(&self.gathered));
        if !bytes.is_empty() {
            self.connection.send(bytes.freeze(), None, QueuePolicy::Reliable);
        }
    }

    /// Whether messages still go both ways.
    pub fn is_open(&self) -> bool {
        self.connection.is_open() && (self.recipient.get().is_none() || !self.is_leaving())
    }

    fn is_leaving(&self) -> bool {
        matches!(*lock(&self.joined), Joined::Over)
    }

    /// Bytes that were sent and wait for the socket. What is on its way to the shard counts: also what was published to its
    /// rooms, with the messages that it is excepted from.
    pub fn buffered_bytes(&self) -> usize {
        let on_way = self.recipient.get().map_or(0, |recipient| recipient.on_way() + self.pending_bytes());
        lock(&self.gathered).len() + on_way + self.connection.buffered_bytes()
    }

    fn pending_bytes(&self) -> usize {
        match &*lock(&self.joined) {
            Joined::Some(joined) => joined.values().map(|membership| membership.members().pending()).sum(),
            Joined::None | Joined::Over => 0,
        }
    }

    /// Calls `tell`, from any thread, once at most `below_bytes` wait of what was sent so far, or the connection has ended.
    pub(super) fn when_flushed(&self, below_bytes: usize, tell: impl FnOnce() + Send + 'static) {
        let watch = Watch::new(below_bytes, tell);
        if self.recipient.get().is_some() {
            self.outgoing.push(Step::Watch { connection: Arc::clone(&self.connection), watch });
            self.outgoing.hand_over();
        } else {
            self.write_gathered();
            self.connection.watch(watch);
        }
    }

    /// Sends a ping, whose pong becomes an event. `payload` has at most 125 bytes.
    pub fn ping(&self, payload: &[u8]) {
        self.awaits_pong.store(true, Ordering::Relaxed);
        self.send_now(frame::ping(payload));
    }

    /// Sends a pong that nobody asked for.
    pub fn pong(&self, payload: &[u8]) {
        self.write_gathered();
        self.send_now(frame::pong(payload));
    }

    fn send_now(&self, frame: Bytes) {
        if let Some(recipient) = self.recipient.get() {
            self.outgoing.send(recipient, |out| out.put_slice(&frame));
            self.outgoing.hand_over();
        } else {
            self.connection.send(frame, None, QueuePolicy::Reliable);
        }
    }

    /// Makes it a member of a room of its endpoint: it gets what is published from now on, in order with what it is sent.
    /// [`Event::Slow`](super::Event::Slow) says once that after a publication more than `slow_above` bytes wait for it.
    /// Returns whether it is one; a connection that is closing becomes none.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyRooms`] where it is in [`MAX_ROOMS`] others.
    pub fn join(&self, room: &str, slow_above: usize) -> Result<bool, Error> {
        let mut joined = lock(&self.joined);
        if matches!(*joined, Joined::Over) || !self.connection.is_open() {
            return Ok(false);
        }
        if matches!(*joined, Joined::None) {
            *joined = Joined::Some(BTreeMap::new());
        }
        let Joined::Some(rooms) = &mut *joined else { return Ok(false) };
        if rooms.contains_key(room) {
            return Ok(true);
        }
        if rooms.len() >= MAX_ROOMS {
            return Err(Error::TooManyRooms);
        }
        // What it was sent so far has no step to be behind of.
        self.write_gathered();
        self.recipient.get_or_init(|| Arc::new(Recipient::new(Arc::clone(&self.connection))));
        let membership = self.rooms.enter(room, &self.outgoing);
        let members = Arc::clone(membership.members());
        rooms.insert(Arc::clone(members.room()), membership);
        drop(joined);
        self.outgoing.push(Step::Join { members, connection: Arc::clone(&self.connection), slow_above });
        Ok(true)
    }

    /// Ends its being a member of a room: it gets nothing that is published from now on. Returns whether it was one.
    pub fn leave(&self, room: &str) -> bool {
        let Joined::Some(joined) = &mut *lock(&self.joined) else { return false };
        let Some(membership) = joined.remove(room) else { return false };
        self.push_leave(&membership);
        true
    }

    /// Leaves every room, and joins none any more.
    fn leave_all(&self) {
        for membership in self.end_joining().into_values() {
            self.push_leave(&membership);
        }
    }

    fn push_leave(&self, membership: &Membership) {
        let members = Arc::clone(membership.members());
        self.outgoing.push(Step::Leave { members, connection: self.id() });
    }

    fn end_joining(&self) -> BTreeMap<Arc<str>, Membership> {
        match mem::replace(&mut *lock(&self.joined), Joined::Over) {
            Joined::Some(rooms) => rooms,
            Joined::None | Joined::Over => BTreeMap::new(),
        }
    }

    /// The connection is closing: it is in no room any more. On its thread, where a step to join that comes later finds it
    /// closing.
    pub(super) fn left(&self) {
        for membership in self.end_joining().into_values() {
            membership.members().remove(self.id());
        }
    }

    /// Whether it is a member of this room of `rooms`.
    pub(super) fn is_member(&self, rooms: &Arc<HandlerRooms>, room: &str) -> bool {
        let is_joined = |joined: &Joined| matches!(joined, Joined::Some(joined) if joined.contains_key(room));
        Arc::ptr_eq(&self.rooms, rooms) && is_joined(&lock(&self.joined))
    }

    /// Begins the closing handshake after what was sent. It leaves its rooms.
    pub fn close(&self, close: &Close) {
        if self.recipient.get().is_none() {
            self.write_gathered();
            self.connection.close(close);
            return;
        }
        self.leave_all();
        self.outgoing.push(Step::Close { connection: Arc::clone(&self.connection), close: close.clone() });
        self.outgoing.hand_over();
    }

    /// Drops the socket at once. It leaves its rooms.
    pub fn terminate(&self) {
        if self.recipient.get().is_some() {
            self.leave_all();
            self.outgoing.hand_over();
        }
        self.connection.terminate();
    }
}
