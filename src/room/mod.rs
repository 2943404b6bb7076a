//! The members of a document, and the fan-out to them.
//!
//! Whoever publishes, on any thread, appends one encoded frame to what the room gathers and is done. The room's thread
//! writes all that was gathered to each member with one `write`. Two locks, so that a route handler never waits for a
//! thousand sockets: `state` is held for the length of a copy, `members` only ever by the room's thread.

pub mod latest;
mod rooms;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};

use self::latest::{Latest, Place};
pub use self::rooms::Rooms;
use crate::{
    Error,
    connection::{
        Connection,
        batch::{Batch, BatchBuilder, FrameMeta, QueuePolicy},
    },
    ids::{ClientSessionId, ConnectionId, Id, Topic},
    panics::guarded,
    protocol::{
        self,
        recovery::{Position, RecoveryResult, Reload},
    },
    recovery::{Identity, RecoveryRequest, RoomRecovery, Settings, budget::Relief, history::History},
    shard::{Flush, Shard, Work},
    sync::lock,
    websocket::close::Close,
};

/// What all rooms of a hub are made with.
#[derive(Debug, Clone)]
struct RoomSettings {
    max_pending_bytes: usize,
    /// `None` where nothing is remembered.
    recovery: Option<Arc<Settings>>,
}

/// Where a room stands among the others of its thread.
trait Registry: Send + Sync + fmt::Debug {
    /// Forgets a room that has no members. On its thread.
    fn remove(&self, document: &Id);

    /// Has the largest histories give way, once the thread has time for it.
    fn relieve(&self, relief: Relief);
}

/// The connections that have one document open.
#[derive(Debug)]
pub struct Room {
    document: Id,
    shard: Arc<Shard>,
    /// Where it is forgotten when its last member leaves.
    registry: Weak<dyn Registry>,
    max_pending_bytes: usize,
    state: Mutex<State>,
    members: Mutex<Vec<Member>>,
    /// As many as `members` holds; for counting without its lock.
    count: AtomicUsize,
    /// What is remembered for those who come back; `None` where that is nothing. Only the room's thread locks it.
    memory: Option<Box<Mutex<RoomRecovery>>>,
    /// Bytes of its history, for whoever makes room.
    history_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be sent to the members there are now.
    gathered: BatchBuilder,
    /// Whether the room's thread knows of it.
    scheduled: bool,
    /// How many members each client has.
    clients: HashMap<Id, usize>,
    /// The offset that was given last.
    offset: u64,
    /// What the members have sent that outlives the message.
    latest: Latest,
}

#[derive(Debug)]
struct Member {
    /// Beside the connection, so that looking for one touches no other.
    id: ConnectionId,
    connection: Arc<Connection>,
    client: Id,
    /// [`NO_CLIENT_SESSION`] once another connection has taken its place.
    client_session: ClientSessionId,
    place: Place,
}

/// No connection has the number 0, so no client session begins with it. A member is 64 bytes, a line of memory; with an
/// `Option` it would be more.
const NO_CLIENT_SESSION: ClientSessionId = ClientSessionId::new(0);

/// Above this a room sends what its members publish at once instead of after all that can be read: however many write
/// at a time, no more of it waits.
const MAX_GATHERED_BYTES: usize = 1 << 20;

/// What a connection is sent that has become a member.
#[derive(Debug)]
pub(crate) struct JoinReply {
    /// How it can come back.
    pub(crate) position: Option<Position>,
    /// What it gets of what it has missed, where it asked.
    pub(crate) outcome: Option<RecoveryResult>,
    /// What the other members show.
    pub(crate) shown: Bytes,
}

impl Room {
    fn new(document: Id, shard: Arc<Shard>, registry: Weak<dyn Registry>, settings: RoomSettings) -> Self {
        let RoomSettings { max_pending_bytes, recovery } = settings;
        Self {
            document,
            shard,
            registry,
            max_pending_bytes,
            state: Mutex::default(),
            members: Mutex::default(),
            count: AtomicUsize::new(0),
            memory: recovery.map(|settings| Box::new(Mutex::new(RoomRecovery::new(settings)))),
            history_bytes: AtomicUsize::new(0),
        }
    }

    /// The document's id.
    pub fn document(&self) -> &Id {
        &self.document
    }

    /// Members there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The thread on which it lives.
    pub(crate) fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    /// Makes a connection a member: it gets every publication from now on, and none from before but what it asks for
    /// and is given with the [`JoinReply`]. On the room's thread, which must send that before anything else.
    pub(crate) fn join(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        client: Id,
        user: Option<&str>,
        ask: Option<&RecoveryRequest>,
    ) -> (Membership, JoinReply) {
        let mut members = lock(&self.members);
        let mut state = loop {
            let mut state = lock(&self.state);
            if state.gathered.is_empty() {
                break state;
            }
            let batch = state.gathered.take();
            drop(state);
            self.send(&members, &batch);
        };
        let who = Identity { document: &self.document, client: &client, user };
        let (client_session, reply) = self.greet(connection.id(), who, ask, &mut members, &mut state);
        let applied = match reply.outcome {
            Some(
                RecoveryResult::Recovered { up_to, .. } | RecoveryResult::Reload { up_to: Some(up_to), .. },
            ) => up_to,
            Some(RecoveryResult::Reload { up_to: None, .. }) | None => 0,
        };
        let place = state.latest.enter(applied);
        *state.clients.entry(client.clone()).or_default() += 1;
        let id = connection.id();
        members.push(Member { id, connection, client, client_session, place });
        self.count.store(members.len(), Ordering::Release);
        drop(state);
        (Membership { room: Arc::clone(self), connection: id, client_session, place }, reply)
    }

    /// The member whose place a client would take that shows this. On the room's thread.
    pub(crate) fn replaced(&self, who: Identity<'_>, ask: &RecoveryRequest) -> Option<Arc<Connection>> {
        let client_session = lock(self.memory.as_ref()?).client_session_of(ask, who).ok()?;
        let members = lock(&self.members);
        let member = members.iter().find(|member| member.client_session == client_session)?;
        Some(Arc::clone(&member.connection))
    }

    /// What `connection`, which is about to become a member, is sent; and its client session.
    fn greet(
        &self,
        connection: ConnectionId,
        who: Identity<'_>,
        ask: Option<&RecoveryRequest>,
        members: &mut [Member],
        state: &mut State,
    ) -> (ClientSessionId, JoinReply) {
        let begun = ClientSessionId::from(connection);
        let Some(memory) = &self.memory else {
            let outcome = ask.map(|_| RecoveryResult::Reload { reason: Reload::Off, up_to: None });
            return (begun, JoinReply { position: None, outcome, shown: Bytes::new() });
        };
        let mut memory = lock(memory);
        memory.wake();
        let replace = |client_session| {
            let older = members.iter_mut().find(|member| member.client_session == client_session)?;
            older.client_session = NO_CLIENT_SESSION;
            // The client itself has come over another connection, so nothing more is taken from this one.
            older.connection.close(&Close::replaced());
            state.latest.hide(older.place);
            Some(state.latest.applied(older.place))
        };
        let (outcome, client_session) = match ask {
            None => (None, None),
            Some(ask) => {
                let (outcome, client_session) = memory.recover(ask, who, self.shard.now(), replace);
                (Some(outcome), client_session)
            }
        };
        let client_session = client_session.unwrap_or(begun);
        let position = Some(memory.position(client_session, who));
        let shown = state.latest.shown(memory.max_shown_bytes());
        (client_session, JoinReply { position, outcome, shown })
    }

    fn leave(&self, connection: ConnectionId) {
        let mut members = lock(&self.members);
        let Some(index) = members.iter().position(|member| member.id == connection) else { return };
        let member = members.swap_remove(index);
        let mut state = lock(&self.state);
        let applied = state.latest.leave(member.place);
        if let Some(left) = state.clients.get_mut(&member.client) {
            *left -= 1;
            if *left == 0 {
                state.clients.remove(&member.client);
            }
        }
        self.count.store(members.len(), Ordering::Release);
        drop(state);
        if let Some(memory) = &self.memory {
            let (mut memory, now) = (lock(memory), self.shard.now());
            if member.client_session != NO_CLIENT_SESSION {
                memory.detached.leave(member.client_session, applied, now);
            }
            if members.is_empty() {
                memory.rest(now);
            }
            return;
        }
        let is_empty = members.is_empty();
        // The map of rooms is locked before their members, never behind them.
        drop(members);
        if is_empty && let Some(registry) = self.registry.upgrade() {
            registry.remove(&self.document);
        }
    }

    /// Publishes a route handler's message to every member, or to those of one client; from any thread. Returns how many
    /// that are. Those who are away get it when they come back.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] where more waits to be sent than the hub may hold.
    pub fn publish(self: &Arc<Self>, to: Option<Id>, message: &str) -> Result<usize, Error> {
        let mut state = lock(&self.state);
        let receivers = match &to {
            Some(client) => state.clients.get(client).copied().unwrap_or(0),
            None => self.count(),
        };
        if receivers == 0 && self.memory.is_none() {
            return Ok(0);
        }
        if state.gathered.len() > self.max_pending_bytes {
            return Err(Error::Overloaded);
        }
        let offset = protocol::has_offset(message).then(|| self.next_offset(&mut state)).flatten();
        let meta = FrameMeta { to, offset, ..FrameMeta::default() };
        self.gather(&mut state, meta, |out| protocol::put_message(out, message, offset));
        Ok(receivers)
    }

    /// The last offset that the members were latest, where publications have one. On the room's thread.
    pub(crate) fn sent_up_to(&self) -> Option<u64> {
        Some(lock(self.memory.as_ref()?).history.last())
    }

    /// The place of the next publication in the history, where there is one.
    fn next_offset(&self, state: &mut State) -> Option<u64> {
        self.memory.as_ref()?;
        state.offset += 1;
        Some(state.offset)
    }

    fn gather(self: &Arc<Self>, state: &mut State, meta: FrameMeta, encode: impl FnOnce(&mut BytesMut)) {
        state.gathered.push(meta, encode);
        if !std::mem::replace(&mut state.scheduled, true) {
            let gathered = Arc::clone(self);
            self.shard.push(Work::Flush(gathered));
        }
    }

    /// Sends a batch to every member. After a panic in the middle of it nobody can say who got what, so all are closed:
    /// they come back and are given what they missed, or told to reload where the history may not have it.
    fn send(&self, members: &[Member], batch: &Batch) {
        let sent = guarded("sending to a room, whose members are closed", || {
            if let Some(memory) = &self.memory
                && batch.history_bytes > 0
            {
                self.append(&mut lock(memory).history, batch);
            }
            for Member { id, connection, client, .. } in members {
                connection.send_batch(batch, |frame| frame.is_for(*id, client));
            }
        });
        if sent.is_none() {
            if let Some((memory, offset)) = self.memory.as_ref().zip(batch.last_offset()) {
                lock(memory).history.lost(offset);
            }
            for member in members {
                member.connection.close(&Close::internal());
            }
        }
    }

    fn append(&self, history: &mut History, batch: &Batch) {
        history.append(batch, self.shard.now());
        self.history_bytes.store(history.bytes(), Ordering::Relaxed);
        if let Some(relief) = history.relief()
            && let Some(registry) = self.registry.upgrade()
        {
            registry.relieve(relief);
        }
    }

    /// Bytes of its history, as of the last change; from any thread.
    pub(crate) fn history_bytes(&self) -> usize {
        self.history_bytes.load(Ordering::Relaxed)
    }

    /// Forgets the oldest of its history until that takes `bytes` at most. On the room's thread.
    pub(crate) fn trim(&self, bytes: usize) {
        if let Some(memory) = &self.memory {
            let mut memory = lock(memory);
            memory.history.trim(bytes);
            self.history_bytes.store(memory.history.bytes(), Ordering::Relaxed);
        }
    }

    /// Forgets what is too old; returns whether that is the room itself. On the room's thread.
    pub(crate) fn forget(&self) -> bool {
        let empty = lock(&self.members).is_empty();
        let Some(memory) = &self.memory else { return false };
        let mut memory = lock(memory);
        let forgotten = memory.forget(self.shard.now());
        self.history_bytes.store(memory.history.bytes(), Ordering::Relaxed);
        forgotten && empty
    }
}

impl Flush for Room {
    fn flush(&self) {
        let members = lock(&self.members);
        let batch = {
            let mut state = lock(&self.state);
            state.scheduled = false;
            state.gathered.take()
        };
        if !batch.frames.is_empty() {
            self.send(&members, &batch);
        }
    }
}

/// Being a member; dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Membership {
    room: Arc<Room>,
    connection: ConnectionId,
    client_session: ClientSessionId,
    place: Place,
}

impl Membership {
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Publishes the member's message to the others, unless it has the number of one that was applied before. `encode`
    /// is told its offset, if it takes one. On the room's thread.
    pub(crate) fn publish(
        &self,
        topic: Topic,
        number: Option<u64>,
        encode: impl FnOnce(&mut BytesMut, Option<u64>),
    ) {
        let Self { room, place, .. } = self;
        let alone = room.memory.is_none() && room.count() <= 1;
        if alone && number.is_none() {
            return;
        }
        let mut state = lock(&room.state);
        if state.gathered.len() > MAX_GATHERED_BYTES {
            drop(state);
            room.flush();
            state = lock(&room.state);
        }
        if number.is_some_and(|number| !state.latest.is_new(*place, number)) {
            return;
        }
        if !alone {
            self.gather(&mut state, topic, encode);
        }
        // Not before it is published: what is applied is acknowledged, and not taken again.
        if let Some(number) = number {
            state.latest.apply(*place, number);
        }
    }

    fn gather(&self, state: &mut State, topic: Topic, encode: impl FnOnce(&mut BytesMut, Option<u64>)) {
        let Self { room, connection, client_session, place } = self;
        let policy = topic.policy();
        let offset = if policy == QueuePolicy::Reliable { room.next_offset(state) } else { None };
        let meta = FrameMeta {
            from: Some(*connection),
            client_session: Some(*client_session),
            to: None,
            policy,
            offset,
        };
        room.gather(state, meta, |out| encode(out, offset));
        if let QueuePolicy::Latest(topic) = policy
            && room.memory.is_some()
        {
            let State { gathered, latest, .. } = state;
            latest.keep(*place, topic, gathered.last());
        }
    }

    /// The number of the member's last message that was applied; 0 before the first.
    pub(crate) fn applied(&self) -> u64 {
        lock(&self.room.state).latest.applied(self.place)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.room.leave(self.connection);
    }
}
