//! One document with an authority, as long as it is in memory.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, Weak},
    time::Instant,
};

use tokio::{runtime::Handle, sync::Notify, time::sleep};

use super::{
    Options,
    authority::{Attempt, Authority, Turns, Verdict},
    batches::{Batch, Batches},
    context::Context,
    edits::{AskedFor, Edits},
    hooks::Snapshot,
    offsets::Offsets,
    steps,
    store::{Entry, Kind, StoreError, Write, thread::Rejected},
    together::{OnTheWay, Rest, Together},
};
use crate::{
    ids::Id,
    room::{
        document_log::{Appended, Deliver},
        publication::{Content, Publication, Refusal, Steps},
    },
    sync::lock,
};

/// Names all route handlers among the writers. No connection has it.
pub(super) const ROUTE_HANDLERS: u64 = 0;

/// A document with an authority.
pub struct Document {
    pub(super) id: Id,
    pub(super) kind: Kind,
    pub(super) context: Arc<Context>,
    /// Where it is forgotten.
    pub(super) registry: Weak<dyn Registry>,
    pub(super) state: Mutex<State>,
    /// Whoever saves it is to do so now.
    pub(super) hurry: Notify,
    /// What it shares with other processes that have it; `None` where it is this one's own.
    pub(super) together: Option<Box<dyn Together>>,
}

/// Where a document is kept as long as it is in memory.
pub(super) trait Registry: Send + Sync + fmt::Debug {
    /// Forgets it, whatever it is: its log is gone.
    fn remove(&self, document: &Document);

    /// Forgets it, unless it is dirty, or was needed since it was used for the `used`th time.
    fn forget(&self, document: &Document, used: u64);

    /// Notes whether something of it is not saved. Called with its state locked.
    fn set_unsaved(&self, document: &Arc<Document>, is_unsaved: bool);
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) authority: Authority,
    /// The newest document that was made of the steps, or loaded.
    pub(super) snapshot: Snapshot,
    /// What was delivered; it reaches from before the snapshot to the version of the document.
    pub(super) batches: Batches,
    pub(super) offsets: Offsets,
    /// How often what was accepted was given up: answers of the store from before are of no use.
    generation: u64,
    /// What is not saved.
    pub(super) edits: Edits,
    /// What is on its way, where other processes have it, too.
    pub(super) on_the_way: OnTheWay,
    /// Who was asked for a snapshot.
    pub(super) asked: Option<AskedFor>,
    /// How many rooms and readers need it.
    pub(super) uses: usize,
    /// How often it was put to use, so that who waits for it to be idle knows whether it was used meanwhile.
    pub(super) used: u64,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Document {
    /// A document that was loaded: the batches reach from before the snapshot to its version.
    pub(super) fn new(
        id: Id,
        context: Arc<Context>,
        registry: Weak<dyn Registry>,
        kind: Kind,
        begin: Rest,
        offsets: Offsets,
        together: Option<Box<dyn Together>>,
    ) -> Arc<Self> {
        let Rest { snapshot, batches, saved } = begin;
        let state = State {
            authority: Authority::with_turns(batches.version(), context.options.turns),
            snapshot,
            batches,
            offsets,
            generation: 0,
            edits: Edits::new(saved),
            on_the_way: OnTheWay::default(),
            asked: None,
            uses: 0,
            used: 0,
        };
        let (state, hurry) = (Mutex::new(state), Notify::new());
        Arc::new(Self { id, kind, context, registry, state, hurry, together })
    }

    pub(super) fn options(&self) -> &Options {
        &self.context.options
    }

    /// The version up to which the members were sent everything.
    pub fn version(&self) -> u64 {
        lock(&self.state).batches.version()
    }

    /// The room that opens goes on behind `offset`, up to which an earlier process sent everything, if the document still
    /// has the version that it had then; returns whether it does.
    pub(super) fn resume(&self, version: u64, offset: u64) -> bool {
        let mut state = lock(&self.state);
        state.batches.version() == version && state.offsets.resume(offset)
    }

    /// A batch asks for its place. The room is told later, in the order of what it has asked.
    pub(super) fn submit(self: &Arc<Self>, publication: Publication, room: Arc<dyn Deliver>) {
        let document = Arc::clone(self);
        let now = self.context.now();
        let mut state = lock(&self.state);
        let judged = state.judge(&publication, self.options(), now);
        let asked = Asked::new(publication, room, &self.context.handle);
        let rejected = match judged {
            Ok(entry) => {
                let (generation, before, after) = (state.generation, entry.before, entry.after());
                let offset = entry.offset;
                let append = vec![Write::Append { document: self.id.clone(), entry }];
                let done = move |_, result| document.stored(asked, generation, (after, offset), result);
                let rejected = self.context.store.write(append, done).err();
                if rejected.is_some() {
                    state.authority.withdraw(before);
                    state.offsets.withdraw(offset);
                }
                rejected
            }
            // Behind those that were accepted before: a writer cannot rebase over what it was not sent.
            Err(refusal) => {
                self.context.store.write(Vec::new(), move |_, _| asked.answer(Err(refusal))).err()
            }
        };
        if let Some(Rejected { error, .. }) = rejected {
            log::error!(document = self.id.text(); "document {:?} takes no steps: {error}", self.id);
        }
    }

    /// A message that is no steps goes out in the order of the steps, and is not kept.
    pub(super) fn pass(self: &Arc<Self>, publication: Publication, room: Arc<dyn Deliver>) {
        let document = Arc::clone(self);
        let asked = Asked::new(publication, room, &self.context.handle);
        let mut state = lock(&self.state);
        let (offset, note) = state.offsets.next_passing();
        let (generation, has_note) = (state.generation, note.is_some());
        let note = note.map(|passing| Write::Passing { document: self.id.clone(), passing });
        let answer = move |_, result: Result<(), Arc<StoreError>>| {
            let outcome = {
                let mut state = lock(&document.state);
                match result {
                    _ if generation != state.generation => Err(Refusal::Unavailable),
                    Err(error) if has_note => {
                        log::error!(document = document.id.text(); "document {:?} takes no messages: {error}", document.id);
                        state.give_up();
                        Err(Refusal::Unavailable)
                    }
                    _ => {
                        state.offsets.give(offset);
                        Ok(offset)
                    }
                }
            };
            asked.answer(outcome);
        };
        if let Err(Rejected { error, .. }) = self.context.store.write(note.into_iter().collect(), answer) {
            state.offsets.withdraw(offset);
            log::error!(document = self.id.text(); "document {:?} takes no messages: {error}", self.id);
        }
    }

    /// The store has answered about an accepted batch.
    fn stored(
        self: &Arc<Self>,
        asked: Asked,
        generation: u64,
        (after, offset): (u64, u64),
        result: Result<(), Arc<StoreError>>,
    ) {
        let outcome = {
            let mut state = lock(&self.state);
            match result {
                _ if generation != state.generation => Err(Refusal::Unavailable),
                Ok(()) => {
                    state.authority.delivered(after);
                    state.offsets.give(offset);
                    Ok(offset)
                }
                Err(error) => {
                    log::error!(document = self.id.text(); "document {:?} takes no steps: {error}", self.id);
                    state.give_up();
                    Err(Refusal::Unavailable)
                }
            }
        };
        asked.answer(outcome);
    }

    /// A batch goes out to the members now. On the room's thread.
    pub(super) fn delivered(self: &Arc<Self>, publication: &Publication, offset: u64) {
        let mut state = lock(&self.state);
        let (client, user, before, count, steps, change_id) = match &publication.content {
            Content::Steps(Steps { client, user, version, count, steps, change_id }) => {
                (client, user, *version, *count, Arc::clone(steps), change_id.as_deref())
            }
            Content::Update { client, user, update } => {
                (client, user, state.batches.version(), 1, update.as_str().into(), None)
            }
            Content::Replaced(with) => return self.replaced(&mut state, with),
            Content::Client { .. } | Content::Message(_) | Content::Notice(_) => return,
        };
        if before != state.batches.version() {
            // It was on its way when the document went on from another version, which they were told. Where several processes
            // have it the log knows better.
            if self.together.is_some() {
                log::error!(
                    document = self.id.text();
                    "document {:?} is at version {}, and its log goes on at {before}",
                    self.id,
                    state.batches.version()
                );
            }
            return;
        }
        state.batches.push(Batch {
            before,
            count,
            client: client.clone(),
            number: publication.number,
            change_id: change_id.map(Arc::from),
            steps,
            offset,
            client_session: publication.author.map(|author| author.client_session),
        });
        if self.together.is_some() {
            self.followed(&mut state, before, client, publication.number, publication.author);
        }
        let editor = user.as_deref().unwrap_or_else(|| client.text());
        state.edits.edited(editor, Instant::now());
        self.trim(&mut state);
        self.save_later(&mut state);
        self.want_snapshot(&mut state, client);
        if self.together.is_some() && state.is_long() {
            self.renew_snapshot(&mut state);
        }
    }

    /// Forgets batches before the snapshot of which there are more than are kept.
    pub(super) fn trim(&self, state: &mut State) {
        let kept = self.options().kept;
        let snapshot = state.snapshot.version;
        while state.batches.start() < snapshot
            && (state.batches.len() > kept.batches || state.batches.bytes() > kept.bytes)
        {
            let first =
                state.batches.since(state.batches.start()).and_then(|mut all| all.next().map(Batch::after));
            match first.filter(|after| *after <= snapshot) {
                Some(after) => state.batches.trim(after),
                None => return,
            }
        }
    }

    /// A writer has left.
    pub fn leave(&self, writer: u64) {
        lock(&self.state).authority.leave(writer);
    }

    /// A room, or whoever reads, needs the document from now on.
    fn begin_use(&self) {
        let mut state = lock(&self.state);
        state.uses += 1;
        state.used += 1;
    }

    /// And does not any more.
    fn end_use(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.uses -= 1;
        if self.together.is_some() {
            drop(state);
            // Nobody follows it any more, so it is soon not what the others have.
            if let Some(registry) = self.registry.upgrade() {
                registry.remove(self);
            }
            return;
        }
        self.forget_later(&state);
    }

    /// Has the document forgotten once it was idle for long enough, where nothing needs it.
    pub(super) fn forget_later(self: &Arc<Self>, state: &State) {
        let used = state.used;
        if !state.is_idle_since(used, self.options().saves) {
            return;
        }
        let document = Arc::clone(self);
        self.context.handle.spawn(async move {
            sleep(document.options().idle).await;
            if let Some(registry) = document.registry.upgrade() {
                registry.forget(&document, used);
            }
        });
    }
}

/// A document that somebody needs, as long as this is there.
#[derive(Debug)]
pub(super) struct InUse(Arc<Document>);

impl InUse {
    pub(super) fn of(document: &Arc<Document>) -> Self {
        document.begin_use();
        Self(Arc::clone(document))
    }
}

impl Deref for InUse {
    type Target = Arc<Document>;

    fn deref(&self) -> &Arc<Document> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.end_use();
    }
}

/// A publication whose room is told what became of it, also where the store was closed over it.
struct Asked {
    waits: Option<(Publication, Arc<dyn Deliver>)>,
    handle: Handle,
}

impl Asked {
    fn new(publication: Publication, room: Arc<dyn Deliver>, handle: &Handle) -> Self {
        Self { waits: Some((publication, room)), handle: handle.clone() }
    }

    fn answer(mut self, outcome: Result<u64, Refusal>) {
        if let Some((publication, room)) = self.waits.take() {
            room.deliver(vec![Appended { publication, outcome }]);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some((publication, room)) = self.waits.take() {
            // Whoever drops it may have locked the room.
            let outcome = Err(Refusal::Unavailable);
            self.handle.spawn(async move { room.deliver(vec![Appended { publication, outcome }]) });
        }
    }
}

impl State {
    /// How often what was accepted was given up.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether nothing has needed the document since it was used for the `used`th time. What is dirty is needed.
    pub(super) fn is_idle_since(&self, used: u64, saves: bool) -> bool {
        self.used == used && self.uses == 0 && !self.edits.has_saver && !(saves && self.is_dirty())
    }

    /// Whether a batch is the next one.
    pub(super) fn judge(
        &mut self,
        publication: &Publication,
        options: &Options,
        now: u64,
    ) -> Result<Entry, Refusal> {
        let (client, user, version, count, body, change_id) = match &publication.content {
            Content::Steps(Steps { client, user, version, count, steps, change_id }) => {
                (client, user, *version, *count, &**steps, change_id)
            }
            // They fit wherever they stand.
            Content::Update { client, user, update } => {
                (client, user, self.authority.head(), 1, update.as_str(), &None)
            }
            Content::Replaced(_) | Content::Client { .. } | Content::Message(_) | Content::Notice(_) => {
                return Err(Refusal::Unavailable);
            }
        };
        let is_duplicate = |number| self.batches.is_duplicate(version, client, number);
        if publication.number.is_some_and(is_duplicate) {
            return Err(Refusal::Duplicate);
        }
        let may_grow = self.snapshot.doc.len() + body.len() <= options.document_bytes;
        if !(self.has_room_for(body.len(), options) && (may_grow || steps::only_remove(body))) {
            return Err(Refusal::Full);
        }
        let writer = publication.author.map_or(ROUTE_HANDLERS, |author| author.connection.number());
        match self.authority.submit(Attempt { writer, version, count }, now) {
            Verdict::Accepted { before, .. } => Ok(Entry {
                before,
                count,
                client: client.clone(),
                number: publication.number,
                user: user.as_deref().map(str::to_owned),
                change_id: change_id.clone(),
                body: body.to_owned(),
                offset: self.offsets.next_batch(),
                client_session: publication.author.map(|author| author.client_session),
            }),
            Verdict::Stale { retry_in_ms } => {
                Err(Refusal::Stale { current: self.authority.head(), retry_in_ms })
            }
            Verdict::Ahead => Err(Refusal::Ahead),
        }
    }

    /// Whether one more that takes `bytes` may stand behind the snapshot. What is kept before it is bounded, and comes on top.
    fn has_room_for(&self, bytes: usize, options: &Options) -> bool {
        let (most, kept) = (options.unmerged, options.kept);
        self.batches.len() < most.batches + kept.batches
            && self.batches.bytes() + bytes <= most.bytes + kept.bytes
    }

    /// Goes on with another document behind everything there was: what was sent for any version before is void.
    pub(super) fn go_on_with(&mut self, doc: Box<str>) -> u64 {
        let version = self.authority.head() + 1;
        self.generation += 1;
        self.offsets.begin_anew();
        // Behind the head, so it does.
        let _ = self.authority.jump(version);
        self.snapshot = Snapshot { version, doc };
        self.batches = Batches::new(version);
        version
    }

    /// Goes on at another version: what was sent for any before is void.
    pub(super) fn restart(&mut self, version: u64, turns: Turns) {
        self.authority = Authority::with_turns(version, turns);
        self.generation += 1;
    }

    /// The store has failed: whatever was accepted and not stored is refused.
    fn give_up(&mut self) {
        self.authority.rollback();
        self.offsets.take_back();
        self.generation += 1;
    }
}
