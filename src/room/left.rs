//! What an earlier process has left of a room, until somebody needs that.

use std::{sync::Arc, time::Instant};

use crate::recovery::{RoomRecovery, Settings, saved::SavedRoom};

/// What an earlier process has left of a room that nobody needs yet.
#[derive(Debug)]
pub(super) struct LeftRoom {
    pub(super) saved: SavedRoom,
    /// Milliseconds between its being saved and `since`.
    pub(super) elapsed: u32,
    pub(super) since: Instant,
}

impl LeftRoom {
    /// Milliseconds since it was saved.
    fn age(&self) -> u32 {
        u32::try_from(self.since.elapsed().as_millis()).unwrap_or(u32::MAX).saturating_add(self.elapsed)
    }

    /// Whether nobody can come back to it any more.
    pub(super) fn is_over(&self, window: u32) -> bool {
        self.saved.empty_for.saturating_add(self.age()) > window
    }

    /// What the room goes on with.
    pub(super) fn restore(self, settings: Arc<Settings>, now: u32) -> RoomRecovery {
        let age = self.age();
        RoomRecovery::restored(settings, self.saved, age, now)
    }

    /// For the process after this one.
    pub(super) fn into_saved(self) -> SavedRoom {
        let age = self.age();
        let mut saved = self.saved;
        let older = |age_then: &mut u32| *age_then = age_then.saturating_add(age);
        older(&mut saved.empty_for);
        saved.publications.iter_mut().for_each(|publication| older(&mut publication.age));
        saved.client_sessions.iter_mut().for_each(|client_session| older(&mut client_session.age));
        saved
    }
}
