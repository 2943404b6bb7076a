//! The rooms of handlers in other processes, where several are one hub.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// What tells the other processes. All of it is for any thread, and must not block.
pub trait Outside: Send + Sync + fmt::Debug {
    /// A room has its first member here: from now on it hears what is published to it elsewhere.
    fn enter(&self, path: &str, room: &str);

    /// A room has no members here any more.
    fn leave(&self, path: &str, room: &str);

    /// Something was published here, a whole frame.
    fn publish(&self, path: &str, room: &str, frame: Bytes);
}

/// What the name of a room begins with whose members are all in one process: nobody else is told what is published to it, as to a
/// producer's own. Handlers of several processes speak with each other over rooms of such names, which nobody is a member of.
const HERE: char = '\0';

/// Who is told of a room.
pub(super) fn of_room<'a>(outside: Option<&'a Arc<dyn Outside>>, room: &str) -> Option<&'a Arc<dyn Outside>> {
    outside.filter(|_| is_shared(room))
}

/// Whether a room may have members in several processes.
pub(super) fn is_shared(room: &str) -> bool {
    !room.starts_with(HERE)
}
