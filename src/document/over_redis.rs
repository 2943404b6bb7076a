//! Documents with an authority over a Redis: opened by one process or by all, loaded and saved by one at a time.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    documents::Loaded,
    from_redis::{check, name_of, offsets_of, rest_of, set_aside_of, stored_of},
    hooks::{self, Content, HookError, Snapshot},
    in_redis::OverRedis,
    live::{Document, InUse, Registry},
    log::TogetherLog,
    offsets::Offsets,
    opening::Begin,
    store::Kind,
};
use crate::{
    cluster::kept::{Change, Followed, Keeper, Lease, NotChanged, Whole},
    ids::{ClientSessionId, Id},
    room::{
        document_log::DocumentLog,
        opening::{Opened, OpenedBy},
        publication::Replaced,
    },
    sync::lock,
};

/// How long who opens a document waits for another process to load it.
const OPENS_WITHIN: Duration = Duration::from_secs(30);

/// How long it waits before it looks whether it has, at first and at most: each look reads all that stands there.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How often it is looked for documents that are not saved, and whose process is gone.
const ROUND: Duration = Duration::from_secs(5);

/// When it is looked for the first time: each process says within 3 seconds that it is there, and what it has open is not left.
const FIRST: Duration = Duration::from_secs(4);

/// How long a process has to run before it knows which others are there, also where one was slow to say so.
const KNOWS_OTHERS: Duration = Duration::from_secs(10);

impl Loaded {
    /// Sees to it that documents are saved that a process has left behind.
    pub(super) async fn save_what_is_left_behind(documents: Weak<Self>) {
        let begun = Instant::now();
        sleep(FIRST).await;
        while let Some(documents) = documents.upgrade() {
            let Some(over) = &documents.over else { return };
            for (mark, id) in over.kept.left_behind().await {
                match documents.get(&id) {
                    None => documents.context.open_room(&id).await,
                    Some(document) if !document.is_needed() && begun.elapsed() > KNOWS_OTHERS => {
                        over.kept.settle(mark).await;
                    }
                    Some(_) => {}
                }
            }
            drop(documents);
            sleep(ROUND).await;
        }
    }

    /// Opens a document for a room, on the thread of Redis: what comes of its log meanwhile stays in order.
    pub(super) fn open_together(self: &Arc<Self>, id: &Id, by: OpenedBy, opened: Opened) {
        let (loaded, id) = (Arc::clone(self), id.clone());
        let Some(over) = &self.over else { return };
        over.kept.handle().spawn(async move {
            if let Err(HookError(reason)) = loaded.open_or_fail(&id, by, opened).await {
                log::error!(document = id.text(); "document {id:?} could not be loaded: {reason}");
            }
        });
    }

    async fn open_or_fail(self: &Arc<Self>, id: &Id, by: OpenedBy, opened: Opened) -> Result<(), HookError> {
        let Some(over) = &self.over else { return Ok(()) };
        let kind = match self.context.hooks.kind(id).await? {
            hooks::Loaded::Relay => {
                over.relays.open(id, by, opened);
                return Ok(());
            }
            hooks::Loaded::Kept(kind, _) => kind,
        };
        // Where the app has no copy Redis has all there is.
        let stays = self.context.options.has_copy.then_some(Duration::ZERO);
        let log = over.kept.follow(id, opened.room(), stays);
        let followed = log.followed.clone();
        let (whole, overruled) = self.load_together(&followed, id, kind, &by).await?;
        let kept = whole.kept.as_ref().ok_or_else(|| HookError("Redis has lost it".to_owned()))?;
        let rest = rest_of(kept)?;
        let this: Weak<Self> = Arc::downgrade(self);
        let registry: Weak<dyn Registry> = this;
        let together = Box::new(OverRedis { id: id.clone(), kind, followed: followed.clone() });
        let context = Arc::clone(&self.context);
        let document =
            Document::new(id.clone(), context, registry, kind, rest, Offsets::new(), Some(together));
        {
            let mut state = lock(&document.state);
            state.edits.overruled = overruled;
            if state.is_dirty() {
                state.edits.touch(std::time::Instant::now());
            }
        }
        self.add(&document);
        let (start, news) = followed.begin(&whole);
        let log = TogetherLog::new(InUse::of(&document), Box::new(log));
        opened.begin(DocumentLog::Other(Box::new(log)), start);
        followed.tell(Arc::new(Told(Arc::downgrade(&document))));
        followed.begun(news);
        Ok(())
    }

    /// Waits until a process has loaded it, which may be this one. Returns what there is then, and the version of the app's copy
    /// where that is to be replaced.
    async fn load_together(
        &self,
        followed: &Followed,
        id: &Id,
        kind: Kind,
        by: &OpenedBy,
    ) -> Result<(Whole, Option<u64>), HookError> {
        let deadline = Instant::now() + OPENS_WITHIN;
        let away = || HookError("Redis is away".to_owned());
        let mut pause = LOOKS.0;
        loop {
            let whole = followed.read(deadline).await.ok_or_else(away)?;
            if let Some(kept) = whole.kept.as_ref().filter(|kept| kept.is_loaded) {
                check(kept, kind)?;
                return Ok((whole, None));
            }
            if followed.lease(false, deadline).await.ok_or_else(away)? {
                let loaded = self.load_for_all(followed, id, kind, by.clone(), deadline).await;
                match loaded {
                    Ok(Some(overruled)) => {
                        let whole = followed.read(deadline).await.ok_or_else(away)?;
                        return Ok((whole, overruled));
                    }
                    // It has gone on meanwhile.
                    Ok(None) => continue,
                    Err(error) => return Err(error),
                }
            }
            if Instant::now() >= deadline {
                return Err(HookError("another process has been loading it for too long".to_owned()));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOKS.1);
        }
    }

    /// Loads it, and puts it there for all; `None` where that came too late.
    async fn load_for_all(
        &self,
        followed: &Followed,
        id: &Id,
        kind: Kind,
        by: OpenedBy,
        deadline: Instant,
    ) -> Result<Option<Option<u64>>, HookError> {
        let whole = followed.read(deadline).await.ok_or_else(|| HookError("Redis is away".to_owned()))?;
        let copy = match self.context.hooks.load(id, by).await? {
            hooks::Loaded::Relay => return Err(HookError("its kind has changed".to_owned())),
            hooks::Loaded::Kept(_, copy) => copy,
        };
        let stored = match &whole.kept {
            None => None,
            Some(kept) => {
                check(kept, kind)?;
                stored_of(&whole, kept, kind, &copy)?
            }
        };
        let (base, saved_before) = stored.as_ref().map_or((0, 0), |stored| (stored.base, stored.saved));
        let offsets = whole.kept.as_ref().map(offsets_of);
        let begin = self.begin(id, kind, stored, copy).await?;
        let Begin { snapshot, saved, overruled, is_stored, set_aside, .. } = begin;
        let at = whole.kept.as_ref().map(|kept| kept.version);
        let Snapshot { version, doc } = snapshot;
        let mut changes = Vec::new();
        let create = |doc: Box<str>| {
            let replaced = Replaced { version, saved, doc: (&*doc).into() };
            let said = at.is_some().then_some(replaced);
            Change::Create { kind: name_of(kind), version, doc: doc.into(), saved, at, said }
        };
        if let Some((reason, body)) = set_aside {
            changes.extend([set_aside_of(id, reason, body), create(doc)]);
        } else if !is_stored {
            changes.push(create(doc));
        } else {
            if kind == Kind::Updates && version >= base {
                let before = |(after, _): &&(u64, u64)| *after <= version;
                let offset =
                    offsets.unwrap_or_default().iter().rfind(before).map_or(0, |(_, offset)| *offset);
                changes.push(Change::Snapshot { version, doc: doc.into(), offset });
            }
            if saved > saved_before {
                changes.push(Change::Saved(saved));
            }
            changes.push(Change::Loaded);
        }
        match followed.change(&changes, false, None).await {
            Ok(()) => Ok(Some(overruled)),
            Err(NotChanged::Stale | NotChanged::Lost) => Ok(None),
            Err(NotChanged::Away) => Err(HookError("Redis is away".to_owned())),
        }
    }

    /// The document as it is now in all processes, which is opened for that; `None` for a relay.
    pub(super) async fn content_together(&self, id: Id) -> Result<Option<Content>, HookError> {
        match self.context.hooks.kind(&id).await? {
            hooks::Loaded::Relay => return Ok(None),
            hooks::Loaded::Kept(..) => {}
        }
        self.context.open_room(&id).await;
        let failed = || HookError("it could not be opened".to_owned());
        let document = self.get(&id).ok_or_else(failed)?;
        let Some(together) = &document.together else { return Err(failed()) };
        if !together.catch_up().await? {
            return Err(HookError("Redis is away".to_owned()));
        }
        // What it has brought is the room's thread's to deliver.
        self.context.pass(&id).await;
        Ok(Some(document.content()))
    }
}

/// Is told what becomes of a document.
struct Told(Weak<Document>);

impl Keeper for Told {
    fn leased(&self, lease: Lease) {
        if let Some(document) = self.0.upgrade() {
            document.leased(lease);
        }
    }

    fn saved_elsewhere(&self, version: u64, is_news: bool) {
        if let Some(document) = self.0.upgrade() {
            document.saved_elsewhere(version, is_news);
        }
    }

    fn may_be_saved(&self, version: u64) {
        if let Some(document) = self.0.upgrade() {
            document.may_be_saved(version);
        }
    }

    fn waits_elsewhere(&self, writer: ClientSessionId, round_trip: u64) {
        if let Some(document) = self.0.upgrade() {
            document.waits_elsewhere(writer, round_trip);
        }
    }

    fn served_elsewhere(&self, writer: ClientSessionId) {
        if let Some(document) = self.0.upgrade() {
            document.handlers_served_elsewhere(writer);
        }
    }

    fn save_now(&self) {
        if let Some(document) = self.0.upgrade() {
            // Who waits for it is another process.
            drop(document.save_soon_if_saver());
        }
    }

    fn is_clean(&self) -> bool {
        self.0.upgrade().is_some_and(|document| {
            // Nothing waits to be saved, nor to be put there again.
            let is_whole = || lock(&document.state).on_the_way.lost.is_none();
            document.options().saves && !document.is_needed() && is_whole()
        })
    }
}
