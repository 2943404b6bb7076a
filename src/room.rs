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

use bytes::BytesMut;

use crate::{
    Error,
    batch::{Gathering, Keep},
    connection::{Connection, ConnectionId},
    hub::Rooms,
    protocol::Id,
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
}

#[derive(Debug, Default)]
struct State {
    /// What is to be sent to the members there are now.
    gathered: Gathering,
    /// Whether the room's thread knows of it.
    scheduled: bool,
    /// How many members each client has.
    clients: HashMap<Id, usize>,
}

#[derive(Debug)]
struct Member {
    /// Beside the connection, so that looking for one touches no other.
    id: ConnectionId,
    connection: Arc<Connection>,
    client: Id,
}

impl Room {
    pub(crate) fn new(document: Id, shard: Arc<Shard>, rooms: Weak<Rooms>, max_pending_bytes: usize) -> Self {
        Self {
            document,
            shard,
            rooms,
            max_pending_bytes,
            state: Mutex::default(),
            members: Mutex::default(),
            count: AtomicUsize::new(0),
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

    /// Makes a connection a member: it gets every publication from now on, and none from before. On the room's thread.
    pub(crate) fn join(self: &Arc<Self>, connection: Arc<Connection>, client: Id) -> Membership {
        let mut members = lock(&self.members);
        let mut state = loop {
            let mut state = lock(&self.state);
            if state.gathered.is_empty() {
                break state;
            }
            let batch = state.gathered.take();
            drop(state);
            send(&members, &batch);
        };
        *state.clients.entry(client.clone()).or_default() += 1;
        let id = connection.id();
        members.push(Member { id, connection, client });
        self.count.store(members.len(), Ordering::Release);
        drop(state);
        Membership { room: Arc::clone(self), connection: id }
    }

    fn leave(&self, connection: ConnectionId) {
        let mut members = lock(&self.members);
        let Some(index) = members.iter().position(|member| member.id == connection) else { return };
        let member = members.swap_remove(index);
        let mut state = lock(&self.state);
        if let Some(left) = state.clients.get_mut(&member.client) {
            *left -= 1;
            if *left == 0 {
                state.clients.remove(&member.client);
            }
        }
        self.count.store(members.len(), Ordering::Release);
        drop(state);
        if members.is_empty()
            && let Some(rooms) = self.rooms.upgrade()
        {
            rooms.remove(&self.document);
        }
    }

    /// Publishes a member's message to the others. On the room's thread.
    pub(crate) fn publish_from(
        self: &Arc<Self>,
        from: ConnectionId,
        keep: Keep,
        encode: impl FnOnce(&mut BytesMut),
    ) {
        if self.count() > 1 {
            self.gather(&mut lock(&self.state), Some(from), None, keep, encode);
        }
    }

    /// Publishes a frame to every member, or to those of one client; from any thread. Answers how many that are.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] where more waits to be sent than the hub may hold.
    pub fn publish(
        self: &Arc<Self>,
        to: Option<Id>,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<usize, Error> {
        let mut state = lock(&self.state);
        let receivers = match &to {
            Some(client) => state.clients.get(client).copied().unwrap_or(0),
            None => self.count(),
        };
        if receivers == 0 {
            return Ok(0);
        }
        if state.gathered.len() > self.max_pending_bytes {
            return Err(Error::Overloaded);
        }
        self.gather(&mut state, None, to, Keep::Every, encode);
        Ok(receivers)
    }

    fn gather(
        self: &Arc<Self>,
        state: &mut State,
        from: Option<ConnectionId>,
        to: Option<Id>,
        keep: Keep,
        encode: impl FnOnce(&mut BytesMut),
    ) {
        state.gathered.push(from, to, keep, encode);
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
            send(&members, &batch);
        }
    }
}

fn send(members: &[Member], batch: &crate::batch::Batch) {
    for Member { id, connection, client } in members {
        connection.send_batch(batch, |part| part.is_for(*id, client));
    }
}

/// Being a member; dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Membership {
    room: Arc<Room>,
    connection: ConnectionId,
}

impl Membership {
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.room.leave(self.connection);
    }
}
