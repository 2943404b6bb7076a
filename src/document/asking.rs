//! Snapshots from clients, where the app cannot make the document out of its steps or updates.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    batches::Batch,
    edits::AskedFor,
    hooks::{HookError, Snapshot},
    live::{Document, State},
    store::{Kind, Write},
};
use crate::{
    ids::Id,
    protocol::{steps, updates},
    sync::lock,
};

/// Batches, or bytes of them, behind the snapshot from which on another one is asked for.
const WANTED_FROM_BATCHES: usize = 500;
const WANTED_FROM_BYTES: usize = 256 << 10;

/// How long a client has to answer before another one is asked.
const PATIENCE: Duration = Duration::from_secs(10);

impl Document {
    /// Asks `client`, who has just written, for the whole document, where too much stands behind the snapshot and nobody else
    /// can merge it.
    pub(super) fn want_snapshot(self: &Arc<Self>, state: &mut State, client: &Id) {
        let is_asked = state.asked.as_ref().is_some_and(|asked| asked.at.elapsed() < PATIENCE);
        if self.options().merges || is_asked || !state.is_long() {
            return;
        }
        let version = state.batches.version();
        state.asked = Some(AskedFor { client: client.clone(), version, at: Instant::now() });
        let message = match self.kind {
            Kind::Steps => steps::snapshot_wanted(version),
            Kind::Updates => updates::snapshot_wanted(state.last_offset()),
        };
        let (document, client) = (Arc::clone(self), client.clone());
        // Whoever delivers has locked the room.
        self.context
            .handle
            .spawn(async move { document.context.tell(&document.id, Some(&client), &message) });
    }

    /// A client has sent the document as it is at a version, or up to an offset. Whether it was asked for it.
    pub fn take_snapshot(self: &Arc<Self>, client: &Id, at: u64, doc: &str) -> bool {
        let (write, version, history) = {
            let mut state = lock(&self.state);
            let Some(asked) = state.asked.take_if(|asked| asked.client == *client) else { return false };
            let version = match self.kind {
                Kind::Steps => Some(at),
                Kind::Updates => state.version_at(at),
            };
            // Of a version that it was not sent, or that is inside of a batch, it is of no use.
            let current = state.batches.version();
            let Some(version) = version.filter(|version| {
                (asked.version..=current).contains(version) && state.batches.is_between(*version)
            }) else {
                return false;
            };
            state.snapshot = Snapshot { version, doc: doc.into() };
            self.trim(&mut state);
            let (document, kept_from) = (self.id.clone(), state.batches.start());
            let write = Write::Snapshot { document, position: version, kept_from, body: doc.to_owned() };
            (write, version, state.on_the_way.history)
        };
        let document = Arc::clone(self);
        self.context.handle.spawn(async move {
            if let Err(HookError(reason)) = document.write(vec![write], Some(history)).await {
                log::error!(document = document.id.text(); "document {:?}: the snapshot at {version} was not stored: {reason}", document.id);
            }
        });
        true
    }
}

impl State {
    /// Whether so much stands behind the snapshot that it is time for another one.
    pub(super) fn is_long(&self) -> bool {
        let mut behind = self.batches.since(self.snapshot.version).into_iter().flatten();
        let mut bytes = 0;
        let many = behind.by_ref().take(WANTED_FROM_BATCHES).inspect(|batch| bytes += batch.bytes()).count();
        many >= WANTED_FROM_BATCHES || bytes >= WANTED_FROM_BYTES
    }

    /// The offset of the last update there is; 0 where the open room has sent none.
    pub(super) fn last_offset(&self) -> u64 {
        self.batches.last().map_or(0, |last| last.offset)
    }

    /// The offset of the last of so many updates; `None` where it is not known any more.
    pub(super) fn offset_at(&self, count: u64) -> Option<u64> {
        let mut all = self.batches.since(self.batches.start())?;
        all.find(|batch| batch.after() == count).map(|batch| batch.offset).filter(|offset| *offset > 0)
    }

    /// How many updates there are up to an offset.
    fn version_at(&self, offset: u64) -> Option<u64> {
        if offset == 0 {
            return None;
        }
        let mut all = self.batches.since(self.batches.start())?;
        all.find(|batch| batch.offset == offset).map(Batch::after)
    }
}
