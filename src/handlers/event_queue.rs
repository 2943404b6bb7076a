//! What happens on the connections that handlers serve, and what handlers send to them.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};

use super::{
    connection::HandlerConnection,
    events::{Event, Events, Heard, NO_CONNECTION, Notifier, UnseenEvents},
    outgoing::Outgoing,
    outside::{Outside, is_shared, of_room},
    rooms::HandlerRooms,
};
use crate::{
    Config, Error,
    connection::Connection,
    ids::ConnectionId,
    metrics::{histogram::Times, thread::Traffic},
    shard::Shard,
    sync::lock,
    websocket::frame,
};

/// The event queue of a hub.
pub struct EventQueue {
    unseen: Arc<UnseenEvents>,
    connections: Mutex<HashMap<ConnectionId, Arc<HandlerConnection>>>,
    /// Those for which the handlers have gathered something this turn.
    gathering: Mutex<Vec<Arc<HandlerConnection>>>,
    /// What handlers have for the members of rooms: one a shard.
    outgoing: Mutex<Vec<Arc<Outgoing>>>,
    /// Whether any of it waits for the end of the turn.
    has_steps: Arc<AtomicBool>,
    /// The rooms of each endpoint, by its path.
    rooms: Mutex<HashMap<Box<str>, Arc<HandlerRooms>>>,
    /// Tells other processes; empty where there are none.
    outside: Arc<OnceLock<Arc<dyn Outside>>>,
    /// Bytes of [`Event::Heard`] that were not seen.
    heard: AtomicUsize,
    /// What another process has published last was too much.
    is_missing: AtomicBool,
    max_inbox_bytes: usize,
    max_pending_bytes: usize,
    counts: HandlerCounts,
}

/// What the handlers' thread counts.
#[derive(Debug)]
pub struct HandlerCounts {
    /// What handlers send to single connections.
    pub sent: Traffic,
    /// How long it takes to come when it is rung; see [`EventQueue::probe`].
    pub delay: Times,
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue").field("unseen", &self.unseen).finish_non_exhaustive()
    }
}

impl EventQueue {
    /// An empty queue, for a hub of this configuration.
    pub fn new(notifier: Box<dyn Notifier>, config: &Config) -> Self {
        Self {
            unseen: Arc::new(UnseenEvents::new(notifier)),
            connections: Mutex::default(),
            gathering: Mutex::default(),
            outgoing: Mutex::default(),
            has_steps: Arc::default(),
            rooms: Mutex::default(),
            outside: Arc::default(),
            heard: AtomicUsize::new(0),
            is_missing: AtomicBool::new(false),
            max_inbox_bytes: config.max_inbox_bytes,
            max_pending_bytes: config.max_pending_bytes,
            counts: HandlerCounts { sent: Traffic::default(), delay: Times::of_times() },
        }
    }

    /// The rooms of the endpoint at a path, which is served from now on.
    pub(super) fn rooms_at(&self, path: &str) -> Arc<HandlerRooms> {
        let rooms = || Arc::new(HandlerRooms::new(path, Arc::clone(&self.unseen), Arc::clone(&self.outside)));
        Arc::clone(lock(&self.rooms).entry(path.into()).or_insert_with(rooms))
    }

    fn rooms_of(&self, path: &str) -> Option<Arc<HandlerRooms>> {
        lock(&self.rooms).get(path).cloned()
    }

    /// A connection of the endpoint with these rooms. On its thread.
    pub(super) fn open(
        &self,
        connection: Arc<Connection>,
        rooms: &Arc<HandlerRooms>,
    ) -> Arc<HandlerConnection> {
        let (rooms, outgoing) = (Arc::clone(rooms), self.outgoing_here());
        let connection = Arc::new(HandlerConnection::new(connection, self.max_inbox_bytes, rooms, outgoing));
        lock(&self.connections).insert(connection.id(), Arc::clone(&connection));
        self.post(connection.id(), Event::Open);
        connection
    }

    /// What goes by the shard whose thread this is.
    fn outgoing_here(&self) -> Arc<Outgoing> {
        let shard = Shard::current();
        let mut all = lock(&self.outgoing);
        if let Some(found) = all.iter().find(|outgoing| outgoing.is_for(&shard)) {
            return Arc::clone(found);
        }
        let added = Arc::new(Outgoing::new(shard, Arc::clone(&self.has_steps), self.max_pending_bytes));
        all.push(Arc::clone(&added));
        added
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
        self.unseen.post(id, event);
    }

    /// Takes everything: replaces what `events` held. Their messages count as taken.
    pub fn take(&self, events: &mut Events) {
        if let Some(delay) = self.unseen.take(events) {
            self.counts.delay.observe_time(delay);
        }
    }

    /// Has the handlers' thread call [`take`](Self::take), also where nothing has happened, so that it is known how long it
    /// takes to come. Now and then and not at each event: what holds it up holds up the events, and most of them come while
    /// nothing does. From any thread.
    pub fn probe(&self) {
        self.unseen.probe();
    }

    /// What the handlers' thread counts.
    pub fn counts(&self) -> &HandlerCounts {
        &self.counts
    }

    /// The handler is about to see this event: the room that it took in the inbox is free again. Returns how
    /// many bytes that was.
    pub fn seen(&self, id: ConnectionId, event: &Event) -> usize {
        if let Event::Heard(heard) = event {
            self.heard.fetch_sub(heard.message.len(), Ordering::Relaxed);
            return heard.message.len();
        }
        let bytes = event.inbox_bytes();
        if bytes > 0
            && let Some(connection) = self.connection(id)
        {
            connection.taken(bytes);
        }
        bytes
    }

    /// Posts [`Event::Flushed`] with `number` once at most `below_bytes` wait for this connection, or it has ended.
    pub fn when_flushed(&self, connection: &HandlerConnection, below_bytes: usize, number: u32) {
        let (unseen, id) = (Arc::clone(&self.unseen), connection.id());
        connection.when_flushed(below_bytes, move || unseen.post(id, Event::Flushed(number)));
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
        let mut bytes = 0;
        let counted = |out: &mut BytesMut| {
            let before = out.len();
            put(out);
            bytes = out.len() - before;
        };
        let is_first = connection.gather(counted);
        self.counts.sent.messages.add(1);
        self.counts.sent.bytes.add(bytes as u64);
        if is_first {
            lock(&self.gathering).push(connection);
        }
        true
    }

    /// Sends a text message to every member of a room but `except`; [`EventQueue::flush`] hands it to their shards. `path`
    /// is the endpoint's own. Returns how many members it is for. One of a shard that ends meanwhile does not get it.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] where more than [`Config::max_pending_bytes`] are on their way to the room: nothing was sent.
    pub fn publish_text(
        &self,
        path: &str,
        room: &str,
        message: &str,
        except: Option<ConnectionId>,
    ) -> Result<usize, Error> {
        self.publish(path, room, except, || frame::text(message))
    }

    /// Sends a binary message; otherwise as [`EventQueue::publish_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`]
    pub fn publish_binary(
        &self,
        path: &str,
        room: &str,
        message: &[u8],
        except: Option<ConnectionId>,
    ) -> Result<usize, Error> {
        self.publish(path, room, except, || frame::binary(message))
    }

    fn publish(
        &self,
        path: &str,
        room: &str,
        except: Option<ConnectionId>,
        encode: impl FnOnce() -> Bytes,
    ) -> Result<usize, Error> {
        let Some(outside) = of_room(self.outside.get(), room) else {
            return self.publish_here(path, room, except, encode);
        };
        let frame = encode();
        // What is refused here is told to nobody elsewhere.
        let receivers = self.publish_here(path, room, except, || frame.clone())?;
        outside.publish(path, room, frame);
        Ok(receivers)
    }

    fn publish_here(
        &self,
        path: &str,
        room: &str,
        except: Option<ConnectionId>,
        encode: impl FnOnce() -> Bytes,
    ) -> Result<usize, Error> {
        let Some(rooms) = self.rooms_of(path) else { return Ok(0) };
        let is_member =
            |id: &ConnectionId| self.connection(*id).is_some_and(|one| one.is_member(&rooms, room));
        rooms.publish(room, except.filter(is_member), encode)
    }

    /// From now on rooms are those of all processes. Before any room has members.
    pub fn share(&self, outside: Arc<dyn Outside>) {
        let _ = self.outside.set(outside);
    }

    /// Another process has published to a room: a frame for its members, which leaves at once, or where the room has none by its
    /// name, what the handlers' thread is to hear; so does it where something may have been missed, which members are not told.
    /// From any thread.
    pub fn hear(&self, path: &str, room: &str, process: Option<u64>, message: Bytes) {
        if !is_shared(room) {
            self.hear_of(Heard { path: path.into(), room: room.into(), process, message });
        } else if process.is_some() {
            self.hear_frame(path, room, message);
        }
    }

    fn hear_of(&self, heard: Heard) {
        let bytes = heard.message.len();
        // Who says it finds out, and says it again. Nobody else says that something was missed.
        if heard.process.is_some() && self.heard.fetch_add(bytes, Ordering::Relaxed) > self.max_pending_bytes
        {
            self.heard.fetch_sub(bytes, Ordering::Relaxed);
            return self.misses(&heard.path, "handlers do not take what has come");
        }
        self.is_missing.store(false, Ordering::Relaxed);
        self.post(NO_CONNECTION, Event::Heard(Box::new(heard)));
    }

    fn hear_frame(&self, path: &str, room: &str, frame: Bytes) {
        match self.publish_here(path, room, None, || frame) {
            Ok(receivers) => {
                self.is_missing.store(false, Ordering::Relaxed);
                if receivers > 0 {
                    self.hand_over();
                }
            }
            Err(error) => self.misses(path, &error.to_string()),
        }
    }

    /// Says so once, and not for each message.
    fn misses(&self, path: &str, reason: &str) {
        if !self.is_missing.swap(true, Ordering::Relaxed) {
            log::warn!("{path} misses what another process has published: {reason}");
        }
    }

    /// Posts [`Event::Sent`] with `number` once what was published to a room so far has been sent to its members.
    pub fn when_sent(&self, path: &str, room: &str, number: u32) {
        match self.rooms_of(path) {
            Some(rooms) => rooms.when_sent(room, number),
            None => self.post(NO_CONNECTION, Event::Sent(number)),
        }
        self.hand_over();
    }

    /// Members of a room.
    pub fn member_count(&self, path: &str, room: &str) -> usize {
        self.rooms_of(path).map_or(0, |rooms| rooms.count(room))
    }

    /// Rooms of an endpoint that have members.
    pub fn room_count(&self, path: &str) -> usize {
        self.rooms_of(path).map_or(0, |rooms| rooms.room_count())
    }

    /// Ends a turn: writes everything that was sent in it, what is for one connection in one write, and hands over to the
    /// shards what goes by them.
    pub fn flush(&self) {
        for connection in std::mem::take(&mut *lock(&self.gathering)) {
            connection.flush();
        }
        self.hand_over();
    }

    fn hand_over(&self) {
        if self.has_steps.swap(false, Ordering::Relaxed) {
            for outgoing in &*lock(&self.outgoing) {
                outgoing.hand_over();
            }
        }
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // Steps hold connections, which hold what the steps are kept in.
        for outgoing in &*lock(&self.outgoing) {
            outgoing.discard();
        }
    }
}
