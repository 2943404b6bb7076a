//! The log of a document: the one place that orders what is published to it.
//!
//! To publish is the only way into a document's order, and what its members are sent comes out of its log, in the order of
//! the offsets. The log in memory gives an offset at once, and what was published is delivered in the same turn, without
//! having been copied. Another may need a disk or a server for that and answer later; nothing in a room takes an answer in
//! the same turn for granted.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::publication::{Publication, Refusal};
use crate::{
    ids::{ClientSessionId, Epoch, Topic},
    metrics::labels::DocumentKind,
};

/// Orders what is published to one document, and answers later.
///
/// An implementation answers every publication once, those it orders in the order of their offsets, which have no gap. Where
/// one is refused as unavailable, all that were appended behind it and have no answer yet are refused, too: their authors
/// send them again, and an author's messages must not change places.
pub trait Log: Send + fmt::Debug {
    /// Appends a publication; its answer goes to `room`. Called with the room's state locked, from any thread: it must not
    /// block, and must not call [`Deliver::deliver`] before it has returned. The answer is another thread's, or
    /// [`Append::Refused`].
    fn append(&mut self, publication: Publication, room: Arc<dyn Deliver>) -> Append;

    /// What its document is.
    fn kind(&self) -> DocumentKind {
        DocumentKind::Relay
    }

    /// What it has given a place goes out to the members now, in the order of the offsets. On the room's thread, which has
    /// locked the room's state: whoever joins from now on is not sent it.
    fn delivered(&mut self, publication: &Publication, offset: u64) {
        let _ = (publication, offset);
    }

    /// What a route handler has published goes out to so many members now, behind [`delivered`](Self::delivered).
    fn counted(&mut self, offset: u64, members: usize) {
        let _ = (offset, members);
    }

    /// What it was given has no place; returns what its author is told. With the room's state locked, on its thread.
    fn refused(&mut self, publication: &Publication, refusal: Refusal) -> Refusal {
        let _ = publication;
        refusal
    }

    /// The log is another one than the members were sent, who have to reload. With the room's state locked, on its thread,
    /// before anything of it is delivered.
    fn restarted(&mut self) {}

    /// Whether it is needed also where nobody has the document open.
    fn is_needed(&self) -> bool {
        false
    }

    /// What tells, in the next process, whether the log still stands where it stood: all that was delivered is in it, and
    /// nothing else. `None` where nothing does.
    fn position(&self) -> Option<u64> {
        None
    }

    /// Goes on behind an offset that an earlier process gave, if it still stands where it stood then; returns whether it
    /// does. Called before anything is appended.
    fn resume(&mut self, position: u64, offset: u64) -> bool {
        let _ = (position, offset);
        false
    }

    /// The number of the last message of a client session that is in the log, where nobody remembers the client session: it
    /// was an earlier process's, or it has been away for too long. 0 where there is none; `None` where the log cannot tell.
    fn last_number(&self, client_session: ClientSessionId) -> Option<u64> {
        let _ = client_session;
        None
    }

    /// These client sessions are here, or were a moment ago: a log that remembers for who comes back, to whatever process,
    /// remembers them for one more window. Called with the room's state locked, on its thread, when somebody joins or leaves
    /// and several times in a window.
    fn keep(&mut self, client_sessions: &[ClientSessionId]) {
        let _ = client_sessions;
    }

    /// The room has heard that something of this client session was refused, and publishes nothing more of it before its client
    /// has come back. On the room's thread, with its state locked.
    fn knows_refused(&mut self, client_session: ClientSessionId) {
        let _ = client_session;
    }

    /// A member shows this from now on, a whole frame: for members elsewhere. With the room's state locked.
    fn show(&mut self, client_session: ClientSessionId, topic: Topic, frame: &[u8]) {
        let _ = (client_session, topic, frame);
    }

    /// A member has left, and shows nothing any more. With the room's state locked.
    fn hide(&mut self, client_session: ClientSessionId) {
        let _ = client_session;
    }

    /// A client has come back, and goes on here: its older connection elsewhere is to end. With the room's state locked.
    fn take(&mut self, client_session: ClientSessionId) {
        let _ = client_session;
    }

    /// A client has come back, and has begun anew here: the older connection is to end with its client session, of which
    /// nothing more is applied. With the room's state locked.
    fn end(&mut self, client_session: ClientSessionId) {
        let _ = client_session;
    }
}

/// What a member in another process shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Names the process.
    pub process: u64,
    /// Names the member.
    pub client_session: ClientSessionId,
    /// Which of what it shows.
    pub topic: Topic,
    /// The whole frame.
    pub frame: Bytes,
}

/// What a log says to a publication at once.
#[derive(Debug)]
pub enum Append {
    /// The answer comes later, and the log has the publication until then.
    Later,
    /// It stands nowhere, and will not.
    Refused(Box<Publication>, Refusal),
}

/// A publication with what became of it.
#[derive(Debug)]
pub struct Appended {
    /// The publication, as the log was given it.
    pub publication: Publication,
    /// Its offset, or why it has none.
    pub outcome: Result<u64, Refusal>,
}

/// What a log has to say to its room. What has an offset comes in the order of the offsets.
#[derive(Debug)]
pub enum News {
    /// Of a publication of this room, what became of it; where it has its place it goes out now.
    Answer(Appended),
    /// The same, where what stands at that offset went out before: the answer was found in the log, not given.
    Late(Appended),
    /// What somebody has published in another process.
    Elsewhere(Stood),
    /// The log is not the one that the members were sent: they have to reload.
    Restart(Start),
    /// A member in another process shows something.
    Shown(Shown),
    /// A member has left another process, or all of that process have.
    Hidden(u64, Option<ClientSessionId>),
    /// Another process asks what the members here show.
    Asked,
    /// A client has come back to another process, and goes on there.
    Taken(u64, ClientSessionId),
}

/// A publication that has its place.
#[derive(Debug)]
pub struct Stood {
    /// The publication; of its author only the client session means something here.
    pub publication: Publication,
    /// Its offset.
    pub offset: u64,
    /// How long it has stood there, in milliseconds.
    pub age: u32,
}

/// Where a log stands that was there before the room.
#[derive(Debug)]
pub struct Start {
    /// Names its history.
    pub epoch: Epoch,
    /// The offset directly before the first of `history`, or the last there is.
    pub before: u64,
    /// What it remembers, without a gap.
    pub history: Vec<Stood>,
}

/// Where a log leaves its answers.
pub trait Deliver: Send + Sync {
    /// Takes answers, in the order of their offsets; from any thread.
    fn deliver(self: Arc<Self>, answers: Vec<Appended>) {
        self.hear(answers.into_iter().map(News::Answer).collect());
    }

    /// Takes news, in the order of their offsets; from any thread.
    fn hear(self: Arc<Self>, news: Vec<News>);
}

/// Nothing tells whether a log stands where it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPosition;

/// The log of a room.
#[derive(Debug)]
pub enum DocumentLog {
    /// Offsets are given at once, and what is remembered is what the room remembers.
    Memory(MemoryLog),
    /// The order is given elsewhere.
    Other(Box<dyn Log>),
}

/// Gives offsets at once, one after the other.
#[derive(Debug)]
pub struct MemoryLog {
    /// The offset that was given last; `None` where nothing is remembered, so that nobody could use one.
    last: Option<u64>,
}

impl MemoryLog {
    /// A log with nothing in it, whose publications have offsets or not.
    pub fn new(has_offsets: bool) -> Self {
        Self { last: has_offsets.then_some(0) }
    }

    /// The place of the next publication, which is to stand directly behind `after`; `None` where there are no offsets.
    ///
    /// # Errors
    ///
    /// [`Refusal::Stale`]
    #[inline]
    pub(crate) fn place(&mut self, after: Option<u64>) -> Result<Option<u64>, Refusal> {
        let Some(last) = &mut self.last else { return Ok(None) };
        if after.is_some_and(|after| after != *last) {
            return Err(Refusal::Stale { current: *last, retry_in_ms: None });
        }
        *last += 1;
        Ok(Some(*last))
    }
}

impl DocumentLog {
    /// What tells whether it still stands where it stood; `None` for a log in memory, which has nothing but its offset.
    ///
    /// # Errors
    ///
    /// [`NoPosition`] where nothing tells.
    pub(crate) fn position(&self) -> Result<Option<u64>, NoPosition> {
        match self {
            Self::Memory(log) => log.last.map(|_| None),
            Self::Other(log) => log.position().map(Some),
        }
        .ok_or(NoPosition)
    }

    /// Goes on behind an offset that an earlier process gave; returns whether it does.
    pub(crate) fn resume(&mut self, position: Option<u64>, offset: u64) -> bool {
        match (self, position) {
            (Self::Memory(MemoryLog { last: Some(last) }), None) => {
                *last = offset;
                true
            }
            (Self::Other(log), Some(position)) => log.resume(position, offset),
            _ => false,
        }
    }

    /// Whether what is published is ordered, and kept, by nobody else.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// What its document is.
    pub(crate) fn kind(&self) -> DocumentKind {
        match self {
            Self::Memory(_) => DocumentKind::Relay,
            Self::Other(log) => log.kind(),
        }
    }

    /// The log, where what is published is ordered elsewhere.
    pub(crate) fn other(&mut self) -> Option<&mut dyn Log> {
        match self {
            Self::Memory(_) => None,
            Self::Other(log) => Some(&mut **log),
        }
    }
}
