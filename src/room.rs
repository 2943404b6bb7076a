//! The members of a document, and the fan-out to them.
//!
//! Whoever publishes, on any thread, appends one encoded frame to what the room gathers and is done. The room's thread
//! writes all that was gathered to each member with one `write`. Two locks, so that a route handler never waits for a
//! thousand sockets: `state` is held for the length of a copy, `members` only ever by the room's thread.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};

use crate::{
    Error,
    batch::{Batch, Gathering, Head, Keep},
    close::Close,
    connection::{Connection, ConnectionId},
    history::History,
    hub::Rooms,
    lineage::LineageId,
    panics::guarded,
    protocol::{self, Id, Topic},
    recovery::{Ask, Identity, Memory, Outcome, Position, Reload, Settings},
    sent::{Place, Sent},
    shard::{Shard, Work},
    sync::lock,
};

/// The connections that have one document open.
#[derive(Debug)]
pub struct Room {
    document: Id,
    shard: Arc<Shard>,
    /// Where it is forgotten when its last member leaves.
    rooms: Weak<Rooms>,
    max_pending_bytes: usize,
    state: Mutex<State>,
    members: Mutex<Vec<Member>>,
    /// As many as `members` holds; for counting without its lock.
    count: AtomicUsize,
    /// What is remembered for those who come back; `None` where that is nothing. Only the room's thread locks it.
    memory: Option<Box<Mutex<Memory>>>,
    /// Bytes of its history, for whoever makes room.
    history_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be sent to the members there are now.
    gathered: Gathering,
    /// Whether the room's thread knows of it.
    scheduled: bool,
    /// How many members each client has.
    clients: HashMap<Id, usize>,
    /// The offset that was given last.
    offset: u64,
    /// What the members have sent that outlives the message.
    sent: Sent,
}

#[derive(Debug)]
struct Member {
    /// Beside the connection, so that looking for one touches no other.
    id: ConnectionId,
    connection: Arc<Connection>,
    client: Id,
    /// [`NO_LINEAGE`] once another connection has taken its place.
    lineage: LineageId,
    place: Place,
}

/// No connection has the number 0, so no lineage begins with it. A member is 64 bytes, a line of memory; with an
/// `Option` it would be more.
const NO_LINEAGE: LineageId = LineageId::new(0);

/// Above this a room sends what its members publish at once instead of after all that can be read: however many write
/// at a time, no more of it waits.
const MAX_GATHERED_BYTES: usize = 1 << 20;

/// What a connection is sent that has become a member.
#[derive(Debug)]
pub(crate) struct Welcome {
    /// How it can come back.
    pub(crate) position: Option<Position>,
    /// What it gets of what it has missed, where it asked.
    pub(crate) outcome: Option<Outcome>,
    /// What the other members show.
    pub(crate) shown: Bytes,
}

impl Room {
    pub(crate) fn new(
        document: Id,
        shard: Arc<Shard>,
        rooms: Weak<Rooms>,
        max_pending_bytes: usize,
        settings: Option<Arc<Settings>>,
    ) -> Self {
        Self {
            document,
            shard,
            rooms,
            max_pending_bytes,
            state: Mutex::default(),
            members: Mutex::default(),
            count: AtomicUsize::new(0),
            memory: settings.map(|settings| Box::new(Mutex::new(Memory::new(settings)))),
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
    /// and is given with the [`Welcome`]. On the room's thread, which must send that before anything else.
    pub(crate) fn join(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        client: Id,
        user: Option<&str>,
        ask: Option<&Ask>,
    ) -> (Membership, Welcome) {
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
        let (lineage, welcome) = self.welcome(connection.id(), who, ask, &mut members, &mut state);
        let applied = match welcome.outcome {
            Some(Outcome::Recovered { up_to, .. } | Outcome::Reload { up_to: Some(up_to), .. }) => up_to,
            Some(Outcome::Reload { up_to: None, .. }) | None => 0,
        };
        let place = state.sent.enter(applied);
        *state.clients.entry(client.clone()).or_default() += 1;
        let id = connection.id();
        members.push(Member { id, connection, client, lineage, place });
        self.count.store(members.len(), Ordering::Release);
        drop(state);
        (Membership { room: Arc::clone(self), connection: id, lineage, place }, welcome)
    }

    /// The member whose place a client would take that shows this. On the room's thread.
    pub(crate) fn replaced(&self, who: Identity<'_>, ask: &Ask) -> Option<Arc<Connection>> {
        let lineage = lock(self.memory.as_ref()?).lineage_of(ask, who).ok()?;
        let members = lock(&self.members);
        let member = members.iter().find(|member| member.lineage == lineage)?;
        Some(Arc::clone(&member.connection))
    }

    /// What `connection`, which is about to become a member, is sent; and its lineage.
    fn welcome(
        &self,
        connection: ConnectionId,
        who: Identity<'_>,
        ask: Option<&Ask>,
        members: &mut [Member],
        state: &mut State,
    ) -> (LineageId, Welcome) {
        let begun = LineageId::from(connection);
        let Some(memory) = &self.memory else {
            let outcome = ask.map(|_| Outcome::Reload { reason: Reload::Off, up_to: None });
            return (begun, Welcome { position: None, outcome, shown: Bytes::new() });
        };
        let mut memory = lock(memory);
        memory.wake();
        let replace = |lineage| {
            let older = members.iter_mut().find(|member| member.lineage == lineage)?;
            older.lineage = NO_LINEAGE;
            // The client itself has come over another connection, so nothing more is taken from this one.
            older.connection.close(&Close::replaced());
            state.sent.hide(older.place);
            Some(state.sent.applied(older.place))
        };
        let (outcome, lineage) = match ask {
            None => (None, None),
            Some(ask) => {
                let (outcome, lineage) = memory.recover(ask, who, self.shard.now(), replace);
                (Some(outcome), lineage)
            }
        };
        let lineage = lineage.unwrap_or(begun);
        let position = Some(memory.position(lineage, who));
        let shown = state.sent.shown(memory.max_shown_bytes());
        (lineage, Welcome { position, outcome, shown })
    }

    fn leave(&self, connection: ConnectionId) {
        let mut members = lock(&self.members);
        let Some(index) = members.iter().position(|member| member.id == connection) else { return };
        let member = members.swap_remove(index);
        let mut state = lock(&self.state);
        let applied = state.sent.leave(member.place);
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
            if member.lineage != NO_LINEAGE {
                memory.lineages.leave(member.lineage, applied, now);
            }
            if members.is_empty() {
                memory.rest(now);
            }
        } else if members.is_empty()
            && let Some(rooms) = self.rooms.upgrade()
        {
            rooms.remove(&self.document);
        }
    }

    /// Publishes a route handler's message to every member, or to those of one client; from any thread. Answers how many
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
        let head = Head { to, offset, ..Head::default() };
        self.gather(&mut state, head, |out| protocol::put_message(out, message, offset));
        Ok(receivers)
    }

    /// The last offset that the members were sent, where publications have one. On the room's thread.
    pub(crate) fn sent_up_to(&self) -> Option<u64> {
        Some(lock(self.memory.as_ref()?).history.last())
    }

    /// The place of the next publication in the history, where there is one.
    fn next_offset(&self, state: &mut State) -> Option<u64> {
        self.memory.as_ref()?;
        state.offset += 1;
        Some(state.offset)
    }

    fn gather(self: &Arc<Self>, state: &mut State, head: Head, encode: impl FnOnce(&mut BytesMut)) {
        state.gathered.push(head, encode);
        if !std::mem::replace(&mut state.scheduled, true) {
            self.shard.push(Work::Flush(Arc::clone(self)));
        }
    }

    /// Sends what was gathered. On the room's thread.
    pub(crate) fn flush(&self) {
        let members = lock(&self.members);
        let batch = {
            let mut state = lock(&self.state);
            state.scheduled = false;
            state.gathered.take()
        };
        if !batch.parts.is_empty() {
            self.send(&members, &batch);
        }
    }

    /// Sends a batch to every member. After a panic in the middle of it nobody can say who got what, so all are closed:
    /// they come back and are given what they missed, or told to reload where the history may not have it.
    fn send(&self, members: &[Member], batch: &Batch) {
        let sent = guarded("sending to a room, whose members are closed", || {
            if let Some(memory) = &self.memory
                && batch.numbered > 0
            {
                self.append(&mut lock(memory).history, batch);
            }
            for Member { id, connection, client, .. } in members {
                connection.send_batch(batch, |part| part.is_for(*id, client));
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
            && let Some(rooms) = self.rooms.upgrade()
        {
            self.shard.push(Work::Relieve(rooms, relief));
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

    /// Forgets what is too old; answers whether that is the room itself. On the room's thread.
    pub(crate) fn forget(&self) -> bool {
        let empty = lock(&self.members).is_empty();
        let Some(memory) = &self.memory else { return false };
        let mut memory = lock(memory);
        let forgotten = memory.forget(self.shard.now());
        self.history_bytes.store(memory.history.bytes(), Ordering::Relaxed);
        forgotten && empty
    }
}

/// Being a member; dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Membership {
    room: Arc<Room>,
    connection: ConnectionId,
    lineage: LineageId,
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
        if number.is_some_and(|number| !state.sent.is_new(*place, number)) {
            return;
        }
        if !alone {
            self.gather(&mut state, topic, encode);
        }
        // Not before it is published: what is applied is acknowledged, and not taken again.
        if let Some(number) = number {
            state.sent.apply(*place, number);
        }
    }

    fn gather(&self, state: &mut State, topic: Topic, encode: impl FnOnce(&mut BytesMut, Option<u64>)) {
        let Self { room, connection, lineage, place } = self;
        let keep = topic.keep();
        let offset = if keep == Keep::Every { room.next_offset(state) } else { None };
        let head = Head { from: Some(*connection), lineage: Some(*lineage), to: None, keep, offset };
        room.gather(state, head, |out| encode(out, offset));
        if let Keep::Newest(topic) = keep
            && room.memory.is_some()
        {
            let State { gathered, sent, .. } = state;
            sent.keep(*place, topic, gathered.last());
        }
    }

    /// The number of the member's last message that was applied; 0 before the first.
    pub(crate) fn applied(&self) -> u64 {
        lock(&self.room.state).sent.applied(self.place)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.room.leave(self.connection);
    }
}

#[cfg(test)]
mod tests;
