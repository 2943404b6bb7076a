//! How a document is loaded: what the app has, what the store has, and which of them goes on.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use super::{
    batches::Batches,
    documents::Loaded,
    hooks::{self, AppCopy, Conflict, Content, HookError, Resolution, Snapshot, StepsAt},
    live::{Document, Registry},
    offsets::Offsets,
    reading::content_of,
    store::{Kind, Stored},
    together::Rest,
};
use crate::{ids::Id, room::opening::OpenedBy, sync::lock};

/// Where a document goes on.
pub(super) struct Begin {
    pub(super) snapshot: Snapshot,
    pub(super) batches: Batches,
    pub(super) offsets: Offsets,
    /// The version that the app has.
    pub(super) saved: u64,
    /// The version of the app's copy where that is another document, which is to be replaced.
    pub(super) overruled: Option<u64>,
    /// Whether the store has it so.
    pub(super) is_stored: bool,
    /// What is set aside for it, and why.
    pub(super) set_aside: Option<(&'static str, String)>,
}

impl Begin {
    fn with(snapshot: Snapshot, saved: u64, is_stored: bool) -> Self {
        let batches = Batches::new(snapshot.version);
        let offsets = Offsets::new();
        Self { snapshot, batches, offsets, saved, overruled: None, is_stored, set_aside: None }
    }

    /// Joins the app's copy of a document of updates with those that the store has and the app may not have. Updates may be
    /// applied twice and in any order, so there is nothing to decide.
    fn join(mut stored: Stored, copy: AppCopy) -> Result<Self, HookError> {
        let (saved, version) = (stored.saved, stored.position());
        let doc = match copy {
            AppCopy::Some(loaded) => loaded.doc,
            // The app has forgotten what it had.
            AppCopy::None if saved > 0 && saved == version => Snapshot::empty().doc,
            AppCopy::None | AppCopy::Nowhere => return Self::restore(stored),
        };
        // It holds more than the app was ever given.
        if stored.base > saved {
            return Self::restore(stored);
        }
        // Those that are in it already stay for who was away.
        stored.base = saved;
        stored.snapshot = Some(doc.into());
        Self::restore(stored)
    }

    /// What the store has.
    fn restore(stored: Stored) -> Result<Self, HookError> {
        let offsets = Offsets::of(&stored);
        let Stored { base, snapshot, entries, saved, .. } = stored;
        let mut batches = Batches::new(entries.first().map_or(base, |entry| entry.before));
        for entry in entries {
            if entry.before != batches.version() {
                return Err(HookError(format!("steps for version {} are missing", batches.version())));
            }
            batches.push(entry.into());
        }
        let doc = snapshot.map_or_else(|| Snapshot::empty().doc, String::into_boxed_str);
        let snapshot = Snapshot { version: base, doc };
        Ok(Self { snapshot, batches, offsets, saved, overruled: None, is_stored: true, set_aside: None })
    }
}

impl Loaded {
    /// Ids of the documents that were not saved.
    pub(super) async fn unsaved(&self) -> Vec<Id> {
        if !self.context.options.saves {
            return Vec::new();
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        // Where it is not taken nobody tells, either.
        let _ = self.context.store.unsaved(move |result| drop(tell.send(result)));
        match told.await {
            Ok(Ok(documents)) => documents,
            Ok(Err(error)) => {
                log::error!("what is not saved is not known: {error}");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Loads a document; `None` for a relay. Where anything fails it is not there: never is it empty instead.
    pub(super) async fn load(
        self: &Arc<Self>,
        id: Id,
        by: OpenedBy,
    ) -> Result<Option<Arc<Document>>, HookError> {
        let (kind, copy) = match self.context.hooks.load(&id, by).await? {
            hooks::Loaded::Relay => return Ok(None),
            hooks::Loaded::Kept(kind, copy) => (kind, copy),
        };
        let stored = self.stored(&id).await?;
        let begin = self.begin(&id, kind, stored, copy).await?;
        let Begin { snapshot, batches, offsets, saved, overruled, is_stored, set_aside } = begin;
        let this: Weak<Self> = Arc::downgrade(self);
        let registry: Weak<dyn Registry> = this;
        let context = Arc::clone(&self.context);
        let rest = Rest { snapshot: snapshot.clone(), batches, saved };
        let document = Document::new(id, context, registry, kind, rest, offsets, None);
        let writes = {
            let state = lock(&document.state);
            match set_aside {
                Some((reason, body)) => document.replace(&state, &snapshot, saved, reason, body),
                None if !is_stored => vec![document.create(&state, &snapshot, saved)],
                None => Vec::new(),
            }
        };
        if !writes.is_empty() {
            document.write(writes, None).await?;
        }
        let mut state = lock(&document.state);
        state.edits.overruled = overruled;
        if state.is_dirty() {
            state.edits.from_before = true;
            state.edits.touch(Instant::now());
            document.save_later(&mut state);
        }
        drop(state);
        Ok(Some(document))
    }

    /// Where a document goes on of which the store has this, and the app that.
    pub(super) async fn begin(
        &self,
        id: &Id,
        kind: Kind,
        stored: Option<Stored>,
        copy: AppCopy,
    ) -> Result<Begin, HookError> {
        Ok(match (stored, copy) {
            (None, AppCopy::Nowhere | AppCopy::None) => Begin::with(Snapshot::empty(), 0, false),
            (None, AppCopy::Some(snapshot)) => {
                let saved = snapshot.version;
                Begin::with(snapshot, saved, false)
            }
            (Some(stored), _) if stored.kind != kind => {
                return Err(HookError(format!("the store has it as {:?}, and not as {kind:?}", stored.kind)));
            }
            (Some(stored), copy) if kind == Kind::Updates => Begin::join(stored, copy)?,
            (Some(stored), copy) => self.reconcile(id, stored, copy).await?,
        })
    }

    async fn stored(&self, id: &Id) -> Result<Option<Stored>, HookError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let asked = self.context.store.load(id.clone(), move |result| drop(tell.send(result)));
        asked.map_err(|error| HookError(error.to_string()))?;
        match told.await {
            Ok(Ok(stored)) => Ok(stored),
            Ok(Err(error)) => Err(HookError(error.to_string())),
            Err(_) => Err(HookError("the store has ended".to_owned())),
        }
    }

    /// Decides between what the store has and what the app has.
    async fn reconcile(&self, id: &Id, stored: Stored, copy: AppCopy) -> Result<Begin, HookError> {
        let (saved, saving) = (stored.saved, stored.saving);
        let ours = Begin::restore(stored)?;
        let version = ours.batches.version();
        let has_unsaved = version != saved;
        let loaded = match copy {
            AppCopy::Nowhere => return Ok(ours),
            AppCopy::None => None,
            AppCopy::Some(loaded) => Some(loaded),
        };
        let loaded_version = loaded.as_ref().map_or(0, |loaded| loaded.version);
        // A save that succeeded, and whose end was not noted.
        if saving == Some(loaded_version) && loaded_version <= version {
            return Ok(Begin { saved: loaded_version, ..ours });
        }
        if loaded_version == saved || (has_unsaved && loaded_version < saved) {
            return Ok(ours);
        }
        let content = content_of(&ours.snapshot, &ours.batches);
        let set_aside = content.set_aside(0);
        let goes_on = if has_unsaved {
            let conflict = Conflict { document: id.clone(), loaded: loaded.clone(), content, saved };
            self.context.hooks.resolve(conflict).await?
        } else {
            Resolution::Loaded
        };
        log::warn!(
            document = id.text();
            "document {id:?}: the app has version {loaded_version}, the hub has saved {saved} and goes up to {version}; {} goes on",
            if goes_on == Resolution::Loaded { "the app's" } else { "the hub's" }
        );
        if goes_on == Resolution::Log {
            return Ok(Begin { overruled: Some(loaded_version), ..ours });
        }
        // Behind everything that was ever sent: who comes with a version of the old one is given the whole document.
        let next = if loaded_version > version { loaded_version } else { version + 1 };
        let doc = loaded.map_or_else(|| Snapshot::empty().doc, |loaded| loaded.doc);
        let mut begin = Begin::with(Snapshot { version: next, doc }, loaded_version, true);
        begin.set_aside = Some(("the app's copy was changed elsewhere", set_aside));
        Ok(begin)
    }
}

impl Content {
    /// What is behind a version, as JSON lines: a record a batch, behind the document where that is included.
    pub(super) fn set_aside(&self, from: u64) -> String {
        let mut lines = String::new();
        if self.snapshot.version >= from {
            let Snapshot { version, doc } = &self.snapshot;
            lines.extend([r#"{"version":"#, &version.to_string(), r#","doc":"#, doc, "}\n"]);
        }
        for StepsAt { version, steps } in self.steps.iter().filter(|steps| steps.version >= from) {
            lines.extend([r#"{"version":"#, &version.to_string(), r#","steps":"#, steps, "}\n"]);
        }
        lines
    }
}
