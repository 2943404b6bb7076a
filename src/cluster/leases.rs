//! Which process looks after a document with an authority, and which documents are not saved.
//!
//! A process marks a document before it writes to it, and takes the mark away when it knows that all of it is saved. The marks
//! of a process that is gone say to the others, or to the next, what is still to be saved.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use redis::{Cmd, RedisError, Value};
use tokio::{task::JoinSet, time::sleep};

use super::{
    document::Document,
    keeper::{Kept, Lease, Mark},
    link::Link,
    shared::{Shared, milliseconds},
    slots::slot_of,
    wire::text,
};
use crate::{ids::Id, sync::lock};

/// How long a lease lasts that nobody renews.
const LASTS: Duration = Duration::from_secs(10);

/// How often it is renewed, or tried to get.
const ROUND: Duration = Duration::from_secs(3);

/// Documents that are asked for at once.
const AT_ONCE: usize = 256;

/// The call that takes or renews the lease of a document.
pub(super) fn call(shared: &Shared, link: &Link, document: &Document, is_open: bool) -> Cmd {
    let keys = &document.keys;
    let mut call = link.lease(4);
    call.arg(&keys.meta).arg(&keys.stream).arg(&keys.kept).arg(&keys.lease);
    if let Some(kept) = &document.kept {
        let stays = stays(shared, kept);
        call.arg(&kept.token).arg(milliseconds(LASTS)).arg(u8::from(is_open)).arg(stays);
    }
    call
}

/// How many milliseconds a document stays in Redis once it is saved; 0 for ever.
pub(super) fn stays(shared: &Shared, kept: &Kept) -> u64 {
    kept.stays.map_or(0, |stays| milliseconds(stays.max(shared.meta_kept)))
}

/// What is answered to one who asks for a lease.
pub(super) fn parse(answer: &Value) -> Option<Lease> {
    let Value::Array(parts) = answer else { return None };
    let [Value::Int(held), saved, saving, may] = &parts[..] else { return None };
    let version = |value| text(value).and_then(|text| text.parse().ok());
    let (is_held, is_new) = (*held > 0, *held == 2);
    Some(Lease { is_held, is_new, saved: version(saved), saving: version(saving), may: version(may) })
}

/// Renews the leases of this process, and takes those that nobody has any more.
pub(super) async fn tend(shared: Weak<Shared>) {
    while let Some(strong) = shared.upgrade() {
        tend_all(&strong).await;
        drop(strong);
        sleep(ROUND).await;
    }
}

async fn tend_all(shared: &Arc<Shared>) {
    let mut by_link: Vec<(Arc<Link>, Vec<Arc<Document>>)> = Vec::new();
    for document in shared.all().into_iter().filter(|document| is_wanted(document)) {
        let Some(link) = shared.link_now(document.keys.slot) else { continue };
        match by_link.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &link)) {
            Some((_, documents)) => documents.push(document),
            None => by_link.push((link, vec![document])),
        }
    }
    // No server waits for another, which may be silent.
    let mut tending = JoinSet::new();
    for (link, documents) in by_link {
        let shared = Arc::clone(shared);
        tending.spawn(async move {
            for some in documents.chunks(AT_ONCE) {
                if link.loss.is_lost() {
                    return;
                }
                tend_some(&shared, &link, some).await;
                tend_marks(&shared, some);
            }
        });
    }
    while tending.join_next().await.is_some() {}
}

fn is_wanted(document: &Document) -> bool {
    let wants = |kept: &Kept| !kept.is_given_up() && (kept.is_held() || is_open(document));
    document.kept.as_ref().is_some_and(wants)
}

/// Takes marks away that are owed, and sets those again that Redis may have lost.
fn tend_marks(shared: &Arc<Shared>, documents: &[Arc<Document>]) {
    let over = unsaved_link(shared).map(|link| link.since);
    for document in documents {
        let Some(Ok(mark)) = document.kept.as_ref().map(|kept| kept.mark.try_lock()) else { continue };
        match *mark {
            Mark::Owed => unmark_later(shared, document),
            Mark::Set(since) if over.is_some_and(|over| over != since) => {
                let (of_task, document) = (Arc::clone(shared), Arc::clone(document));
                shared.handle.spawn(async move { self::mark(&of_task, &document).await });
            }
            Mark::Set(_) | Mark::Unset => {}
        }
    }
}

async fn tend_some(shared: &Shared, link: &Link, some: &[Arc<Document>]) {
    let mut calls = redis::pipe();
    // One that fails says nothing of the others.
    calls.ignore_errors();
    // What was released since is to stay so.
    let some: Vec<_> = some.iter().filter(|document| is_wanted(document)).collect();
    for document in &some {
        calls.add_command(call(shared, link, document, is_open(document)));
    }
    match calls.query_async::<Vec<Value>>(&mut link.commands.clone()).await {
        Ok(answers) => {
            for (document, answer) in some.iter().zip(answers) {
                if let Value::ServerError(error) = &answer {
                    complain(link, document, &error.clone().into()).await;
                }
                let Some((kept, lease)) = document.kept.as_ref().zip(parse(&answer)) else { continue };
                kept.leased(lease);
                if lease.is_held && kept.is_given_up() {
                    // While this was asked.
                    release(shared, document).await;
                }
            }
        }
        Err(error) => {
            if let Some(document) = some.first() {
                complain(link, document, &error).await;
            }
        }
    }
}

fn is_open(document: &Document) -> bool {
    document.offset().is_some() && document.kept.as_ref().is_some_and(|kept| kept.keeper().is_some())
}

/// Says what went wrong, and does what helps.
pub(super) async fn complain(link: &Link, document: &Document, error: &RedisError) {
    log::warn!("document {:?} cannot be looked after: {error}", document.id);
    link.judge(error);
    if error.code() == Some("NOSCRIPT") {
        let _ = link.load_scripts().await;
    }
}

/// Gives a lease back: the others look for it once in a while.
pub(super) async fn release(shared: &Shared, document: &Document) {
    let (Some(link), Some(kept)) = (shared.link_now(document.keys.slot), &document.kept) else { return };
    link.let_go(&document.keys.lease, &kept.token).await;
}

/// How a process marks a document.
fn mark_of(process: u64, document: &Id) -> String {
    format!("{process:016x} {}", document.text())
}

fn parse_mark(mark: &str) -> Option<(u64, Id)> {
    let (process, document) = mark.split_once(' ')?;
    Some((u64::from_str_radix(process, 16).ok()?, Id::new(document)?))
}

/// The connections to the server that has the marks.
fn unsaved_link(shared: &Shared) -> Option<Arc<Link>> {
    shared.link_now(slot_of(&shared.unsaved_key()))
}

/// Marks a document with an authority before something is written to it; whether that may be written.
pub(super) async fn mark(shared: &Shared, document: &Document) -> bool {
    let Some(kept) = &document.kept else { return true };
    let mut mark = kept.mark.lock().await;
    let was_set = matches!(*mark, Mark::Set(_));
    // In a cluster it is on another node, it may be, and is looked after when that is back.
    let Some(link) = unsaved_link(shared) else { return was_set };
    if *mark == Mark::Set(link.since) {
        return true;
    }
    let add =
        redis::cmd("SADD").arg(shared.unsaved_key()).arg(mark_of(shared.process, &document.id)).to_owned();
    if link.call(&add).await.is_err() {
        if *mark == Mark::Unset {
            // It may be there all the same.
            *mark = Mark::Owed;
        }
        return was_set;
    }
    *mark = Mark::Set(link.since);
    true
}

/// The same before something is put there again that Redis has lost. All of it may be saved: then nobody saves it again.
pub(super) async fn mark_restored(shared: &Shared, document: &Document) -> bool {
    let Some(kept) = &document.kept else { return true };
    // The mark is lost, too.
    *kept.mark.lock().await = Mark::Owed;
    let is_marked = mark(shared, document).await;
    *kept.mark.lock().await = Mark::Owed;
    is_marked
}

/// Takes the mark away, where all is saved; with nobody waiting for it.
pub(super) fn unmark_later(shared: &Arc<Shared>, document: &Arc<Document>) {
    let (of_task, document) = (Arc::clone(shared), Arc::clone(document));
    shared.handle.spawn(async move { unmark(&of_task, &document).await });
}

async fn unmark(shared: &Shared, document: &Document) {
    let Some(kept) = &document.kept else { return };
    let mut mark = kept.mark.lock().await;
    let is_saved = || document.is_at_rest() && kept.keeper().is_some_and(|keeper| keeper.is_clean());
    let was = *mark;
    if was == Mark::Unset || !is_saved() {
        return;
    }
    // With the next save, or in the next round of the leases.
    *mark = Mark::Owed;
    let Some(link) = unsaved_link(shared) else { return };
    match is_saved_in_redis(shared, document).await {
        Some(true) => {}
        // What was answered may still be on its way to the room, which then is saved again.
        Some(false) => return *mark = was,
        None => return,
    }
    let remove =
        redis::cmd("SREM").arg(shared.unsaved_key()).arg(mark_of(shared.process, &document.id)).to_owned();
    if link.call(&remove).await.is_ok() {
        *mark = Mark::Unset;
    }
}

/// Whether everything that stands in the log of a document is saved; `None` where Redis does not say.
async fn is_saved_in_redis(shared: &Shared, document: &Document) -> Option<bool> {
    let link = shared.link_now(document.keys.slot)?;
    let version = link.call(redis::cmd("HGET").arg(&document.keys.meta).arg("v")).await.ok()?;
    let saved = link.call(redis::cmd("HGET").arg(&document.keys.kept).arg("saved")).await.ok()?;
    Some(version == saved)
}

/// The marks of processes that are gone, and of this one where the document is not open any more.
pub(super) async fn left_behind(shared: &Shared) -> Vec<(String, Id)> {
    let Some(link) = unsaved_link(shared) else { return Vec::new() };
    let Ok(Value::Set(marks) | Value::Array(marks)) =
        link.call(redis::cmd("SMEMBERS").arg(shared.unsaved_key())).await
    else {
        return Vec::new();
    };
    let open: HashSet<_> = shared.all().iter().map(|document| document.id.clone()).collect();
    let others = lock(&shared.others);
    let is_left = |process: u64, document: &Id| {
        if process == shared.process { !open.contains(document) } else { !others.is_there(process) }
    };
    let mark = |mark: &Value| {
        let mark = text(mark)?;
        let (process, document) = parse_mark(mark)?;
        is_left(process, &document).then(|| (mark.to_owned(), document))
    };
    marks.iter().filter_map(mark).collect()
}

/// Takes a mark away that is another's.
pub(super) async fn settle(shared: &Shared, mark: String) {
    if let Some(link) = unsaved_link(shared) {
        let remove = redis::cmd("SREM").arg(shared.unsaved_key()).arg(mark).to_owned();
        if let Err(error) = link.call(&remove).await {
            log::warn!("it stays noted that a document is not saved: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{mark_of, parse_mark};
    use crate::ids::Id;

    #[test]
    fn a_mark_says_whose_it_is_and_of_which_document() {
        let document = Id::new("a b {c}").unwrap();
        assert_eq!(parse_mark(&mark_of(7, &document)), Some((7, document)));
        assert_eq!(parse_mark("x y"), None);
        assert_eq!(parse_mark("0000000000000007"), None);
    }
}
