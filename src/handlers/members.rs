//! The members that a handler's room has on one shard, and the fan-out to them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{BufMut, Bytes};

use super::events::{Event, UnseenEvents};
use crate::{
    connection::{
        Connection,
        batch::{Batch, BatchBuilder, BatchFrame, FrameMeta, QueuePolicy},
        thread::Thread,
    },
    ids::ConnectionId,
    metrics::labels::EndpointKind,
    panics::guarded,
    sync::lock,
    websocket::close::Close,
};

/// The members that a room has on one shard. Only the shard's thread adds, removes and sends to any.
pub(super) struct ShardMembers {
    room: Arc<str>,
    unseen: Arc<UnseenEvents>,
    members: Mutex<BTreeMap<ConnectionId, Member>>,
    /// Bytes of publications that are on their way to them.
    pending: AtomicUsize,
    /// The thread of their shard, which counts what they are sent; `None` where it has ended.
    thread: Option<Arc<Thread>>,
}

struct Member {
    connection: Arc<Connection>,
    /// How much may wait for it before the handlers' thread is told.
    slow_above: usize,
    is_told: bool,
}

impl fmt::Debug for ShardMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardMembers").field("room", &self.room).finish_non_exhaustive()
    }
}

impl ShardMembers {
    pub(super) fn new(room: Arc<str>, unseen: Arc<UnseenEvents>, thread: Option<Arc<Thread>>) -> Self {
        Self { room, unseen, members: Mutex::default(), pending: AtomicUsize::new(0), thread }
    }

    pub(super) fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// Bytes of publications that are on their way to them; from any thread.
    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Makes a connection a member, unless it is closing: then it may have left for good already.
    pub(super) fn add(&self, connection: Arc<Connection>, slow_above: usize) {
        if connection.is_open() {
            lock(&self.members).insert(connection.id(), Member { connection, slow_above, is_told: false });
        }
    }

    pub(super) fn remove(&self, connection: ConnectionId) {
        lock(&self.members).remove(&connection);
    }

    /// Sends publications of this room, which follow one another, with one write a member.
    pub(super) fn send(&self, publications: &[Publication]) {
        self.send_batch(&batch_of(publications));
    }

    /// After a panic in the middle of it nobody can say who got what, so all members are closed.
    pub(super) fn send_batch(&self, batch: &Batch) {
        let mut members = lock(&self.members);
        let sent = guarded("sending to a handler's room, whose members are closed", || {
            for (id, member) in members.iter_mut() {
                let is_for = |frame: &BatchFrame| frame.meta.from != Some(*id);
                let waiting = member.connection.send_batch(batch, is_for);
                if waiting > member.slow_above && !std::mem::replace(&mut member.is_told, true) {
                    self.unseen.post(*id, Event::Slow((*self.room).into()));
                }
            }
            if let Some(thread) = &self.thread {
                batch.count(members.len(), EndpointKind::Handler, thread.counters());
            }
        });
        if sent.is_none() {
            for member in members.values() {
                member.connection.close(&Close::internal());
            }
        }
    }
}

fn batch_of(publications: &[Publication]) -> Batch {
    if let [Publication { frame, except: None, .. }] = publications {
        // However large it is, it is copied by nobody.
        return Batch::of(frame.clone(), QueuePolicy::Reliable);
    }
    let mut gathered = BatchBuilder::default();
    for Publication { frame, except, .. } in publications {
        let meta = FrameMeta { from: *except, ..FrameMeta::default() };
        gathered.push(meta, |out| out.put_slice(frame));
    }
    gathered.take()
}

/// A message on its way to the members that a room has on one shard. Counted among what is pending while it is there.
#[derive(Debug)]
pub(super) struct Publication {
    members: Arc<ShardMembers>,
    /// Encoded once for all shards.
    frame: Bytes,
    /// Who does not get it.
    except: Option<ConnectionId>,
}

impl Publication {
    pub(super) fn new(members: Arc<ShardMembers>, frame: Bytes, except: Option<ConnectionId>) -> Self {
        members.pending.fetch_add(frame.len(), Ordering::Relaxed);
        Self { members, frame, except }
    }

    pub(super) fn members(&self) -> &Arc<ShardMembers> {
        &self.members
    }

    pub(super) fn bytes(&self) -> usize {
        self.frame.len()
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.members.pending.fetch_sub(self.frame.len(), Ordering::Relaxed);
    }
}
