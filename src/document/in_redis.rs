//! A document that is shared over a Redis.

use std::sync::mpsc;

use tokio::time::{Duration, Instant};

use super::{
    from_redis::{name_of, not_changed, rest_of, set_aside_of},
    hooks::{Answer, HookError, Snapshot},
    store::{Kind, SetAside, Write, record},
    together::{Rest, Together},
};
use crate::{
    cluster::kept::{Change, Followed, Lost, NotChanged},
    ids::{ClientSessionId, Id},
    room::publication::{Content, Replaced},
};

/// How long Redis may be away before what is asked of it fails.
const WITHIN: Duration = Duration::from_secs(30);

/// A document over a Redis.
#[derive(Debug)]
pub(super) struct OverRedis {
    pub(super) id: Id,
    pub(super) kind: Kind,
    pub(super) followed: Followed,
}

impl Together for OverRedis {
    fn is_saver(&self) -> bool {
        self.followed.is_held()
    }

    fn write(&self, writes: Vec<Write>, offset: u64, history: Option<u64>) -> Answer<()> {
        // A client's snapshot is what it is, whoever puts it there; and what is set aside nobody else may have.
        let by_anybody = |write: &Write| matches!(write, Write::Snapshot { .. } | Write::SetAside { .. });
        let by_anybody = writes.iter().all(by_anybody);
        let change = |write| match write {
            Write::Saving { position, .. } => Some(Change::Saving(position)),
            Write::Saved { position, .. } => Some(Change::Saved(position)),
            Write::Snapshot { position, body, .. } => {
                Some(Change::Snapshot { version: position, doc: body, offset })
            }
            Write::SetAside { document, reason, body } => Some(set_aside_of(&document, &reason, body)),
            // There are none of them where several processes have it.
            _ => None,
        };
        let changes: Vec<_> = writes.into_iter().filter_map(change).collect();
        let followed = self.followed.clone();
        Box::pin(async move { followed.change(&changes, by_anybody, history).await.map_err(not_changed) })
    }

    fn replace(&self, replaced: Replaced, at: (u64, u64), reason: &str, set_aside: String) -> Answer<()> {
        let (at, history) = at;
        let changes = [
            set_aside_of(&self.id, reason, set_aside),
            Change::Create {
                kind: name_of(self.kind),
                version: replaced.version,
                doc: replaced.doc.to_string(),
                saved: replaced.saved,
                at: Some(at),
                said: Some(replaced),
            },
        ];
        let followed = self.followed.clone();
        Box::pin(async move { followed.change(&changes, false, Some(history)).await.map_err(not_changed) })
    }

    fn restore(
        &self,
        at: Option<u64>,
        begins: Replaced,
        batches: Vec<Content>,
        history: u64,
    ) -> Answer<bool> {
        let lost = Lost { at, kind: name_of(self.kind), begins, batches };
        let followed = self.followed.clone();
        Box::pin(async move {
            match followed.restore(&lost, history).await {
                Ok(()) => Ok(true),
                Err(NotChanged::Stale | NotChanged::Lost) => Ok(false),
                Err(error) => Err(not_changed(error)),
            }
        })
    }

    fn begin_anew(&self) -> Answer<bool> {
        let followed = self.followed.clone();
        // On the thread of Redis, so that what comes stays in order.
        let begun = followed.handle().clone().spawn(async move { followed.begin_anew().await });
        Box::pin(async move { Ok(begun.await.unwrap_or(false)) })
    }

    fn snapshot(&self) -> Answer<Option<Snapshot>> {
        let followed = self.followed.clone();
        Box::pin(async move {
            let whole = followed.read(Instant::now() + WITHIN).await;
            Ok(whole
                .and_then(|whole| whole.kept)
                .map(|kept| Snapshot { version: kept.base, doc: kept.doc.into() }))
        })
    }

    fn tell_saved(&self, version: u64) {
        self.followed.tell_saved(version);
    }

    fn may_be_saved(&self, version: u64) -> Answer<()> {
        let followed = self.followed.clone();
        Box::pin(
            async move { followed.change(&[Change::May(version)], true, None).await.map_err(not_changed) },
        )
    }

    fn is_saved(&self) {
        self.followed.saved();
    }

    fn tell_waiting(&self, client: Option<ClientSessionId>, round_trip: u64) {
        self.followed.tell_waiting(client, round_trip);
    }

    fn tell_served(&self) {
        self.followed.tell_served();
    }

    fn ask_to_save(&self) {
        self.followed.ask_to_save();
    }

    fn release(&self) -> mpsc::Receiver<()> {
        self.followed.release()
    }

    fn restarted(&self) -> (u64, Option<Rest>) {
        let (history, whole) = self.followed.take_restarted();
        let rest = whole.and_then(|whole| whole.kept).and_then(|kept| match rest_of(&kept) {
            Ok(rest) => Some(rest),
            Err(HookError(reason)) => {
                log::error!(document = self.id.text(); "document {:?}: what Redis has of it is not whole: {reason}", self.id);
                None
            }
        });
        (history, rest)
    }

    fn catch_up(&self) -> Answer<bool> {
        let followed = self.followed.clone();
        Box::pin(async move {
            let caught_up = self::caught_up(followed).await;
            Ok(caught_up)
        })
    }

    fn set_aside(&self) -> Answer<Vec<SetAside>> {
        let followed = self.followed.clone();
        Box::pin(async move {
            let records = followed.set_aside().await.ok_or_else(|| not_changed(NotChanged::Away))?;
            Ok(records.iter().filter_map(|record| record::decode_aside(record).ok()).collect())
        })
    }
}

/// Catches up on the thread of Redis, so that what comes stays in order.
async fn caught_up(followed: Followed) -> bool {
    let handle = followed.handle().clone();
    handle.spawn(async move { followed.catch_up().await }).await.unwrap_or(false)
}
