//! What a room leaves to the next process, and how it goes on there.

use super::{NO_CLIENT_SESSION, Room, document_log::DocumentLog};
use crate::{recovery::saved::SavedRoom, shard::Flush, sync::lock};

impl Room {
    /// What it remembers, for the next process; `None` where nothing of it would be of use there. From now on nothing more
    /// can be published that its clients would miss. On the room's thread.
    pub(crate) fn save(&self) -> Option<SavedRoom> {
        self.flush();
        let members = lock(&self.members);
        let mut state = lock(&self.state);
        state.is_saved = true;
        let recovery = self.recovery.as_ref()?;
        let is_settled = state.pending.as_ref().is_none_or(|pending| pending.count() == 0);
        if !is_settled || !state.gathered.is_empty() {
            // Its members may have been told what the log does not have, or not be told what it has.
            log::warn!(document = self.document.text(); "document {:?} is not settled: its clients are to reload", self.document);
            return None;
        }
        let log_position = match &state.loading {
            None => state.log.position().ok()?,
            Some(loading) => loading.resumes?.0,
        };
        let (mut recovery, now) = (lock(recovery), self.shard.now());
        // Those who were cut off, and have not been dropped yet.
        for member in members.iter().filter(|member| member.client_session != NO_CLIENT_SESSION) {
            let shows = state.latest.shows(member.place).cloned().map(Box::new);
            recovery.leave(member.client_session, state.latest.applied(member.place), shows, now);
        }
        Some(recovery.save(&self.document, log_position, now))
    }

    /// The room's log is there. What an earlier process has left of the room is true only if the log stands where it stood;
    /// returns whether there is such.
    pub(super) fn resume(&self, log: &mut DocumentLog, resumes: Option<(Option<u64>, u64)>) -> bool {
        let (Some((position, offset)), Some(recovery)) = (resumes, &self.recovery) else { return false };
        let goes_on = log.resume(position, offset);
        if !goes_on {
            log::info!(document = self.document.text(); "document {:?} has gone on elsewhere: its clients are to reload", self.document);
            lock(recovery).begin_anew();
        }
        goes_on
    }

    /// The room could not be opened: whoever opens it next goes on from what an earlier process has left of it.
    pub(super) fn give_back(&self, resumes: Option<(Option<u64>, u64)>) -> Option<SavedRoom> {
        let ((log_position, _), recovery) = resumes.zip(self.recovery.as_ref())?;
        Some(lock(recovery).save(&self.document, log_position, self.shard.now()))
    }
}
