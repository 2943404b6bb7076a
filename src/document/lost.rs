//! A document whose log in Redis is another one now: a server that was restarted, or a replica that was behind, has lost the end
//! of it, or all. What was delivered here and does not stand there is put there again, as far as it still fits.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    batches::{Batch, Batches},
    hooks::{self, HookError, Snapshot},
    live::Document,
    reading::content_of,
    store::{Kind, Write},
    together::Rest,
};
use crate::{
    room::publication::{self, Content, Draft, Refusal, Steps, Text},
    sync::lock,
};

/// How long one who tries again waits; and how long the other processes let the one go first that looks after the document.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a batch is tried to be put there again.
const TRIES: u32 = 20;

/// What was delivered here and is not there.
struct Lost {
    /// The version up to which there is the same.
    from: u64,
    batches: Vec<Content>,
    /// The document as it was here.
    old: hooks::Content,
}

/// Where a batch that was lost would stand now.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It is there again.
    Taken,
    /// Behind everything there is.
    Next,
    /// Something else is there.
    Gone,
}

impl Document {
    /// The log is another one: the document goes on with what is left of it. What was delivered here and is not there any more
    /// is put there again, unless somebody has written something else by then.
    pub(super) fn restarted(self: &Arc<Self>) {
        let Some(together) = &self.together else { return };
        let rest = together.restarted();
        let mut state = lock(&self.state);
        let old = Rest {
            snapshot: state.snapshot.clone(),
            batches: std::mem::replace(&mut state.batches, Batches::new(0)),
            saved: state.edits.saved,
        };
        let is_left = rest.is_some();
        let rest = rest.unwrap_or_else(|| Rest {
            snapshot: old.snapshot.clone(),
            batches: Batches::new(old.snapshot.version),
            saved: old.saved.min(old.snapshot.version),
        });
        if old.saved > rest.saved {
            // What the app has may be of what is lost.
            state.edits.overruled.get_or_insert(old.saved);
        }
        let from = rest.batches.version();
        let batches = lost(self.kind, &old, &rest);
        let is_another = batches.is_none();
        let lost =
            Lost { from, batches: batches.unwrap_or_default(), old: content_of(&old.snapshot, &old.batches) };
        let put_back = (!is_left).then(|| (rest.snapshot.clone(), rest.saved));
        state.on_the_way.is_lost = !is_left;
        self.go_on_from(&mut state, rest);
        drop(state);
        let document = Arc::clone(self);
        self.context.handle.spawn(async move {
            if let Some((snapshot, saved)) = put_back {
                document.put_back(snapshot, saved).await;
            }
            if is_another {
                document.give_up(lost.old.set_aside(0), lost.old.version).await;
            } else if !lost.batches.is_empty() {
                document.append_again(lost).await;
            }
        });
    }

    /// Puts a document there that Redis has lost, or waits until another process has.
    async fn put_back(&self, snapshot: Snapshot, saved: u64) {
        let Some(together) = &self.together else { return };
        let mut has_complained = false;
        loop {
            let told = {
                let mut state = lock(&self.state);
                if !state.on_the_way.is_lost || state.uses == 0 {
                    return;
                }
                let (tell, told) = oneshot::channel();
                state.on_the_way.goes_on.retain(|tell| !tell.is_closed());
                state.on_the_way.goes_on.push(tell);
                told
            };
            if let Err(HookError(reason)) = together.put_back(snapshot.clone(), saved).await
                && !std::mem::replace(&mut has_complained, true)
            {
                log::error!(
                    document = self.id.text();
                    "document {:?} was lost in Redis, and could not be put back yet: {reason}",
                    self.id
                );
            }
            // Whoever has put it there, the log says so; and where that has died meanwhile, nobody has.
            let _ = timeout(PAUSE, told).await;
        }
    }

    /// Puts into the log again what it has lost, one batch behind the other: each was made for what stands before it.
    async fn append_again(&self, lost: Lost) {
        if self.together.as_ref().is_some_and(|together| !together.is_saver()) {
            // What that has not been sent either is left to the others.
            sleep(PAUSE).await;
        }
        let mut count = 0;
        for (index, content) in lost.batches.iter().enumerate() {
            let mut tries = 0;
            loop {
                match self.place_of(content, lost.from) {
                    Place::Taken => break,
                    Place::Next if tries < TRIES => {}
                    Place::Next | Place::Gone => {
                        let left = steps_of(&lost.old, &lost.batches[index..]);
                        return self.give_up(left, lost.old.version).await;
                    }
                }
                if self.append_one(content).await.is_ok() {
                    count += 1;
                    break;
                }
                tries += 1;
                sleep(PAUSE / 4).await;
            }
        }
        if count > 0 {
            log::warn!(
                document = self.id.text();
                "document {:?}: {count} batches that Redis has lost were put there again",
                self.id
            );
        }
    }

    async fn append_one(&self, content: &Content) -> Result<u64, Refusal> {
        let text = match content {
            Content::Steps(steps) => Text::Steps(steps),
            Content::Update { client, user, update } => Text::Update { client, user: user.as_ref(), update },
            _ => return Err(Refusal::Unavailable),
        };
        let draft = Draft { author: None, to: None, text, number: None, after: None };
        let (tell, told) = oneshot::channel();
        let answer = publication::Answer::new(move |outcome| {
            // Whoever has gone needs no answer.
            let _ = tell.send(outcome);
        });
        let Some(room) = self.context.room(&self.id) else { return Err(Refusal::Unavailable) };
        // A refusal goes to the answer.
        let _ = room.publish(&draft, Some(answer));
        drop(room);
        told.await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Where a batch that was lost would stand now, of a document that is the same up to version `from`.
    fn place_of(&self, content: &Content, from: u64) -> Place {
        place_of(&lock(&self.state).batches, content, from)
    }

    /// Says what cannot be put there again, and sets it aside where this process may.
    async fn give_up(&self, body: String, was: u64) {
        let is = self.version();
        log::error!(
            document = self.id.text();
            "document {:?} was at version {was} and goes on at {is}: what was behind is lost in Redis, and set aside",
            self.id
        );
        if self.together.as_ref().is_none_or(|together| !together.is_saver()) {
            return;
        }
        let reason = "Redis had lost it, and the document has gone on without it".to_owned();
        let write = Write::SetAside { document: self.id.clone(), reason, body };
        if let Err(HookError(reason)) = self.write(vec![write]).await {
            log::error!(document = self.id.text(); "document {:?}: it could not be set aside: {reason}", self.id);
        }
    }
}

fn place_of(batches: &Batches, content: &Content, from: u64) -> Place {
    match content {
        Content::Steps(steps) if steps.version == batches.version() => Place::Next,
        Content::Steps(steps) => {
            let there = batches.since(steps.version).and_then(|mut behind| behind.next());
            let is_there =
                there.is_some_and(|there| is_same(there, steps.version, &steps.client, &steps.steps));
            if is_there { Place::Taken } else { Place::Gone }
        }
        Content::Update { client, update, .. } => {
            let mut behind = batches.since(from).into_iter().flatten();
            let is_there = behind.any(|there| is_same(there, there.before, client, update));
            if is_there { Place::Taken } else { Place::Next }
        }
        _ => Place::Gone,
    }
}

fn is_same(batch: &Batch, before: u64, client: &crate::ids::Id, text: &str) -> bool {
    (batch.before, &batch.client, &*batch.steps) == (before, client, text)
}

/// As what is set aside, from the first of these on.
fn steps_of(old: &hooks::Content, batches: &[Content]) -> String {
    let from = batches.iter().find_map(|content| match content {
        Content::Steps(steps) => Some(steps.version),
        _ => None,
    });
    old.set_aside(from.unwrap_or(0))
}

/// What was delivered of `old` that `rest` does not have; `None` where the two are no longer one document.
fn lost(kind: Kind, old: &Rest, rest: &Rest) -> Option<Vec<Content>> {
    let from = rest.batches.version();
    if old.batches.version() <= from {
        return Some(Vec::new());
    }
    if let Some(last) = rest.batches.last() {
        let mut same = old.batches.since(last.before)?;
        let found = same.next()?;
        if (found.before, &found.client, &found.steps) != (last.before, &last.client, &last.steps) {
            return None;
        }
    }
    let lost = old.batches.since(from)?;
    Some(
        lost.map(|batch| match kind {
            Kind::Steps => Content::Steps(Steps {
                client: batch.client.clone(),
                user: None,
                version: batch.before,
                count: batch.count,
                steps: Arc::clone(&batch.steps),
                change_id: batch.change_id.as_deref().map(str::to_owned),
            }),
            Kind::Updates => {
                Content::Update { client: batch.client.clone(), user: None, update: batch.steps.to_string() }
            }
        })
        .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Content, Place, Rest, lost, place_of};
    use crate::{
        document::{
            batches::{Batch, Batches},
            hooks::Snapshot,
            store::Kind,
        },
        ids::Id,
    };

    fn rest(from: u64, steps: &[&str]) -> Rest {
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
        Rest { snapshot: Snapshot { version: from, doc: "null".into() }, batches, saved: 0 }
    }

    fn lost_of(old: &Rest, rest: &Rest) -> Option<Vec<String>> {
        let text = |content| match content {
            Content::Steps(steps) => steps.steps.to_string(),
            other => panic!("{other:?}"),
        };
        Some(lost(Kind::Steps, old, rest)?.into_iter().map(text).collect())
    }

    #[test]
    fn what_was_shown_and_is_gone_is_known_where_the_rest_is_the_same_document() {
        let old = rest(3, &["a", "b", "c"]);
        let some = |steps: &[&str]| Some(steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>());
        assert_eq!(lost_of(&old, &rest(3, &["a"])), some(&["b", "c"]));
        assert_eq!(lost_of(&old, &rest(3, &[])), some(&["a", "b", "c"]));
        assert_eq!(lost_of(&old, &rest(3, &["a", "b", "c"])), some(&[]));
        assert_eq!(lost_of(&old, &rest(3, &["a", "b", "c", "d"])), some(&[]));
        assert_eq!(lost_of(&old, &rest(3, &["a", "x"])), None, "another document");
        assert_eq!(lost_of(&old, &rest(1, &["a"])), None, "it begins before what is here");
    }

    #[test]
    fn what_was_lost_goes_behind_what_it_was_made_for_and_nowhere_else() {
        let old = rest(3, &["a", "b", "c"]);
        let all = lost(Kind::Steps, &old, &rest(3, &[])).unwrap();
        let places =
            |rest: &Rest| all.iter().map(|each| place_of(&rest.batches, each, 3)).collect::<Vec<_>>();
        assert_eq!(places(&rest(3, &[])), [Place::Next, Place::Gone, Place::Gone]);
        assert_eq!(places(&rest(3, &["a"])), [Place::Taken, Place::Next, Place::Gone]);
        assert_eq!(places(&rest(3, &["x"]))[0], Place::Gone);
        let updates = lost(Kind::Updates, &old, &rest(3, &[])).unwrap();
        let places =
            |rest: &Rest| updates.iter().map(|each| place_of(&rest.batches, each, 3)).collect::<Vec<_>>();
        assert_eq!(places(&rest(3, &["x", "b"])), [Place::Next, Place::Taken, Place::Next]);
    }
}
