//! Locking without poison, and the order of the locks.
//!
//! Whoever holds one of these takes only those to the right of it; no two of one kind are ever held together.
//!
//! - of a room: `Room::members` → `Room::state` → `Room::recovery`. Only the room's thread takes `members` and `recovery`;
//!   any thread may take `state`.
//! - `Room::state` → `Document::state` → the queue of the store. A document tells its room nothing while its state is held.
//!   The map of documents → `Document::state`.
//! - `Room::state` → what a document of `cluster` has locked, and what it keeps from expiring: leaves. News is told to a room
//!   when none of it is locked.
//! - `Room::members` → `Connection::writer`: a room sends to its members. Nothing is sent while `state` is held.
//! - `ShardRooms::by_id`, the map of a thread's rooms, is held for a look-up or to add or remove a room, and nothing is taken
//!   meanwhile but `ShardRooms::left`, a leaf, for a room that an earlier process has left.
//! - `OfShard::told` → `Thread::connections` → `Connection::writer`, and `Thread::scratch` → all of a connection and its room.
//! - the map of users → `UserEntry::grants` → `User::meter`; `Expiries::due` → `Grant::session_end`.
//! - of a handler's connection: `HandlerConnection::joined` → `HandlerRooms::by_name`, and → `Outgoing::turn`. Steps are
//!   taken out of `turn` before any is done.
//! - `ShardMembers::members` → `Connection::writer`: a handler's room sends to its members on its shard.
//! - `Connection::writer` → the queue of security events, that of the log, and the events that handlers have not seen: those are
//!   leaves, held for a push and never while something is written or called. So is the queue of the store of documents.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a panic under the lock.
///
/// A panic is caught where the work of one connection or room begins and ends that connection alone, so the others
/// must be able to go on with what the lock protects. No code here leaves it half changed across a call that may panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
