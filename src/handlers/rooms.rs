//! The rooms of one handler's endpoint, as its thread has asked for them.
//!
//! Who is a member is known twice: here, at once, so that a call can say how many it was for; and on the shards, where it
//! becomes true in the order of the steps ([`Outgoing`]), so that who joined before a publication gets it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use bytes::Bytes;

use super::{
    events::UnseenEvents,
    members::{Publication, ShardMembers},
    outgoing::{Outgoing, Step, Told},
    outside::{Outside, of_room},
};
use crate::{Error, ids::ConnectionId, sync::lock};

/// Rooms that one connection may be in.
pub const MAX_ROOMS: usize = 1000;

/// The rooms of one endpoint. There are those that have members.
#[derive(Debug)]
pub(super) struct HandlerRooms {
    /// The path of the endpoint.
    path: Box<str>,
    unseen: Arc<UnseenEvents>,
    /// Tells other processes; empty where there are none.
    outside: Arc<OnceLock<Arc<dyn Outside>>>,
    by_name: Mutex<HashMap<Arc<str>, Vec<OnShard>>>,
}

/// What a room has on one shard: at least one member.
#[derive(Debug)]
struct OnShard {
    outgoing: Arc<Outgoing>,
    members: Arc<ShardMembers>,
    count: usize,
}

impl HandlerRooms {
    pub(super) fn new(
        path: &str,
        unseen: Arc<UnseenEvents>,
        outside: Arc<OnceLock<Arc<dyn Outside>>>,
    ) -> Self {
        Self { path: path.into(), unseen, outside, by_name: Mutex::default() }
    }

    /// Counts one more member, of the shard of `outgoing`.
    pub(super) fn enter(self: &Arc<Self>, name: &str, outgoing: &Arc<Outgoing>) -> Membership {
        let mut by_name = lock(&self.by_name);
        let name = by_name.get_key_value(name).map_or_else(|| name.into(), |(name, _)| Arc::clone(name));
        let shards = by_name.entry(Arc::clone(&name)).or_default();
        if shards.is_empty()
            && let Some(outside) = of_room(self.outside.get(), &name)
        {
            outside.enter(&self.path, &name);
        }
        let found = shards.iter_mut().find(|shard| Arc::ptr_eq(&shard.outgoing, outgoing));
        let members = if let Some(shard) = found {
            shard.count += 1;
            Arc::clone(&shard.members)
        } else {
            let members = Arc::new(ShardMembers::new(name, Arc::clone(&self.unseen), outgoing.thread()));
            shards.push(OnShard { outgoing: Arc::clone(outgoing), members: Arc::clone(&members), count: 1 });
            members
        };
        Membership { rooms: Arc::clone(self), members }
    }

    fn leave(&self, members: &Arc<ShardMembers>) {
        let mut by_name = lock(&self.by_name);
        let Some(shards) = by_name.get_mut(members.room()) else { return };
        let Some(index) = shards.iter().position(|shard| Arc::ptr_eq(&shard.members, members)) else {
            return;
        };
        shards[index].count -= 1;
        if shards[index].count == 0 {
            shards.swap_remove(index);
            if shards.is_empty() {
                by_name.remove(members.room());
                if let Some(outside) = of_room(self.outside.get(), members.room()) {
                    outside.leave(&self.path, members.room());
                }
            }
        }
    }

    /// Leaves a message for all members of a room but `except`, which is one of them. Returns how many that are; where
    /// there are none, nothing is encoded.
    pub(super) fn publish(
        &self,
        name: &str,
        except: Option<ConnectionId>,
        encode: impl FnOnce() -> Bytes,
    ) -> Result<usize, Error> {
        let shards: Vec<_> = {
            let by_name = lock(&self.by_name);
            let Some(shards) = by_name.get(name) else { return Ok(0) };
            if shards.iter().any(|shard| shard.members.pending() > shard.outgoing.max_pending_bytes()) {
                return Err(Error::Overloaded);
            }
            let of = |shard: &OnShard| (Arc::clone(&shard.outgoing), Arc::clone(&shard.members), shard.count);
            shards.iter().map(of).collect()
        };
        let all: usize = shards.iter().map(|(_, _, count)| count).sum();
        let receivers = all - usize::from(except.is_some());
        if receivers == 0 {
            return Ok(0);
        }
        let frame = encode();
        for (outgoing, members, _) in shards {
            outgoing.push(Step::Publish(Publication::new(members, frame.clone(), except)));
        }
        Ok(receivers)
    }

    /// Posts that what was published to a room so far has been sent, once it has.
    pub(super) fn when_sent(&self, name: &str, number: u32) {
        let told = Arc::new(Told { unseen: Arc::clone(&self.unseen), number });
        let outgoing: Vec<_> = lock(&self.by_name)
            .get(name)
            .map(|shards| shards.iter().map(|shard| Arc::clone(&shard.outgoing)).collect())
            .unwrap_or_default();
        for outgoing in outgoing {
            outgoing.push(Step::Told(Arc::clone(&told)));
        }
    }

    /// Members of a room.
    pub(super) fn count(&self, name: &str) -> usize {
        lock(&self.by_name).get(name).map_or(0, |shards| shards.iter().map(|shard| shard.count).sum())
    }

    /// Rooms that have members.
    pub(super) fn room_count(&self) -> usize {
        lock(&self.by_name).len()
    }
}

/// Being counted as a member of a room; dropping it ends that. Who drops it sees to the members on the shard.
#[derive(Debug)]
pub(super) struct Membership {
    rooms: Arc<HandlerRooms>,
    members: Arc<ShardMembers>,
}

impl Membership {
    pub(super) fn members(&self) -> &Arc<ShardMembers> {
        &self.members
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.rooms.leave(&self.members);
    }
}
