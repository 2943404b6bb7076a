//! What of a connection is shown to who watches the hub.

use std::sync::atomic::Ordering;

use super::{Connection, writer::Phase};
use crate::{ids::Id, metrics::labels::EndpointKind, sync::lock};

/// This share of what may wait for a connection is a sign that its client reads too slowly.
const SLOW_SHARE: usize = 4;

impl Connection {
    /// Who serves it.
    pub(crate) fn kind(&self) -> EndpointKind {
        self.kind
    }

    /// It is a member of a document now, by this client. Told once.
    pub(crate) fn set_member(&self, document: Id, client: Id) {
        let _ = self.member.set((document, client));
    }

    /// The document and the client it is of, once it is a member.
    pub(crate) fn member(&self) -> Option<&(Id, Id)> {
        self.member.get()
    }

    /// Milliseconds since 1970 when it was made.
    pub(crate) fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// Milliseconds since a message last came, by the clock of its thread.
    pub(crate) fn idle(&self, now: u32) -> u32 {
        now.wrapping_sub(self.active.load(Ordering::Relaxed))
    }

    /// Bytes that wait for the socket; `None` where it is closing.
    pub(crate) fn waiting(&self) -> Option<usize> {
        let writer = lock(&self.writer);
        let bytes = || writer.outbox.as_ref().map_or(0, |outbox| outbox.bytes());
        (writer.phase == Phase::Open).then(bytes)
    }

    /// Whether so many bytes that wait are a sign of a client that reads too slowly.
    pub(crate) fn is_slow_with(&self, waiting: usize) -> bool {
        waiting > self.max_outbox_bytes / SLOW_SHARE
    }
}
