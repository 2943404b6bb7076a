//! What a room is given of a document with an authority.

use std::sync::Arc;

use super::{kept::Followed, opener::RedisLog};
use crate::{
    ids::{ClientSessionId, Topic},
    room::{
        document_log::{Append, Deliver, Log},
        publication::Publication,
    },
};

/// The log of a document with an authority, for a room; as long as it is there, the document is followed.
#[derive(Debug)]
pub(crate) struct KeptLog {
    pub(super) log: RedisLog,
    pub(crate) followed: Followed,
}

impl Log for KeptLog {
    fn append(&mut self, publication: Publication, room: Arc<dyn Deliver>) -> Append {
        self.log.append(publication, room)
    }

    fn counted(&mut self, offset: u64, members: usize) {
        self.log.counted(offset, members);
    }

    fn knows_refused(&mut self, client_session: ClientSessionId) {
        self.log.knows_refused(client_session);
    }

    fn keep(&mut self, client_sessions: &[ClientSessionId]) {
        self.log.keep(client_sessions);
    }

    fn show(&mut self, client_session: ClientSessionId, topic: Topic, frame: &[u8]) {
        self.log.show(client_session, topic, frame);
    }

    fn hide(&mut self, client_session: ClientSessionId) {
        self.log.hide(client_session);
    }

    fn take(&mut self, client_session: ClientSessionId) {
        self.log.take(client_session);
    }

    fn end(&mut self, client_session: ClientSessionId) {
        self.log.end(client_session);
    }
}

impl Drop for KeptLog {
    fn drop(&mut self) {
        // Nobody waits for it.
        drop(self.followed.release());
    }
}
