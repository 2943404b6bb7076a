//! What Redis has of a document, in the words of the others here.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    batches::Batches,
    hooks::{AppCopy, HookError, Snapshot},
    store::{Entry, Kind, SetAside, Stored, record},
    together::Rest,
};
use crate::{
    cluster::kept::{Change, NotChanged, Whole, WholeKept},
    ids::Id,
    room::{
        document_log::Stood,
        publication::{Content, Steps},
    },
};

pub(super) fn not_changed(why: NotChanged) -> HookError {
    HookError(
        match why {
            NotChanged::Away => "Redis is away",
            NotChanged::Lost => "another process looks after the document",
            NotChanged::Stale => "the document has gone on",
        }
        .to_owned(),
    )
}

/// How a kind is called in Redis.
pub(super) fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Steps => "steps",
        Kind::Updates => "updates",
    }
}

pub(super) fn check(kept: &WholeKept, kind: Kind) -> Result<(), HookError> {
    if kept.kind == name_of(kind) {
        return Ok(());
    }
    Err(HookError(format!("Redis has it as {:?}, and not as {:?}", kept.kind, name_of(kind))))
}

pub(super) fn set_aside_of(id: &Id, reason: &str, body: String) -> Change {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    let aside = SetAside { document: id.clone(), at, reason: reason.to_owned(), body };
    Change::SetAside { record: record::encode_aside(&aside), body_bytes: aside.body.len() }
}

/// The batches of a document. The log says behind what each stands only from its end on.
fn entries_of(kept: &WholeKept) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut after = kept.version;
    for Stood { publication, offset, .. } in kept.log.iter().rev() {
        let (client, user, count, body, change_id) = match &publication.content {
            Content::Steps(Steps { client, user, count, steps, change_id, .. }) => {
                (client, user, *count, steps.to_string(), change_id.clone())
            }
            Content::Update { client, user, update } => (client, user, 1, update.clone(), None),
            // What stands before is of another document.
            Content::Replaced(_) => break,
            _ => continue,
        };
        let Some(before) = after.checked_sub(count.into()) else { break };
        entries.push(Entry {
            before,
            count,
            client: client.clone(),
            number: publication.number,
            user: user.as_deref().map(str::to_owned),
            change_id,
            body,
            offset: *offset,
            client_session: publication.author.map(|author| author.client_session),
        });
        after = before;
    }
    entries.reverse();
    entries
}

/// The version behind each batch, and its offset.
pub(super) fn offsets_of(kept: &WholeKept) -> Vec<(u64, u64)> {
    entries_of(kept).iter().map(|entry| (entry.after(), entry.offset)).collect()
}

/// What Redis has, as a store would say it. `None` where some of it has gone that the app has.
pub(super) fn stored_of(
    whole: &Whole,
    kept: &WholeKept,
    kind: Kind,
    copy: &AppCopy,
) -> Result<Option<Stored>, HookError> {
    let entries = entries_of(kept);
    let reaches = entries.first().map_or(kept.version, |first| first.before) <= kept.base;
    if !reaches {
        let is_saved = kept.saved == kept.version && matches!(copy, AppCopy::Some(_));
        return if is_saved { Ok(None) } else { Err(HookError("some of its log is gone".to_owned())) };
    }
    Ok(Some(Stored {
        kind,
        epoch: whole.epoch,
        base: kept.base,
        snapshot: Some(kept.doc.clone()),
        entries,
        numbers: Vec::new(),
        saved: kept.saved,
        saving: kept.saving,
        offset: 0,
        passing: None,
    }))
}

/// Where a document goes on of which Redis has this.
pub(super) fn rest_of(kept: &WholeKept) -> Result<Rest, HookError> {
    let entries = entries_of(kept);
    let begin = entries.first().map_or(kept.version, |first| first.before);
    if begin > kept.base {
        return Err(HookError(format!("steps for version {} are missing", kept.base)));
    }
    let mut batches = Batches::new(begin);
    for entry in entries {
        batches.push(entry.into());
    }
    let snapshot = Snapshot { version: kept.base, doc: kept.doc.clone().into() };
    Ok(Rest { snapshot, batches, saved: kept.saved })
}

#[cfg(test)]
mod tests {
    use super::{entries_of, offsets_of, rest_of};
    use crate::{
        cluster::kept::WholeKept,
        ids::Id,
        room::{
            document_log::Stood,
            publication::{Content, Publication, Replaced, Steps},
        },
    };

    fn stood(offset: u64, content: Content) -> Stood {
        let publication = Publication { content, ..Publication::of_route_handler(None, "") };
        Stood { publication, offset, age: 0 }
    }

    fn steps(offset: u64, version: u64, count: u32) -> Stood {
        let client = Id::new("a").unwrap();
        let (user, change_id) = (Some("u".into()), None);
        let steps = Steps { client, user, version, count, steps: "[]".into(), change_id };
        stood(offset, Content::Steps(steps))
    }

    fn kept(version: u64, base: u64, log: Vec<Stood>) -> WholeKept {
        let (kind, doc) = ("steps".to_owned(), "null".to_owned());
        WholeKept { version, kind, base, doc, saved: 0, saving: None, log, is_loaded: true }
    }

    #[test]
    fn a_log_is_counted_from_its_end_and_what_is_no_batch_takes_no_version() {
        let message = stood(8, Content::Message("{}".to_owned()));
        let kept = kept(9, 4, vec![steps(7, 4, 2), message, steps(20, 6, 3)]);
        assert_eq!(offsets_of(&kept), [(6, 7), (9, 20)]);
        let rest = rest_of(&kept).unwrap();
        assert_eq!((rest.batches.start(), rest.batches.version(), rest.snapshot.version), (4, 9, 4));
    }

    #[test]
    fn what_stands_before_another_document_is_not_of_this_one() {
        let replaced = Replaced { version: 10, saved: 4, doc: "1".into() };
        let log = vec![steps(7, 4, 2), stood(8, Content::Replaced(replaced)), steps(9, 10, 1)];
        assert_eq!(entries_of(&kept(11, 10, log)).len(), 1);
    }

    #[test]
    fn a_log_that_does_not_reach_its_snapshot_is_not_whole() {
        assert!(rest_of(&kept(9, 4, vec![steps(7, 6, 3)])).is_err());
        assert!(rest_of(&kept(9, 9, Vec::new())).is_ok());
    }
}
