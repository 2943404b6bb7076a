//! What of a room is shown to who watches the hub. All of it on the room's thread.

use std::sync::Arc;

use super::Room;
use crate::{connection::Connection, ids::Epoch, metrics::labels::DocumentKind, sync::lock};

/// How a room is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) kind: DocumentKind,
    pub(crate) is_loading: bool,
    /// `None` where nothing is remembered.
    pub(crate) history: Option<HistoryStatus>,
}

/// How a history is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryStatus {
    pub(crate) epoch: Epoch,
    /// The offset of the last publication.
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
    /// How many publications it holds.
    pub(crate) entries: usize,
}

impl Room {
    /// How it is now.
    pub(crate) fn status(&self) -> Status {
        let (kind, is_loading) = {
            let state = lock(&self.state);
            (state.log.kind(), state.loading.is_some())
        };
        let history = self.recovery.as_ref().map(|recovery| {
            let recovery = lock(recovery);
            let history = &recovery.history;
            HistoryStatus {
                epoch: recovery.epoch(),
                offset: history.last(),
                bytes: history.bytes(),
                entries: history.len(),
            }
        });
        Status { kind, is_loading, history }
    }

    /// Shows `visit` the connections of the members from the `first` on, at most `count`; returns whether there were any.
    /// Members change their places where one leaves.
    pub(crate) fn visit_members(
        &self,
        first: usize,
        count: usize,
        mut visit: impl FnMut(&Arc<Connection>),
    ) -> bool {
        let members = lock(&self.members);
        let mut some = members.iter().skip(first).take(count).peekable();
        let are_any = some.peek().is_some();
        some.for_each(|member| visit(&member.connection));
        are_any
    }
}
