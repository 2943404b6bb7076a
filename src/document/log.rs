//! The log of a room whose document has an authority.

use std::sync::Arc;

use super::live::InUse;
use crate::{
    ids::{ClientSessionId, Topic},
    metrics::labels::DocumentKind,
    room::{
        document_log::{Append, Deliver, Log},
        publication::{Content, Publication, Refusal},
    },
};

/// Gives what is published in one room to its document; as long as it is there, the document is in use.
#[derive(Debug)]
pub(super) struct StepsLog(InUse);

impl StepsLog {
    pub(super) fn new(document: InUse) -> Self {
        Self(document)
    }
}

/// The same for a document that other processes have, too: what it accepts goes to the log that all of them follow.
#[derive(Debug)]
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "no document is shared without it"))]
pub(super) struct TogetherLog {
    document: InUse,
    log: Box<dyn Log>,
}

impl TogetherLog {
    #[cfg(feature = "redis")]
    pub(super) fn new(document: InUse, log: Box<dyn Log>) -> Self {
        Self { document, log }
    }
}

impl Log for TogetherLog {
    fn kind(&self) -> DocumentKind {
        self.document.kind().into()
    }

    fn append(&mut self, publication: Publication, room: Arc<dyn Deliver>) -> Append {
        if !matches!(publication.content, Content::Steps(_) | Content::Update { .. }) {
            return self.log.append(publication, room);
        }
        match self.document.admit(publication, Arc::clone(&room)) {
            Some(publication) => match self.log.append(publication, room) {
                Append::Refused(publication, refusal) => {
                    let refusal = self.document.refused(&publication, refusal);
                    Append::Refused(publication, refusal)
                }
                Append::Later => Append::Later,
            },
            None => Append::Later,
        }
    }

    fn delivered(&mut self, publication: &Publication, offset: u64) {
        self.document.delivered(publication, offset);
    }

    fn refused(&mut self, publication: &Publication, refusal: Refusal) -> Refusal {
        self.document.refused(publication, refusal)
    }

    fn restarted(&mut self) {
        self.document.restarted();
    }

    fn is_needed(&self) -> bool {
        self.document.is_needed()
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

impl Log for StepsLog {
    fn kind(&self) -> DocumentKind {
        self.0.kind().into()
    }

    fn append(&mut self, publication: Publication, room: Arc<dyn Deliver>) -> Append {
        if matches!(publication.content, Content::Steps(_) | Content::Update { .. }) {
            self.0.submit(publication, room);
        } else {
            self.0.pass(publication, room);
        }
        Append::Later
    }

    fn delivered(&mut self, publication: &Publication, offset: u64) {
        self.0.delivered(publication, offset);
    }

    fn position(&self) -> Option<u64> {
        // A version is never given to other steps, over restarts, too.
        Some(self.0.version())
    }

    fn resume(&mut self, position: u64, offset: u64) -> bool {
        self.0.resume(position, offset)
    }

    fn last_number(&self, client_session: ClientSessionId) -> Option<u64> {
        Some(self.0.last_number(client_session))
    }
}
