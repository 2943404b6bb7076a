//! A document that several processes have: each follows one log, in which a batch has its place when it comes back from there.
//!
//! The authority of each process judges by what it has seen, so most of what has no place is refused without a word to the
//! others. What it accepts may still find another process's batch in its place. Then its writer is refused like one whose
//! version is old, after it was sent what took the place.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::{
    batches::Batches,
    hooks::{HookError, Snapshot},
    live::{Document, ROUTE_HANDLERS, State},
    together::{Held, Rest, Sent, Together},
};
#[cfg(feature = "redis")]
use crate::{cluster::kept::Lease, ids::ClientSessionId};
use crate::{
    ids::Id,
    room::{
        document_log::{Appended, Deliver},
        publication::{Author, Content, Publication, Refusal, Replaced, Steps},
    },
    sync::lock,
};

/// When a writer tries again whose document is just being put into Redis again, in milliseconds.
const UNTIL_RESTORED_MS: u32 = 250;

/// Versions after which it is looked again for a newer snapshot, where much stands behind the one there is.
const RENEWED_AFTER: u64 = 500;

/// Who has made a publication, among the writers of this process.
fn writer_of(publication: &Publication) -> u64 {
    publication.author.map_or(ROUTE_HANDLERS, |author| author.connection.number())
}

impl Document {
    /// Whether a batch may go to the log; otherwise its room is told why not, later and in order.
    pub(super) fn admit(
        self: &Arc<Self>,
        publication: Publication,
        room: Arc<dyn Deliver>,
    ) -> Option<Publication> {
        let now = self.context.now();
        let mut state = lock(&self.state);
        let (author, writer) = (publication.author, writer_of(&publication));
        let waited = state.authority.waiting(writer).is_some();
        let is_lost = state.on_the_way.lost.is_some() && matches!(publication.content, Content::Steps(_));
        let judged = if is_lost {
            // What Redis has lost has its place before it.
            Err(Refusal::Stale { current: state.authority.head(), retry_in_ms: Some(UNTIL_RESTORED_MS) })
        } else {
            state.judge(&publication, self.options(), now)
        };
        if !waited {
            self.tell_waiting(&mut state, author, writer);
        }
        match judged {
            Ok(entry) => {
                // An update fits wherever it stands.
                if matches!(publication.content, Content::Steps(_)) {
                    let sent = Sent { before: entry.before, client: entry.client, number: entry.number };
                    state.on_the_way.sent.push(sent);
                }
                Some(publication)
            }
            Err(refusal) => {
                state.on_the_way.refused.push(Held { publication, room, refusal });
                if state.on_the_way.sent.is_empty() {
                    self.refuse_held(&mut state);
                }
                None
            }
        }
    }

    /// Tells those who wait for it that they are refused. They have been sent everything that was accepted before.
    fn refuse_held(&self, state: &mut State) {
        let version = state.batches.version();
        for Held { publication, room, refusal } in std::mem::take(&mut state.on_the_way.refused) {
            let refusal = match refusal {
                Refusal::Stale { retry_in_ms, .. } => Refusal::Stale { current: version, retry_in_ms },
                other => other,
            };
            // Whoever calls this has locked the room.
            let appended = Appended { publication, outcome: Err(refusal) };
            self.context.handle.spawn(async move { room.deliver(vec![appended]) });
        }
    }

    /// Has the document go on as `good` in all processes, and returns once it does here: until then what is saved would be what
    /// gives way.
    pub(super) async fn go_on_together(
        &self,
        together: &dyn Together,
        good: Snapshot,
        reason: &str,
    ) -> Result<(), HookError> {
        let (tell, told) = oneshot::channel();
        let (at, history, set_aside, saved) = {
            let mut state = lock(&self.state);
            state.on_the_way.goes_on.push(tell);
            let set_aside = state.content().set_aside(good.version);
            (state.batches.version(), state.on_the_way.history, set_aside, state.edits.saved)
        };
        let replaced = Replaced { version: at + 1, saved, doc: good.doc.into() };
        together.replace(replaced, (at, history), reason, set_aside).await?;
        log::error!(
            document = self.id.text();
            "document {:?}: steps behind version {} do not fit and are set aside, everybody goes on at version {}: {reason}",
            self.id,
            good.version,
            at + 1
        );
        told.await.map_err(|_| HookError("the hub has ended".to_owned()))
    }

    /// A batch has come out of the log, and was the next one.
    pub(super) fn followed(
        &self,
        state: &mut State,
        before: u64,
        client: &Id,
        number: Option<u64>,
        author: Option<Author>,
    ) {
        let after = state.batches.version();
        let own = Sent { before, client: client.clone(), number };
        let is_own = state.on_the_way.sent.first() == Some(&own);
        if is_own {
            state.on_the_way.sent.remove(0);
            state.authority.delivered(after);
        } else {
            // What is on its way comes back refused.
            state.on_the_way.sent.clear();
            state.authority.overtaken(after);
        }
        match author {
            Some(author) => {
                state.authority.served_elsewhere(author.client_session.number(), self.context.now());
            }
            None if is_own && std::mem::take(&mut state.on_the_way.has_told_of_handlers) => {
                if let Some(together) = &self.together {
                    together.tell_served();
                }
            }
            None => {}
        }
        if state.on_the_way.sent.is_empty() {
            self.refuse_held(state);
        }
        if state.on_the_way.saved.is_some_and(|saved| saved <= after)
            && let Some(version) = state.on_the_way.saved.take()
        {
            self.tell_later(self.saved_message(state, version));
            if !state.is_dirty() {
                self.note_saved();
            }
        }
    }

    /// What was accepted here has no place in the log; returns what its author is told.
    pub(super) fn refused(&self, publication: &Publication, refusal: Refusal) -> Refusal {
        let Content::Steps(Steps { version, client, .. }) = &publication.content else { return refusal };
        let mut state = lock(&self.state);
        let own = Sent { before: *version, client: client.clone(), number: publication.number };
        let was_sent = state.on_the_way.sent.contains(&own);
        if was_sent {
            // What was accepted behind it has none, either.
            state.on_the_way.sent.clear();
            state.authority.rollback();
            self.refuse_held(&mut state);
        }
        let Refusal::Stale { retry_in_ms, .. } = refusal else { return refusal };
        // It is one of another process's, and not this one's, that took its place.
        if retry_in_ms.is_none() && *version < state.batches.version() {
            let writer = writer_of(publication);
            state.authority.give_back(writer, self.context.now());
            self.tell_waiting(&mut state, publication.author, writer);
        }
        Refusal::Stale { current: state.batches.version(), retry_in_ms }
    }

    /// Tells the other processes of a writer, where that waits for its turn.
    fn tell_waiting(&self, state: &mut State, author: Option<Author>, writer: u64) {
        if let Some((together, round_trip)) = self.together.as_ref().zip(state.authority.waiting(writer)) {
            state.on_the_way.has_told_of_handlers |= author.is_none();
            together.tell_waiting(author.map(|author| author.client_session), round_trip);
        }
    }

    /// A writer of another process waits for its turn.
    #[cfg(feature = "redis")]
    pub(super) fn waits_elsewhere(&self, writer: ClientSessionId, round_trip: u64) {
        lock(&self.state).authority.waits_elsewhere(writer.number(), round_trip, self.context.now());
    }

    /// Route handlers of another process have had their turn.
    #[cfg(feature = "redis")]
    pub(super) fn handlers_served_elsewhere(&self, writer: ClientSessionId) {
        lock(&self.state).authority.served_elsewhere(writer.number(), self.context.now());
    }

    /// The document goes on as another one, which the log says.
    pub(super) fn replaced(self: &Arc<Self>, state: &mut State, replaced: &Replaced) {
        let Replaced { version, saved, doc } = replaced;
        let snapshot = Snapshot { version: *version, doc: (&**doc).into() };
        match &mut state.on_the_way.lost {
            // It is put there again, and what the app has is known here.
            Some(lost) => lost.is_all = false,
            None => state.edits.overruled = None,
        }
        self.go_on_from(state, Rest { snapshot, batches: Batches::new(*version), saved: *saved });
    }

    pub(super) fn go_on_from(self: &Arc<Self>, state: &mut State, rest: Rest) {
        let Rest { snapshot, batches, saved } = rest;
        state.restart(batches.version(), self.options().turns);
        state.edits.saved = saved;
        state.snapshot = snapshot;
        state.batches = batches;
        state.on_the_way.sent.clear();
        state.on_the_way.saved = None;
        self.refuse_held(state);
        for tell in state.on_the_way.goes_on.drain(..) {
            // Whoever has gone needs no answer.
            let _ = tell.send(());
        }
        if state.is_dirty() {
            state.edits.touch(Instant::now());
            self.save_later(state);
        }
    }

    /// Another process has saved it: just now where `is_news`.
    #[cfg(feature = "redis")]
    pub(super) fn saved_elsewhere(self: &Arc<Self>, version: u64, is_news: bool) {
        let message = {
            let mut state = lock(&self.state);
            if is_news {
                state.edits.overruled = None;
            }
            if version <= state.edits.saved {
                if !state.is_dirty() {
                    self.note_saved();
                }
                return;
            }
            state.edits.saved = version;
            state.edits.overruled = None;
            state.edits.tell(&Ok(version));
            if !state.is_dirty() {
                state.edits.times = None;
                state.edits.from_before = false;
                state.edits.editors.clear();
                self.note_saved();
            }
            if version > state.batches.version() {
                state.on_the_way.saved = Some(version);
                return;
            }
            self.saved_message(&state, version)
        };
        if self.options().has_copy {
            self.tell_later(message);
        }
    }

    /// Another process has saved it at this version, before Redis lost what that was: where a save is refused the app is asked.
    #[cfg(feature = "redis")]
    pub(super) fn may_be_saved(&self, version: u64) {
        lock(&self.state).edits.took_over = Some(version);
    }

    /// This process loads and saves it from now on, or does not any more.
    #[cfg(feature = "redis")]
    pub(super) fn leased(self: &Arc<Self>, lease: Lease) {
        let Lease { is_held, saved, saving, .. } = lease;
        if is_held {
            let mut state = lock(&self.state);
            let edits = &mut state.edits;
            (edits.unsure, edits.took_over) = (saving, saving);
            if saved.is_some_and(|saved| saved < edits.saved) {
                // This process could not note what it had saved before.
                edits.overruled.get_or_insert(edits.saved);
            }
            // What is not saved, another process could not.
            state.edits.from_before |= state.is_dirty();
            self.save_later(&mut state);
        }
        self.hurry.notify_one();
    }

    /// Nothing of it has to be saved.
    pub(super) fn note_saved(&self) {
        if let Some(together) = &self.together {
            together.is_saved();
        }
    }

    /// Goes on from a newer snapshot that another process has made, where there is one.
    pub(super) fn renew_snapshot(self: &Arc<Self>, state: &mut State) {
        let version = state.batches.version();
        if self.together.is_none() || version < state.on_the_way.renewed_at + RENEWED_AFTER {
            return;
        }
        state.on_the_way.renewed_at = version;
        let document = Arc::clone(self);
        self.context.handle.spawn(async move {
            let Some(together) = &document.together else { return };
            let Ok(Some(newer)) = together.snapshot().await else { return };
            let mut state = lock(&document.state);
            let fits = (state.snapshot.version..=state.batches.version()).contains(&newer.version);
            if fits && state.batches.is_between(newer.version) {
                state.snapshot = newer;
                document.trim(&mut state);
            }
        });
    }

    fn tell_later(&self, message: String) {
        let (context, id) = (Arc::clone(&self.context), self.id.clone());
        self.context.handle.spawn(async move { context.tell(&id, None, &message) });
    }
}
