//! All documents with an authority of a hub: each is loaded once, however many open it, and stays while it is needed.

#[cfg(feature = "redis")]
use std::io;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{OnceCell, oneshot},
};

use super::{
    Options,
    context::{Context, SaveCounts},
    hooks::{Content, HookError, Hooks},
    live::{Document, InUse, Registry},
    log::StepsLog,
    store::{SetAside, thread::StoreHandle},
};
#[cfg(feature = "redis")]
use super::{over::Over, store::nowhere::Nowhere};
#[cfg(feature = "redis")]
use crate::{ids::ClientSessionId, room::opening::Recalling};
use crate::{
    ids::Id,
    metrics::Counter,
    room::{
        Rooms,
        document_log::{DocumentLog, MemoryLog},
        opening::{Opened, OpenedBy, Opener},
    },
    sync::lock,
};

/// How long the end of a hub waits at least for what the store has begun.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// How long the end of a hub waits until other processes may look after its documents. They would in any case, later.
const RELEASES_WITHIN: Duration = Duration::from_millis(500);

/// How often the end of a hub looks whether all is saved.
const FLUSH_ROUND: Duration = Duration::from_millis(5);

/// The documents of a hub that are in memory.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) context: Arc<Context>,
    slots: Mutex<HashMap<Id, Arc<Slot>>>,
    /// Those of which something is not saved, by where they are in memory.
    unsaved: Mutex<BTreeMap<usize, Arc<Document>>>,
    /// How many those are. Written under their lock.
    unsaved_count: Counter,
    /// Whether relays have offsets.
    has_offsets: bool,
    /// Where other processes have them, too.
    #[cfg(feature = "redis")]
    pub(super) over: Option<Over>,
}

/// A document that is there, or is being loaded.
type Slot = OnceCell<Arc<Document>>;

/// All documents with an authority of a hub.
#[derive(Debug, Clone)]
pub struct Documents(Arc<Loaded>);

/// What a document turned out to be.
pub(super) enum Kind {
    Relay,
    /// It is needed as long as this is there.
    Kept(InUse),
}

impl Documents {
    /// The documents that `hooks` load and save, and whose steps `store` keeps. What they wait for runs on `handle`.
    /// `has_offsets` says whether the hub remembers for who comes back, `tokens_last` whether the next process knows their tokens.
    pub fn new(
        hooks: Arc<dyn Hooks>,
        store: StoreHandle,
        options: Options,
        handle: Handle,
        has_offsets: bool,
        tokens_last: bool,
    ) -> Self {
        let context = Arc::new(Context::new(hooks, store, options, handle, tokens_last));
        Self(Arc::new(Loaded {
            context,
            slots: Mutex::default(),
            unsaved: Mutex::default(),
            unsaved_count: Counter::new(),
            has_offsets,
            #[cfg(feature = "redis")]
            over: None,
        }))
    }

    /// The documents that `hooks` load and save, and that other processes have, too. What they wait for runs on `handle`.
    #[cfg(feature = "redis")]
    pub(crate) fn over(
        hooks: Arc<dyn Hooks>,
        options: Options,
        handle: Handle,
        over: Over,
    ) -> io::Result<Self> {
        // What the processes share keeps them.
        let store = StoreHandle::start(0, || Ok(Nowhere), |_| {})?;
        let context = Arc::new(Context::new(hooks, store, options, handle, true));
        Ok(Self(Arc::new(Loaded {
            context,
            slots: Mutex::default(),
            unsaved: Mutex::default(),
            unsaved_count: Counter::new(),
            has_offsets: true,
            over: Some(over),
        })))
    }

    /// What was set aside of a document that is in memory.
    pub(crate) async fn set_aside(&self, document: &Id) -> Option<Vec<SetAside>> {
        if let Some(together) = &self.get(document)?.together {
            return together.set_aside().await.ok();
        }
        let (done, set_aside) = oneshot::channel();
        let of = Some(document.clone());
        // Whoever asks sees the rest also where the store has failed; that is in the log and in the metrics.
        self.store().set_aside(of, move |outcome| drop(done.send(outcome))).ok()?;
        set_aside.await.ok().and_then(Result::ok)
    }

    /// Through which its members are told what is no part of a document. Given once.
    pub(crate) fn tell_through(&self, rooms: &Arc<Rooms>) {
        self.0.context.tell_through(rooms);
    }

    /// The document, where it is in memory.
    pub(crate) fn get(&self, document: &Id) -> Option<Arc<Document>> {
        self.0.get(document)
    }

    /// How many documents are not saved.
    pub(crate) fn unsaved_count(&self) -> u64 {
        self.0.unsaved_count.get()
    }

    /// Some documents that are not saved, the next ones behind a place in memory; with the place of the last.
    pub(crate) fn unsaved_some(
        &self,
        after: Bound<usize>,
        count: usize,
    ) -> (Vec<Arc<Document>>, Option<usize>) {
        let unsaved = lock(&self.0.unsaved);
        let some = unsaved.range((after, Bound::Unbounded)).take(count);
        let (places, documents): (Vec<_>, Vec<_>) = some.map(|(at, one)| (*at, Arc::clone(one))).unzip();
        (documents, places.last().copied())
    }

    /// Where they are stored.
    pub(crate) fn store(&self) -> &StoreHandle {
        &self.0.context.store
    }

    /// What is counted of saves.
    pub(crate) fn counts(&self) -> &SaveCounts {
        &self.0.context.counts
    }

    /// Calls `tell` once a document is saved, which begins now: with `false` where there was nothing to save. From any thread.
    pub(crate) fn save(&self, document: &Id, tell: impl FnOnce(Result<bool, HookError>) + Send + 'static) {
        let Some(told) = self.get(document).and_then(|document| document.save_soon()) else {
            tell(Ok(false));
            return;
        };
        self.0.context.handle.spawn(async move {
            let outcome = told.await.unwrap_or_else(|_| Err(HookError("the hub has ended".to_owned())));
            tell(outcome.map(|()| true));
        });
    }

    /// The document as it is now, which is loaded for that where nobody has it open; `None` for a relay.
    pub(crate) async fn content(&self, document: Id) -> Result<Option<Content>, HookError> {
        #[cfg(feature = "redis")]
        if self.0.over.is_some() {
            return self.0.content_together(document).await;
        }
        match self.0.open(document, OpenedBy::default()).await? {
            Kind::Relay => Ok(None),
            Kind::Kept(document) => Ok(Some(document.content())),
        }
    }

    /// Opens the documents that an earlier process could not save, so that they are.
    pub fn save_what_was_left(&self) {
        let shared = Arc::clone(&self.0);
        #[cfg(feature = "redis")]
        if shared.over.is_some() {
            let shared = Arc::downgrade(&shared);
            self.0.context.handle.spawn(Loaded::save_what_is_left_behind(shared));
            return;
        }
        self.0.context.handle.spawn(async move {
            for document in shared.unsaved().await {
                if let Err(HookError(reason)) = shared.open(document.clone(), OpenedBy::default()).await {
                    log::error!(document = document.text(); "document {document:?} is not saved, and could not be opened: {reason}");
                }
            }
        });
    }

    /// Has everything saved at once from now on: the hub ends.
    pub(crate) fn save_now(&self) {
        self.0.context.end();
        for document in self.0.all() {
            document.hurry.notify_one();
        }
    }

    /// Waits until everything is saved, or for the deadline, and closes the store. What is not saved then is saved at the
    /// next start. Blocks.
    pub(crate) fn finish(&self, deadline: Instant) {
        let mut dirty = self.0.all();
        loop {
            dirty.retain(|document| !document.is_clean());
            if dirty.is_empty() || Instant::now() >= deadline {
                break;
            }
            // Once in a process's life.
            std::thread::sleep(FLUSH_ROUND);
        }
        if !dirty.is_empty() {
            log::warn!("{} documents are not saved: the next start saves them from the store", dirty.len());
        }
        let released: Vec<_> =
            self.0.all().iter().filter_map(|document| Some(document.together.as_ref()?.release())).collect();
        let until = Instant::now() + RELEASES_WITHIN;
        for released in released {
            let _ = released.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.0.context.store.close(left.max(STORE_PATIENCE));
    }
}

impl Opener for Documents {
    #[cfg(feature = "redis")]
    fn recalls(&self) -> bool {
        self.0.over.is_some()
    }

    #[cfg(feature = "redis")]
    fn recall(
        &self,
        document: &Id,
        client_session: ClientSessionId,
        offset: Option<u64>,
    ) -> Option<Recalling> {
        self.0.over.as_ref()?.relays.recall(document, client_session, offset)
    }

    #[cfg(feature = "redis")]
    fn fence(&self, document: &Id, client_session: ClientSessionId) -> Option<Recalling> {
        self.0.over.as_ref()?.relays.fence(document, client_session)
    }

    fn open(&self, document: &Id, by: OpenedBy, opened: Opened) {
        #[cfg(feature = "redis")]
        if self.0.over.is_some() {
            return self.0.open_together(document, by, opened);
        }
        let (shared, document) = (Arc::clone(&self.0), document.clone());
        self.0.context.handle.spawn(async move {
            match shared.open(document.clone(), by).await {
                Ok(Kind::Relay) => opened.done(DocumentLog::Memory(MemoryLog::new(shared.has_offsets))),
                Ok(Kind::Kept(document)) => {
                    let start = document.start();
                    opened.begin(DocumentLog::Other(Box::new(StepsLog::new(document))), start);
                }
                Err(HookError(reason)) => {
                    log::error!(document = document.text(); "document {document:?} could not be loaded: {reason}");
                    drop(opened);
                }
            }
        });
    }
}

impl Loaded {
    pub(super) fn get(&self, document: &Id) -> Option<Arc<Document>> {
        lock(&self.slots).get(document)?.get().cloned()
    }

    fn all(&self) -> Vec<Arc<Document>> {
        lock(&self.slots).values().filter_map(|slot| slot.get().cloned()).collect()
    }

    /// The document, which is loaded where it is not in memory.
    async fn open(self: &Arc<Self>, document: Id, by: OpenedBy) -> Result<Kind, HookError> {
        loop {
            let slot = Arc::clone(lock(&self.slots).entry(document.clone()).or_default());
            let load = || async {
                match self.load(document.clone(), by.clone()).await {
                    Ok(Some(loaded)) => Ok(loaded),
                    Ok(None) => Err(None),
                    Err(error) => Err(Some(error)),
                }
            };
            let loaded = slot.get_or_try_init(load).await;
            let mut slots = lock(&self.slots);
            let is_here = slots.get(&document).is_some_and(|found| Arc::ptr_eq(found, &slot));
            match loaded {
                // As long as the map is locked nobody forgets it.
                Ok(loaded) if is_here => return Ok(Kind::Kept(InUse::of(loaded))),
                // It was idle for long enough in this very moment: loaded anew, or there would be two of it.
                Ok(_) => {}
                Err(error) => {
                    // The next one who comes tries again.
                    if is_here && slot.get().is_none() {
                        slots.remove(&document);
                    }
                    return error.map_or(Ok(Kind::Relay), Err);
                }
            }
        }
    }
}

impl Loaded {
    /// A document was loaded that other processes have, too.
    #[cfg(feature = "redis")]
    pub(super) fn add(&self, document: &Arc<Document>) {
        let slot = Arc::new(Slot::new_with(Some(Arc::clone(document))));
        lock(&self.slots).insert(document.id.clone(), slot);
    }
}

impl Registry for Loaded {
    fn remove(&self, document: &Document) {
        let mut slots = lock(&self.slots);
        let found = slots.get(&document.id).and_then(|slot| slot.get());
        if found.is_some_and(|found| std::ptr::eq(Arc::as_ptr(found), document)) {
            slots.remove(&document.id);
        }
    }

    fn forget(&self, document: &Document, used: u64) {
        let mut slots = lock(&self.slots);
        if lock(&document.state).is_idle_since(used, self.context.options.saves) {
            slots.remove(&document.id);
        }
    }

    fn set_unsaved(&self, document: &Arc<Document>, is_unsaved: bool) {
        let at = Arc::as_ptr(document).addr();
        let mut unsaved = lock(&self.unsaved);
        if is_unsaved {
            unsaved.insert(at, Arc::clone(document));
        } else {
            unsaved.remove(&at);
        }
        self.unsaved_count.set(unsaved.len() as u64);
    }
}
