//! What all documents of a hub share.

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::runtime::Handle;

#[cfg(feature = "redis")]
use crate::{room::opening::OpenedBy, shard::Work};

use super::{Options, hooks::Hooks, store::thread::StoreHandle};
use crate::{
    ids::{Epoch, Id},
    metrics::{Counter, histogram::Times},
    room::{Room, Rooms, publication::Draft},
};

/// What all documents of a hub share.
pub(super) struct Context {
    pub(super) hooks: Arc<dyn Hooks>,
    pub(super) store: StoreHandle,
    pub(super) options: Options,
    /// Where what documents wait for runs.
    pub(super) handle: Handle,
    /// Where `now` begins.
    start: Instant,
    /// The rooms of the hub, once it has them.
    rooms: OnceLock<Weak<Rooms>>,
    /// The hub ends: everything is saved now.
    is_ending: AtomicBool,
    pub(super) counts: SaveCounts,
    /// What histories have in their names, where tokens are this process's alone: 0 where the next one knows them, too.
    tokens: u64,
}

/// What is counted of saves, by the thread on which they run.
#[derive(Debug)]
pub(crate) struct SaveCounts {
    pub(crate) saved: Counter,
    pub(crate) failed: Counter,
    /// How long they took, those that failed, too.
    pub(crate) seconds: Times,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("hooks", &self.hooks)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// `tokens_last` says whether the next process knows the tokens of this one.
    pub(super) fn new(
        hooks: Arc<dyn Hooks>,
        store: StoreHandle,
        options: Options,
        handle: Handle,
        tokens_last: bool,
    ) -> Self {
        Self {
            hooks,
            store,
            options,
            handle,
            start: Instant::now(),
            rooms: OnceLock::new(),
            is_ending: AtomicBool::new(false),
            counts: SaveCounts { saved: Counter::new(), failed: Counter::new(), seconds: Times::of_times() },
            tokens: if tokens_last { 0 } else { Epoch::random().number() },
        }
    }

    /// Through which members are told what is no part of a document. Given once.
    pub(super) fn tell_through(&self, rooms: &Arc<Rooms>) {
        let _ = self.rooms.set(Arc::downgrade(rooms));
    }

    /// What clients are told of a history that the store calls so. Where their tokens would be strange to the next process,
    /// that is to have another history for them: a token that is no good looks like an attack.
    pub(super) fn history(&self, stored: Epoch) -> Epoch {
        Epoch::new(stored.number() ^ self.tokens)
    }

    /// Milliseconds of a clock that never goes back.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    /// The room of a document, where it is open.
    pub(super) fn room(&self, document: &Id) -> Option<Arc<Room>> {
        self.rooms.get().and_then(Weak::upgrade)?.get(document)
    }

    /// Opens the room of a document, where it is not open; what is returned is told once that is done, or cannot be.
    #[cfg(feature = "redis")]
    pub(super) async fn open_room(&self, document: &Id) {
        let Some(rooms) = self.rooms.get().and_then(Weak::upgrade) else { return };
        let (tell, told) = tokio::sync::oneshot::channel();
        let (shard, id) = (Arc::clone(rooms.shard_of(document)), document.clone());
        let open = move || {
            let _ = tell.send(rooms.open(id, OpenedBy::default).when_loaded());
        };
        shard.push(Work::Do("opening a document", Box::new(open)));
        if let Ok(loaded) = told.await {
            let _ = loaded.await;
        }
    }

    /// Returns once the room's thread has done what it was given before.
    #[cfg(feature = "redis")]
    pub(super) async fn pass(&self, document: &Id) {
        let Some(rooms) = self.rooms.get().and_then(Weak::upgrade) else { return };
        let (tell, told) = tokio::sync::oneshot::channel();
        let done = Work::Do("reading a document", Box::new(move || tell.send(()).unwrap_or(())));
        Arc::clone(rooms.shard_of(document)).push(done);
        let _ = told.await;
    }

    /// Tells the members of a document, or those of one client, where there are any, what is no part of it.
    pub(super) fn tell(&self, document: &Id, to: Option<&Id>, message: &str) {
        if let Some(room) = self.room(document)
            && let Err(error) = room.publish(&Draft::notice(to, message), None)
        {
            log::warn!(document = document.text(); "the members of document {document:?} were not told {message}: {error:?}");
        }
    }
}
