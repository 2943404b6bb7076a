//! What a document is read for: clients that come, and route handlers.

use std::sync::Arc;

use bytes::BytesMut;

use super::{
    hooks::{Content, StepsAt},
    live::{Document, State},
    steps::{self, StepsError},
};
use crate::{
    protocol::recovery::Reload,
    protocol::steps::{
        ClientsOf, Steps, history_gone, put_document, put_steps, put_synced_at, reload, up_to_date,
    },
    sync::lock,
    websocket::frame,
};

impl Document {
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
        if let Some(version) = version
            && self.put_since(out, &state, version)
        {
            return;
        }
        let snapshot = &state.snapshot;
        put_document(out, &self.id, &snapshot.doc, snapshot.version);
        if snapshot.version < current {
            self.put_since(out, &state, snapshot.version);
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
        put_steps(out, &self.id, &Steps { version, steps: &steps, clients, change_id: None, offset: None });
        true
    }

    /// The document as it is now.
    pub fn content(&self) -> Content {
        lock(&self.state).content()
    }
}

impl State {
    /// The snapshot and what was delivered after it.
    pub(super) fn content(&self) -> Content {
        let behind = self.batches.since(self.snapshot.version).into_iter().flatten();
        Content {
            snapshot: self.snapshot.clone(),
            steps: behind
                .map(|batch| StepsAt { version: batch.before, steps: Arc::clone(&batch.steps) })
                .collect(),
            version: self.batches.version(),
        }
    }
}
