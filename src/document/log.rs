//! The log of a room whose document has an authority.

use std::sync::Arc;

use super::live::InUse;
use crate::{
    ids::ClientSessionId,
    metrics::labels::DocumentKind,
    room::{
        document_log::{Append, Deliver, Log},
        publication::{Content, Publication},
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
