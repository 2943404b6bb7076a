//! When a document is saved, and until it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    time::{sleep, timeout, timeout_at},
};

use super::{
    hooks::{AppCopy, HookError, Loaded, Save, SaveOutcome, SaveReason, Snapshot},
    live::{Document, State},
    store::{Kind, Write},
};
use crate::{
    protocol::{
        recovery::Reload,
        steps::{self, reload},
        updates,
    },
    room::opening::OpenedBy,
    sync::lock,
};

/// Wait after the first save that failed. It doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Wait between two tries while the hub ends.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// How often it is tried to tell what the app may have.
const TELLS: u32 = 30;

/// Longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_mins(1);

impl State {
    /// An offset up to which there is nothing behind a version; 0 where none is known.
    fn offset_before(&self, version: u64) -> u64 {
        let all = self.batches.since(self.batches.start()).into_iter().flatten();
        let within = all.take_while(|batch| batch.after() <= version);
        within.last().map_or(0, |last| last.offset)
    }

    /// Whether the app does not have all of it.
    pub(super) fn is_dirty(&self) -> bool {
        self.edits.overruled.is_some() || self.batches.version() != self.edits.saved
    }
}

fn gone_on() -> HookError {
    HookError("it has gone on as another one meanwhile".to_owned())
}

impl Document {
    /// Sees to it that what is not saved will be.
    pub(super) fn save_later(self: &Arc<Self>, state: &mut State) {
        let is_saver = self.together.as_ref().is_none_or(|together| together.is_saver());
        if is_saver
            && self.options().saves
            && state.is_dirty()
            && !std::mem::replace(&mut state.edits.has_saver, true)
        {
            if let Some(registry) = self.registry.upgrade() {
                registry.set_unsaved(self, true);
            }
            self.context.handle.spawn(Arc::clone(self).save_until_clean());
        }
    }

    /// Whether nothing of it has to be saved, by this process.
    pub(super) fn is_clean(&self) -> bool {
        self.together.as_ref().is_some_and(|together| !together.is_saver()) || !self.is_needed()
    }

    /// Whether something of it has to be saved.
    pub(super) fn is_needed(&self) -> bool {
        let state = lock(&self.state);
        self.options().saves && (state.is_dirty() || state.edits.has_saver)
    }

    /// Has what is not saved saved now; `None` where all of it is. What is returned is told how that went.
    pub(super) fn save_soon(self: &Arc<Self>) -> Option<oneshot::Receiver<Result<(), HookError>>> {
        let mut state = lock(&self.state);
        if !self.options().saves || !state.is_dirty() {
            return None;
        }
        let version = state.batches.version();
        let told = state.edits.wait_for(version);
        self.save_later(&mut state);
        drop(state);
        if let Some(together) = self.together.as_ref().filter(|together| !together.is_saver()) {
            together.ask_to_save();
        }
        self.hurry.notify_one();
        Some(told)
    }

    /// Has it saved now, where this process does that.
    #[cfg(feature = "redis")]
    pub(super) fn save_soon_if_saver(self: &Arc<Self>) -> Option<oneshot::Receiver<Result<(), HookError>>> {
        let is_saver = self.together.as_ref().is_some_and(|together| together.is_saver());
        if is_saver { self.save_soon() } else { None }
    }

    async fn save_until_clean(self: Arc<Self>) {
        let mut wait = FIRST_WAIT;
        while let Some((save, generation)) = self.next_save().await {
            let version = save.content.version;
            let (editors, times) = {
                let mut state = lock(&self.state);
                let edits = &mut state.edits;
                edits.is_urgent = false;
                let times = edits.times.take();
                edits.saving = Some(times.map_or_else(Instant::now, |(first, _)| first));
                (std::mem::take(&mut edits.editors), times)
            };
            let begin = Instant::now();
            let outcome = self.save(Save { editors: editors.clone(), ..save }, generation).await;
            let counts = &self.context.counts;
            counts.seconds.observe_time(begin.elapsed());
            if outcome.is_ok() { &counts.saved } else { &counts.failed }.add(1);
            match outcome {
                Ok(()) => {
                    wait = FIRST_WAIT;
                    let edits = &mut lock(&self.state).edits;
                    edits.saving = None;
                    edits.tell(&Ok(version));
                }
                Err(HookError(reason)) => {
                    log::error!(
                        document = self.id.text();
                        "document {:?} was not saved at version {version}, it is tried again in {wait:?}: {reason}",
                        self.id
                    );
                    {
                        // What came meanwhile is younger.
                        let mut state = lock(&self.state);
                        state.edits.saving = None;
                        // The other process may have been about to.
                        state.edits.unsure = state.edits.took_over;
                        state.edits.tell(&Err(HookError(reason)));
                        let newer = std::mem::replace(&mut state.edits.editors, editors);
                        let now = Instant::now();
                        let last = state.edits.times.map(|(_, last)| last);
                        for editor in newer {
                            state.edits.edited(&editor, now);
                        }
                        state.edits.times = times.map(|(first, before)| (first, last.unwrap_or(before)));
                    }
                    if self.context.is_ending() {
                        sleep(LAST_WAIT).await;
                    } else {
                        // Over, or in a hurry: it is tried again either way.
                        let _ = timeout(wait, self.hurry.notified()).await;
                        wait = (wait * 2).min(MAX_WAIT);
                    }
                }
            }
        }
        self.forget_later(&lock(&self.state));
    }

    /// What is to be saved, once it is time to, and of which generation of the document; `None` where nothing is, and then nobody
    /// sees to it any more.
    async fn next_save(self: &Arc<Self>) -> Option<(Save, u64)> {
        loop {
            if let Err(HookError(reason)) = self.be_sure().await {
                log::error!(
                    document = self.id.text();
                    "document {:?} is not saved before the app says what it has: {reason}",
                    self.id
                );
                sleep(if self.context.is_ending() { LAST_WAIT } else { FIRST_WAIT }).await;
            }
            let due = {
                let mut state = lock(&self.state);
                if self.together.as_ref().is_some_and(|together| !together.is_saver()) {
                    // Whoever saves it now says so.
                    state.edits.has_saver = false;
                    if let Some(registry) = self.registry.upgrade() {
                        registry.set_unsaved(self, false);
                    }
                    return None;
                }
                if !state.is_dirty() {
                    state.edits.has_saver = false;
                    let version = state.batches.version();
                    state.edits.tell(&Ok(version));
                    if let Some(registry) = self.registry.upgrade() {
                        registry.set_unsaved(self, false);
                    }
                    return None;
                }
                let options = self.options();
                let due = state.edits.due(options.save_after, options.save_within);
                let is_ending = self.context.is_ending();
                // What has not been put into Redis again is not all of it, and the app may have more.
                let is_whole = state.on_the_way.lost.is_none() && state.edits.unsure.is_none();
                if is_whole && (is_ending || due <= Instant::now()) {
                    return Some((self.save_of(&state, is_ending), state.generation()));
                }
                if is_whole { due } else { Instant::now() + LAST_WAIT }
            };
            let _ = timeout_at(due.into(), self.hurry.notified()).await;
        }
    }

    fn save_of(&self, state: &State, is_ending: bool) -> Save {
        let reason = match state.edits.times {
            _ if is_ending => SaveReason::Shutdown,
            _ if state.edits.is_urgent => SaveReason::Asked,
            _ if state.edits.from_before => SaveReason::Restart,
            Some((first, _)) if first.elapsed() >= self.options().save_within => SaveReason::Overdue,
            _ => SaveReason::Quiet,
        };
        Save {
            document: self.id.clone(),
            kind: self.kind,
            content: state.content(),
            previous: state.edits.overruled.unwrap_or(state.edits.saved),
            reason,
            editors: Vec::new(),
        }
    }

    /// Finds out whether the app has made the save of another process of which that is not known.
    async fn be_sure(&self) -> Result<(), HookError> {
        let Some(saving) = lock(&self.state).edits.unsure else { return Ok(()) };
        if self.together.as_ref().is_none_or(|together| !together.is_saver()) {
            // It is the other's to know.
            return Ok(());
        }
        let copy = match self.context.hooks.load(&self.id, OpenedBy::default()).await? {
            Loaded::Relay => return Err(HookError("its kind has changed".to_owned())),
            Loaded::Kept(_, copy) => copy,
        };
        let mut state = lock(&self.state);
        state.edits.unsure = None;
        // Beyond that it is nobody's of the hub, and the app refuses to have it overwritten.
        if let AppCopy::Some(Snapshot { version, .. }) = copy
            && version <= saving
            && version != state.edits.saved
        {
            state.edits.overruled = Some(version);
        }
        Ok(())
    }

    /// Writes to the store that the app has it. Where several processes have the document it is tried until they all know, or
    /// another one saves it, which asks the app then.
    async fn note(
        self: &Arc<Self>,
        version: u64,
        generation: u64,
        history: u64,
        writes: Vec<Write>,
    ) -> Result<(), HookError> {
        loop {
            let Err(HookError(reason)) = self.write(writes.clone(), Some(history)).await else {
                return Ok(());
            };
            let Some(together) = &self.together else { return Err(HookError(reason)) };
            if lock(&self.state).generation() != generation {
                self.context.handle.spawn(Arc::clone(self).tell_may_be_saved(version));
                return Err(HookError(reason));
            }
            if !together.is_saver() {
                // Whoever looks after it now does not know.
                together.tell_saved(version);
                return Err(HookError(reason));
            }
            log::warn!(
                document = self.id.text();
                "document {:?} is saved, which could not be noted and is tried again: {reason}",
                self.id
            );
            sleep(if self.context.is_ending() { LAST_WAIT } else { FIRST_WAIT }).await;
        }
    }

    async fn save(self: &Arc<Self>, save: Save, generation: u64) -> Result<(), HookError> {
        let (document, version) = (self.id.clone(), save.content.version);
        let history = {
            let state = lock(&self.state);
            if self.together.is_some() && state.generation() != generation {
                return Err(gone_on());
            }
            state.on_the_way.history
        };
        // If the process ends before the answer is noted, the app's copy is known to be ours by this.
        // Where that cannot be noted it is saved all the same: a full disk is no reason not to.
        let saving = Write::Saving { document: document.clone(), position: version };
        if let Err(HookError(reason)) = self.write(vec![saving], Some(history)).await {
            // Another process could not know that the app has it, if this one dies. The last one to go knows no better.
            let is_alone =
                self.together.as_ref().is_none_or(|together| together.is_saver() && self.context.is_ending());
            if !is_alone {
                return Err(HookError(reason));
            }
            log::warn!(document = document.text(); "document {document:?} is saved without a note of it: {reason}");
        }
        match self.context.hooks.save(save).await? {
            SaveOutcome::Saved(doc) => {
                let snapshot = doc.map(|doc| Snapshot { version, doc });
                let (kept_from, message) = {
                    let mut state = lock(&self.state);
                    if self.together.is_some() && state.generation() != generation {
                        // Its versions are of what it was.
                        state.edits.overruled = Some(version);
                        self.context.handle.spawn(Arc::clone(self).tell_may_be_saved(version));
                        return Err(gone_on());
                    }
                    let message = self.saved_message(&state, version);
                    state.edits.saved = version;
                    state.edits.overruled = None;
                    state.edits.took_over = None;
                    state.edits.from_before = false;
                    if let Some(snapshot) =
                        snapshot.clone().filter(|new| new.version > state.snapshot.version)
                    {
                        state.snapshot = snapshot;
                    }
                    self.trim(&mut state);
                    (state.batches.start(), message)
                };
                let mut writes = vec![Write::Saved { document: document.clone(), position: version }];
                if let Some(Snapshot { doc, .. }) = snapshot {
                    writes.push(Write::Snapshot { document, position: version, body: doc.into(), kept_from });
                }
                self.note(version, generation, history, writes).await?;
                if let Some(together) = &self.together {
                    together.tell_saved(version);
                    self.note_saved();
                }
                if self.options().has_copy {
                    self.context.tell(&self.id, None, &message);
                }
                Ok(())
            }
            SaveOutcome::BadSteps { good, reason } => self.cut_out(good, &reason).await,
        }
    }

    /// Tells whoever saves it next that the app may have a version that is of what was lost. For a while: what it is told beside
    /// may have to be put there again first.
    pub(super) async fn tell_may_be_saved(self: Arc<Self>, version: u64) {
        let Some(together) = &self.together else { return };
        for _ in 0..TELLS {
            if together.may_be_saved(version).await.is_ok() {
                return;
            }
            sleep(FIRST_WAIT).await;
        }
    }

    /// Tells that a version is saved.
    pub(super) fn saved_message(&self, state: &State, version: u64) -> String {
        match self.kind {
            Kind::Steps => steps::saved(version),
            Kind::Updates => updates::saved(version, state.offset_at(version)),
        }
    }

    /// Goes on without the steps behind `good`, the first of which do not fit into the document.
    async fn cut_out(self: &Arc<Self>, good: Snapshot, reason: &str) -> Result<(), HookError> {
        let good_version = good.version;
        if let Some(together) = &self.together {
            return self.go_on_together(&**together, good, reason).await;
        }
        // In one turn of the lock, so that nothing of the new document reaches the store before it is there.
        let (written, version) = {
            let mut state = lock(&self.state);
            let set_aside = state.content().set_aside(good_version);
            let version = state.go_on_with(good.doc.clone());
            state.edits.touch(Instant::now());
            let good = Snapshot { version, doc: good.doc };
            (self.ask(self.replace(&state, &good, state.edits.saved, reason, set_aside), None), version)
        };
        log::error!(
            document = self.id.text();
            "document {:?}: steps behind version {} do not fit and are set aside, everybody goes on at version {version}: {reason}",
            self.id,
            good_version
        );
        written.await?;
        self.context.tell(&self.id, None, &reload(Reload::StepsSetAside));
        Ok(())
    }

    /// What gives the document another log in the store: what it was is set aside.
    pub(super) fn replace(
        &self,
        state: &State,
        snapshot: &Snapshot,
        saved: u64,
        reason: &str,
        body: String,
    ) -> Vec<Write> {
        let document = || self.id.clone();
        vec![
            Write::SetAside { document: document(), reason: reason.to_owned(), body },
            Write::Forget { document: document() },
            self.create(state, snapshot, saved),
        ]
    }

    /// What begins to keep the document.
    pub(super) fn create(&self, state: &State, snapshot: &Snapshot, saved: u64) -> Write {
        Write::Create {
            document: self.id.clone(),
            kind: self.kind,
            epoch: state.offsets.epoch,
            base: snapshot.version,
            snapshot: Some(snapshot.doc.to_string()),
            saved,
            offset: state.offsets.given(),
        }
    }

    /// Writes to the store, and waits until it is on disk. Versions among the writes are of the log `history`, where several
    /// processes have the document.
    pub(super) async fn write(&self, writes: Vec<Write>, history: Option<u64>) -> Result<(), HookError> {
        self.ask(writes, history).await
    }

    /// Asks the store to write; it is asked when this returns, and what is returned waits until it is on disk.
    fn ask(
        &self,
        writes: Vec<Write>,
        history: Option<u64>,
    ) -> impl Future<Output = Result<(), HookError>> + use<> {
        let together = self.together.as_ref().map(|together| {
            let position = writes.iter().find_map(|write| match write {
                Write::Snapshot { position, .. } => Some(*position),
                _ => None,
            });
            let offset = position.map_or(0, |position| lock(&self.state).offset_before(position));
            together.write(writes.clone(), offset, history)
        });
        let writes = if together.is_some() { Vec::new() } else { writes };
        let (tell, told) = tokio::sync::oneshot::channel();
        let asked = self.context.store.write(writes, move |_, result| drop(tell.send(result)));
        async move {
            if let Some(together) = together {
                return together.await;
            }
            asked.map_err(|rejected| HookError(rejected.error.to_string()))?;
            match told.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(HookError(error.to_string())),
                Err(_) => Err(HookError("the store has ended".to_owned())),
            }
        }
    }
}
