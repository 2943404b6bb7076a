//! Opening a document may take time: its log may have to come from a disk, a server, or the app.
//!
//! Until then a room is loading. It has no members; who wants to join waits, and so does what route handlers publish.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use tokio::sync::oneshot;

use super::{
    document_log::{Deliver, DocumentLog, Start},
    publication::{Answer, Draft, Publication},
};
use crate::ids::{ClientSessionId, ConnectionId, Id};
pub use crate::recovery::Recalled;

/// Who may wait for one document to be opened. One more is turned away at once, to come back later.
pub(super) const MAX_WAITING: usize = 1000;

/// Gives a document its log when somebody opens it.
pub trait Opener: Send + Sync + fmt::Debug {
    /// Opens a document and says so to `opened`, now or later and from any thread. Must not block.
    fn open(&self, document: &Id, by: OpenedBy, opened: Opened);

    /// Whether client sessions that come back are known by the log, for all processes, and not by the room.
    fn recalls(&self) -> bool {
        false
    }

    /// Members of a document in other processes.
    fn elsewhere(&self, document: &Id) -> usize {
        let _ = document;
        0
    }

    /// Asks the log of a document that is open for a client session that comes back, and has its room brought up to `offset`,
    /// where the log is. `None` where only the room remembers, or the document is not open.
    fn recall(
        &self,
        document: &Id,
        client_session: ClientSessionId,
        offset: Option<u64>,
    ) -> Option<Recalling> {
        let _ = (document, client_session, offset);
        None
    }

    /// Asks the same, and that nothing more of the client session is applied, whatever is still on its way into the log from
    /// whatever process.
    fn fence(&self, document: &Id, client_session: ClientSessionId) -> Option<Recalling> {
        let _ = (document, client_session);
        None
    }
}

/// Will say what the log knows of a client session. An error where the log cannot be reached.
pub type Recalling = oneshot::Receiver<Recalled>;

/// Who is the first to open a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenedBy {
    /// The user, where a session says who that is.
    pub user: Option<Arc<str>>,
    /// The query of the request, without `?`; empty where a route handler needs the document.
    pub query: String,
}

/// Is told that a document is open, or cannot be opened. Dropped without a word it says the latter.
pub struct Opened {
    tell: Option<Tell>,
    room: Weak<dyn Deliver>,
}

/// Is told the log, and where it stands if it was there before.
type Tell = Box<dyn FnOnce(Option<(DocumentLog, Option<Start>)>) + Send>;

impl Opened {
    pub(super) fn new(
        room: Weak<dyn Deliver>,
        tell: impl FnOnce(Option<(DocumentLog, Option<Start>)>) + Send + 'static,
    ) -> Self {
        Self { tell: Some(Box::new(tell)), room }
    }

    /// The room that opens it, which may be given news as soon as it was told that the document is open.
    pub fn room(&self) -> Weak<dyn Deliver> {
        Weak::clone(&self.room)
    }

    /// The document is open, and its history begins here.
    pub fn done(mut self, log: DocumentLog) {
        self.tell(Some((log, None)));
    }

    /// The document is open, and has a history already.
    pub fn begin(mut self, log: DocumentLog, start: Start) {
        self.tell(Some((log, Some(start))));
    }

    fn tell(&mut self, open: Option<(DocumentLog, Option<Start>)>) {
        if let Some(tell) = self.tell.take() {
            tell(open);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.tell(None);
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(…)")
    }
}

/// What waits while a room is loading.
#[derive(Debug, Default)]
pub(super) struct Loading {
    /// The tasks of the connections that want to join.
    pub(super) waiting: HashMap<ConnectionId, Waker>,
    /// What route handlers have published meanwhile.
    pub(super) held: Vec<Publication>,
    pub(super) held_bytes: usize,
    /// Who else wants to know when it is open, or that it cannot be opened.
    pub(super) told: Vec<oneshot::Sender<()>>,
    /// It could not be opened.
    pub(super) has_failed: bool,
    /// Where its log stood, and the last offset, of which an earlier process has left what the room remembers.
    pub(super) resumes: Option<(Option<u64>, u64)>,
}

/// How far a room is for somebody who wants to join it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It can be joined.
    Live,
    /// It could not be opened; the next one who comes tries again.
    Failed,
    /// As many wait for it as may.
    Crowded,
}

impl Loading {
    /// Holds what a route handler publishes until the room is open.
    pub(super) fn hold(&mut self, draft: &Draft<'_>, answer: Option<Answer>, max_bytes: usize) -> bool {
        if self.has_failed || self.held_bytes > max_bytes {
            return false;
        }
        self.held_bytes += draft.bytes();
        self.held.push(draft.into_publication(answer));
        true
    }

    /// How far it is; otherwise wakes the task of `connection` when that is known.
    pub(super) fn poll(&mut self, connection: ConnectionId, cx: &mut Context<'_>) -> Poll<Phase> {
        if self.has_failed {
            return Poll::Ready(Phase::Failed);
        }
        if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&connection) {
            return Poll::Ready(Phase::Crowded);
        }
        self.waiting.insert(connection, cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::{Loading, MAX_WAITING, Phase};
    use crate::ids::ConnectionId;

    #[test]
    fn as_many_wait_as_may_and_who_waits_already_may_ask_again() {
        let (mut loading, mut cx) = (Loading::default(), Context::from_waker(Waker::noop()));
        let last = MAX_WAITING as u64;
        for number in 1..=last {
            assert_eq!(loading.poll(ConnectionId::new(number), &mut cx), Poll::Pending);
        }
        assert_eq!(loading.poll(ConnectionId::new(last + 1), &mut cx), Poll::Ready(Phase::Crowded));
        assert_eq!(loading.poll(ConnectionId::new(1), &mut cx), Poll::Pending);
        loading.waiting.remove(&ConnectionId::new(1));
        assert_eq!(loading.poll(ConnectionId::new(last + 1), &mut cx), Poll::Pending);
    }
}
