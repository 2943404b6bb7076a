//! A document whose log in Redis is another one now: a server that was restarted, or a replica that was behind, has lost the end
//! of it, or all. What was delivered here and does not stand there is put there again, all at once and before anybody writes
//! something else, as far as it still fits.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    batches::{Batch, Batches},
    hooks::{HookError, Snapshot},
    live::{Document, State},
    reading::content_of,
    store::{Kind, Write},
    together::{Lost, Rest},
};
use crate::{
    room::publication::{Content, Replaced, Steps},
    sync::lock,
};

/// How long one who tries again waits.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the other processes let the one go first that looks after the document.
const LETS_FIRST: Duration = Duration::from_millis(250);

/// How often, and how long in all, it is looked whether what was put there has come back.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 500;

/// What is to be done about what is lost.
#[derive(Debug, PartialEq, Eq)]
enum Next<'a> {
    /// All of it is there.
    Nothing,
    /// To be put there, behind this version; all of it behind the snapshot, where there is none.
    Put(Option<u64>, Vec<&'a Batch>),
    /// Something else is there, instead of what was behind this version.
    GiveUp(u64),
}

/// The same, with all that it takes where the document is not locked.
enum Look {
    Nothing,
    Put { at: Option<u64>, begins: Replaced, batches: Vec<Content>, history: u64 },
    GiveUp { body: String, was: u64 },
}

impl Document {
    /// The log is another one: the document goes on with what is left of it, and what was delivered here beside that is put
    /// there again.
    pub(super) fn restarted(self: &Arc<Self>) {
        let Some(together) = &self.together else { return };
        let (history, rest) = together.restarted();
        let mut state = lock(&self.state);
        state.on_the_way.history = history;
        let before = state.on_the_way.lost.take();
        let is_restoring = before.is_some();
        // Where not everything of the time before is there again, it is what was before that.
        let old = before.map_or_else(
            || Rest {
                snapshot: state.snapshot.clone(),
                batches: std::mem::replace(&mut state.batches, Batches::new(0)),
                saved: state.edits.saved,
            },
            |lost| lost.old,
        );
        // Where there is nothing, nobody writes before it is there again: until then it is as it was.
        let is_all = rest.is_none();
        let rest = rest.unwrap_or_else(|| Rest {
            snapshot: old.snapshot.clone(),
            batches: old.batches.clone(),
            saved: old.saved,
        });
        if old.saved > rest.saved {
            // What the app has may be of what is lost.
            state.edits.overruled.get_or_insert(old.saved);
        }
        state.on_the_way.lost = Some(Lost { old, is_all });
        self.go_on_from(&mut state, rest);
        if let Some(version) = state.edits.overruled {
            self.context.handle.spawn(Arc::clone(self).tell_may_be_saved(version));
        }
        if !is_restoring {
            self.context.handle.spawn(Arc::clone(self).restore());
        }
    }

    /// Sees to it that nothing is lost any more.
    async fn restore(self: Arc<Self>) {
        let Some(together) = &self.together else { return };
        let mut has_complained = false;
        let mut is_patient = !together.is_saver();
        loop {
            let (at, begins, batches, history) = match self.look() {
                Look::Nothing => {
                    self.hurry.notify_one();
                    // It may have been saved meanwhile.
                    return self.note_saved();
                }
                Look::GiveUp { body, was } => {
                    self.hurry.notify_one();
                    self.give_up(body, was).await;
                    return self.note_saved();
                }
                Look::Put { at, begins, batches, history } => (at, begins, batches, history),
            };
            if std::mem::take(&mut is_patient) {
                sleep(LETS_FIRST).await;
                continue;
            }
            let count = batches.len();
            match together.restore(at, begins, batches, history).await {
                Ok(true) => {
                    log::warn!(
                        document = self.id.text();
                        "document {:?}: {count} batches that Redis has lost were put there again",
                        self.id
                    );
                    self.comes_back().await;
                }
                // Another process was first, or somebody has opened it as the app has it: what is there may not say so here.
                Ok(false) => {
                    let begun = together.begin_anew().await;
                    sleep(if begun == Ok(true) { LETS_FIRST } else { PAUSE }).await;
                }
                Err(HookError(reason)) => {
                    if !std::mem::replace(&mut has_complained, true) {
                        log::error!(
                            document = self.id.text();
                            "document {:?} has lost something in Redis, which could not be put back yet: {reason}",
                            self.id
                        );
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// What is to be done now; nobody waits for it any more where nothing is.
    fn look(&self) -> Look {
        let mut state = lock(&self.state);
        let next = if state.uses == 0 { Next::Nothing } else { self.next(&state) };
        let Some(lost) = &state.on_the_way.lost else { return Look::Nothing };
        let look = match next {
            Next::Put(at, batches) => {
                let Snapshot { version, doc } = &lost.old.snapshot;
                let begins = Replaced { version: *version, saved: lost.old.saved, doc: (&**doc).into() };
                let batches = batches.into_iter().map(|batch| content_of_batch(self.kind, batch)).collect();
                return Look::Put { at, begins, batches, history: state.on_the_way.history };
            }
            Next::Nothing => Look::Nothing,
            Next::GiveUp(behind) => {
                let content = content_of(&lost.old.snapshot, &lost.old.batches);
                Look::GiveUp { body: content.set_aside(behind), was: content.version }
            }
        };
        state.on_the_way.lost = None;
        look
    }

    /// Waits until what was put there has come back, for a while.
    async fn comes_back(&self) {
        for _ in 0..LOOKS {
            if matches!(self.next(&lock(&self.state)), Next::Nothing) {
                return;
            }
            sleep(LOOK).await;
        }
    }

    fn next<'a>(&self, state: &'a State) -> Next<'a> {
        let Some(lost) = &state.on_the_way.lost else { return Next::Nothing };
        if lost.is_all {
            let behind = lost.old.batches.since(lost.old.snapshot.version);
            return Next::Put(None, behind.into_iter().flatten().collect());
        }
        next(self.kind, &lost.old.batches, state.snapshot.version, &state.batches)
    }

    /// Says what cannot be put there again, and sets it aside, also where another process looks after it: that may have had less.
    async fn give_up(&self, body: String, was: u64) {
        log::error!(
            document = self.id.text();
            "document {:?} was at version {was} and goes on at {}: what was behind is lost in Redis, and set aside",
            self.id,
            self.version()
        );
        let reason = "Redis had lost it, and the document has gone on without it".to_owned();
        let write = Write::SetAside { document: self.id.clone(), reason, body };
        if let Err(HookError(reason)) = self.write(vec![write], None).await {
            log::error!(document = self.id.text(); "document {:?}: it could not be set aside: {reason}", self.id);
        }
    }
}

/// What is to be done where `old` was delivered, and there is a snapshot with these batches.
fn next<'a>(kind: Kind, old: &'a Batches, snapshot: u64, there: &Batches) -> Next<'a> {
    // What stands before is in the snapshot, and can be compared with nothing.
    let begin = if there.is_empty() { snapshot } else { there.start() };
    let behind = |version| old.since(version).into_iter().flatten();
    if kind == Kind::Updates {
        let text = |update: &'a Batch| (&update.client, &update.steps);
        let all: HashSet<_> = there
            .since(there.start())
            .into_iter()
            .flatten()
            .map(|each| (&each.client, &each.steps))
            .collect();
        let left: Vec<_> = behind(begin.clamp(old.start(), old.version()))
            .filter(|each| !all.contains(&text(each)))
            .collect();
        return if left.is_empty() { Next::Nothing } else { Next::Put(Some(there.version()), left) };
    }
    if old.version() <= begin {
        return Next::Nothing;
    }
    for batch in behind(begin.max(old.start())) {
        if batch.before == there.version() {
            return Next::Put(Some(batch.before), behind(batch.before).collect());
        }
        let same = there.since(batch.before).and_then(|mut others| others.next());
        if same.is_none_or(|other| {
            (other.before, &other.client, &other.steps) != (batch.before, &batch.client, &batch.steps)
        }) {
            return Next::GiveUp(batch.before);
        }
    }
    Next::Nothing
}

fn content_of_batch(kind: Kind, batch: &Batch) -> Content {
    let client = batch.client.clone();
    match kind {
        Kind::Steps => Content::Steps(Steps {
            client,
            user: None,
            version: batch.before,
            count: batch.count,
            steps: Arc::clone(&batch.steps),
            change_id: batch.change_id.as_deref().map(str::to_owned),
        }),
        Kind::Updates => Content::Update { client, user: None, update: batch.steps.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Next, next};
    use crate::{
        document::{
            batches::{Batch, Batches},
            store::Kind,
        },
        ids::Id,
    };

    fn batches(from: u64, steps: &[&str]) -> Batches {
        let mut batches = Batches::new(from);
        for (before, steps) in (from..).zip(steps) {
            batches.push(Batch {
                before,
                count: 1,
                client: Id::new("a").unwrap(),
                number: None,
                change_id: None,
                steps: Arc::from(*steps),
                offset: 0,
                client_session: None,
            });
        }
        batches
    }

    /// What is to be put there again, behind which version; or what is given up.
    fn of(kind: Kind, old: &Batches, there: &Batches) -> Result<(u64, String), Option<u64>> {
        match next(kind, old, there.start(), there) {
            Next::Nothing => Err(None),
            Next::GiveUp(behind) => Err(Some(behind)),
            Next::Put(at, batches) => {
                Ok((at.unwrap(), batches.into_iter().map(|batch| &*batch.steps).collect()))
            }
        }
    }

    #[test]
    fn what_was_shown_and_is_gone_goes_behind_what_it_was_made_for_and_nowhere_else() {
        let old = batches(3, &["a", "b", "c"]);
        let of = |there| of(Kind::Steps, &old, &there);
        assert_eq!(of(batches(3, &["a"])), Ok((4, "bc".to_owned())));
        assert_eq!(of(batches(3, &[])), Ok((3, "abc".to_owned())));
        assert_eq!(of(batches(1, &["y", "z", "a"])), Ok((4, "bc".to_owned())), "which reaches back further");
        assert_eq!(of(batches(4, &[])), Ok((4, "bc".to_owned())), "a snapshot has the first");
        assert_eq!(of(batches(4, &["b"])), Ok((5, "c".to_owned())));
        assert_eq!(of(batches(3, &["a", "b", "c"])), Err(None));
        assert_eq!(of(batches(3, &["a", "b", "c", "d"])), Err(None));
        assert_eq!(of(batches(6, &[])), Err(None), "a snapshot has all of it");
        assert_eq!(of(batches(9, &["x"])), Err(None));
        assert_eq!(of(batches(3, &["a", "x"])), Err(Some(4)), "something else stands there");
        assert_eq!(of(batches(1, &["a"])), Err(Some(3)), "it ends before what is here");
    }

    #[test]
    fn updates_that_are_gone_go_wherever_there_is_place() {
        let old = batches(3, &["a", "b", "c"]);
        let of = |there| of(Kind::Updates, &old, &there);
        assert_eq!(of(batches(3, &["x", "b"])), Ok((5, "ac".to_owned())));
        assert_eq!(of(batches(5, &["x"])), Ok((6, "c".to_owned())), "a snapshot has the others");
        assert_eq!(of(batches(3, &["c", "b", "a"])), Err(None));
    }
}
