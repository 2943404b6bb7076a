//! A room that is loading: who waits for it, and what happens once it is open or cannot be opened.

use std::{
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use super::{
    Room,
    document_log::{Deliver, DocumentLog, Start, Stood},
    opening::{Opened, OpenedBy, Opener, Phase},
};
use crate::{
    connection::batch::{BatchBuilder, FrameMeta},
    ids::ConnectionId,
    shard::Work,
    sync::lock,
};

impl Room {
    /// Begins to load, where the document's log comes from elsewhere. Without a lock.
    pub(super) fn load(self: &Arc<Self>, opener: &dyn Opener, by: OpenedBy) {
        let room = Arc::downgrade(self);
        let deliver: Weak<dyn Deliver> = Weak::<Self>::clone(&room);
        let tell = Opened::new(deliver, move |open| {
            let Some(room) = room.upgrade() else { return };
            match open {
                // What it remembers is the room's thread's to note, before any news of it.
                Some((log, Some(start))) => Arc::clone(&room.shard).push(Work::Do(
                    "opening a document",
                    Box::new(move || {
                        // Else what an earlier process has left of it is of no use: the log knows better.
                        if !room.opened(Some(log)) {
                            room.begin(start);
                        }
                    }),
                )),
                Some((log, None)) => drop(room.opened(Some(log))),
                None => drop(room.opened(None)),
            }
        });
        opener.open(&self.document, by, tell);
    }

    /// Goes on from where a log stands that was there before. On the room's thread.
    pub(super) fn begin(&self, start: Start) {
        let Some(recovery) = &self.recovery else { return };
        let mut recovery = lock(recovery);
        recovery.begin(start.epoch, start.before);
        let (mut gathered, now) = (BatchBuilder::default(), self.shard.now());
        for Stood { publication, offset, age } in start.history {
            let draft = publication.draft();
            let meta = FrameMeta {
                client_session: draft.left_out().map(|author| author.client_session),
                to: publication.to.clone(),
                offset: Some(offset),
                ..FrameMeta::default()
            };
            gathered.push(meta, |out| draft.put(out, &self.document, Some(offset)));
            recovery.history.append(&gathered.take(), now.wrapping_sub(age));
        }
        self.grew(&recovery.history);
    }

    /// The document has its log, or cannot be opened. From any thread. Returns whether it goes on as an earlier process has
    /// left it.
    fn opened(self: &Arc<Self>, log: Option<DocumentLog>) -> bool {
        let mut state = lock(&self.state);
        let Some(mut loading) = state.loading.take() else { return false };
        let mut goes_on = false;
        let waiting = std::mem::take(&mut loading.waiting);
        let held = std::mem::take(&mut loading.held);
        let told = std::mem::take(&mut loading.told);
        let is_open = log.is_some();
        let mut given_back = None;
        if let Some(mut log) = log {
            goes_on = self.resume(&mut log, loading.resumes);
            state.log = log;
            for mut publication in held {
                let answer = publication.answer.take();
                // The result is not needed: a refusal goes to the answer.
                self.submit(&mut state, &publication.draft(), answer);
            }
        } else {
            log::error!(document = self.document.text(); "document {:?} could not be opened", self.document);
            loading.has_failed = true;
            given_back = self.give_back(loading.resumes);
            state.loading = Some(loading);
            drop(held);
        }
        drop(state);
        for told in told {
            // Whoever has gone needs no answer.
            let _ = told.send(());
        }
        if is_open {
            let room = Arc::clone(self);
            self.shard.push(Work::Do(
                "forgetting a room that nobody joined",
                Box::new(move || room.rest_if_empty()),
            ));
        }
        if !is_open && let Some(registry) = self.registry.upgrade() {
            // The next one who comes finds none, and tries again.
            if let Some(saved) = given_back {
                registry.keep(saved);
            }
            let document = self.document.clone();
            self.shard.push(Work::Do("forgetting a room", Box::new(move || registry.remove(&document))));
        }
        for reader in waiting.into_values() {
            reader.wake();
        }
        goes_on
    }

    /// Whether the room can be joined, or why not; otherwise wakes the task of `connection` when that is known.
    pub(crate) fn poll_phase(&self, connection: ConnectionId, cx: &mut Context<'_>) -> Poll<Phase> {
        match &mut lock(&self.state).loading {
            None => Poll::Ready(Phase::Live),
            Some(loading) => loading.poll(connection, cx),
        }
    }

    /// Whether the room can be joined.
    pub(crate) fn is_live(&self) -> bool {
        lock(&self.state).loading.is_none()
    }

    /// Is told once the room is open, or cannot be opened; at once where that is known.
    #[cfg(feature = "redis")]
    pub(crate) fn when_loaded(&self) -> tokio::sync::oneshot::Receiver<()> {
        let (tell, told) = tokio::sync::oneshot::channel();
        match &mut lock(&self.state).loading {
            Some(loading) if !loading.has_failed => loading.told.push(tell),
            _ => {
                let _ = tell.send(());
            }
        }
        told
    }

    /// A connection waits for the room to be opened, until [`Room::stop_waiting`].
    pub(crate) fn wait(&self) {
        lock(&self.state).joining += 1;
    }

    /// A connection waits no longer: it has joined, or will not. On the room's thread.
    pub(crate) fn stop_waiting(&self, connection: ConnectionId) {
        let mut state = lock(&self.state);
        state.joining -= 1;
        if let Some(loading) = &mut state.loading {
            loading.waiting.remove(&connection);
        }
        drop(state);
        self.rest_if_empty();
    }

    /// What nobody has joined is forgotten like what everybody has left. On the room's thread.
    fn rest_if_empty(&self) {
        if self.count() > 0 {
            return;
        }
        match &self.recovery {
            Some(recovery) => lock(recovery).mark_empty(self.shard.now()),
            None => self.forget_if_idle(),
        }
    }
}
