//! What a document is read for: clients that come, and route handlers.

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;

use super::{
    batches::Batches,
    hooks::{Content, Snapshot, StepsAt},
    live::{Document, State},
    steps::{self, StepsError},
    store::Kind,
};
use crate::{
    ids::{Id, Topic},
    protocol::steps::{
        ClientsOf, SentSteps, history_gone, put_document, put_steps, put_synced_at, reload, saved, up_to_date,
    },
    protocol::{Kept, put_publication, recovery::Reload, updates::put_state},
    sync::lock,
    websocket::frame,
};

/// How a document is, for who watches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) version: u64,
    /// The app is asked to save it.
    pub(crate) is_saving: bool,
    /// When the first edit came that is not saved.
    pub(crate) unsaved_since: Option<Instant>,
}

impl Document {
    /// What its messages are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its id.
    pub(crate) fn id(&self) -> &Id {
        &self.id
    }

    /// How it is now, for who watches.
    pub(crate) fn status(&self) -> Status {
        let state = lock(&self.state);
        Status {
            version: state.batches.version(),
            is_saving: state.edits.saving.is_some(),
            unsaved_since: state.edits.since().filter(|_| self.options().saves && state.is_dirty()),
        }
    }

    /// What a client is told that joins.
    pub fn kept(&self) -> Kept {
        match self.kind {
            Kind::Steps => Kept::Steps { version: self.version() },
            Kind::Updates => Kept::Updates,
        }
    }

    /// How many steps a batch has, if it may be one.
    ///
    /// # Errors
    ///
    /// See [`StepsError`].
    pub fn check(&self, steps: &str) -> Result<u32, StepsError> {
        steps::check(steps, self.options().batch)
    }

    /// Appends the frames that answer `sync`: the steps behind `version`, or the whole document and the steps behind it. On
    /// the room's thread, so that what comes next goes on from there.
    pub fn put_sync(&self, out: &mut BytesMut, version: Option<u64>) {
        let state = lock(&self.state);
        let current = state.batches.version();
        if version.is_some_and(|version| version > current) {
            frame::put_text(out, &[&reload(Reload::UnknownVersion)]);
            return;
        }
        put_synced_at(out, &self.id, current);
        if version.is_none_or(|version| !self.put_since(out, &state, version)) {
            let snapshot = &state.snapshot;
            put_document(out, &self.id, &snapshot.doc, snapshot.version);
            if snapshot.version < current {
                self.put_since(out, &state, snapshot.version);
            }
        }
        // Else it would be told by the next save, and there may be none for long.
        if self.options().has_copy && !state.is_dirty() {
            frame::put_text(out, &[&saved(current)]);
        }
    }

    /// Appends the frame that answers `pullUpdates`. On the room's thread.
    pub fn put_updates(&self, out: &mut BytesMut, version: u64) {
        let state = lock(&self.state);
        if version > state.batches.version() {
            frame::put_text(out, &[&reload(Reload::UnknownVersion)]);
        } else if !self.put_since(out, &state, version) {
            frame::put_text(out, &[&history_gone()]);
        }
    }

    /// Appends the frame with the steps behind `version`; whether they are all here.
    fn put_since(&self, out: &mut BytesMut, state: &State, version: u64) -> bool {
        if version == state.batches.version() {
            frame::put_text(out, &[&up_to_date(version)]);
            return true;
        }
        let Some(since) = state.batches.steps_since(version) else { return false };
        let (steps, clients) = (since.steps.concat(), since.client_ids.concat());
        let clients = ClientsOf::Each(&clients);
        put_steps(
            out,
            &self.id,
            &SentSteps { version, steps: &steps, clients, change_id: None, offset: None },
        );
        true
    }

    /// Appends the frames that bring a client of a document of updates up to date: the updates behind `offset`, or a state
    /// and the updates behind that. On the room's thread, so that what comes next goes on from there.
    pub fn put_state(&self, out: &mut BytesMut, offset: Option<u64>) {
        let state = lock(&self.state);
        // Whoever has an offset was given all that has none.
        let oldest = state.batches.since(state.batches.start()).and_then(|mut all| all.next());
        let reaches = |offset: u64| oldest.is_none_or(|oldest| oldest.offset <= offset + 1);
        let known = offset.filter(|offset| reaches(*offset));
        let behind = if known.is_some() {
            state.batches.start()
        } else {
            let Snapshot { version, doc } = &state.snapshot;
            let mut all = state.batches.since(state.batches.start()).into_iter().flatten();
            let last = all.by_ref().filter(|batch| batch.after() <= *version).last();
            put_state(out, &self.id, doc, last.map_or(0, |last| last.offset));
            *version
        };
        for batch in state.batches.since(behind).into_iter().flatten() {
            if known.is_none_or(|known| batch.offset > known) {
                let offset = (batch.offset > 0).then_some(batch.offset);
                put_publication(out, &self.id, &batch.client, Topic::Update, &batch.steps, "", offset);
            }
        }
    }

    /// The document as it is now.
    pub fn content(&self) -> Content {
        lock(&self.state).content()
    }
}

impl State {
    /// The snapshot and what was delivered after it.
    pub(super) fn content(&self) -> Content {
        content_of(&self.snapshot, &self.batches)
    }
}

/// A snapshot and the batches behind it.
pub(super) fn content_of(snapshot: &Snapshot, batches: &Batches) -> Content {
    let behind = batches.since(snapshot.version).into_iter().flatten();
    Content {
        snapshot: snapshot.clone(),
        steps: behind
            .map(|batch| StepsAt { version: batch.before, steps: Arc::clone(&batch.steps) })
            .collect(),
        version: batches.version(),
    }
}
