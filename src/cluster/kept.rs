//! Documents with an authority, as they stand in Redis: a snapshot, the log behind it, and how much of that is saved.
//!
//! Every process follows the log. One at a time looks after the document: it has a lease that expires, it alone asks the app
//! to load and to save, and what it writes beside the log is refused once it has lost the lease.

use std::{
    sync::{Arc, Weak, mpsc},
    time::Duration,
};

use redis::Value;
use tokio::time::{Instant, sleep};

use super::{
    delivered,
    document::Document,
    entry, follower,
    keeper::Kept,
    leases,
    link::Link,
    opener::RedisLog,
    reading,
    shared::{Shared, milliseconds, random},
    soft::Record,
    telling,
    wire::{Reading, nonce_text, text},
};
pub(crate) use super::{
    keeper::{Keeper, Lease},
    kept_log::KeptLog,
};
use crate::{
    ids::{ClientSessionId, Epoch, Id},
    recovery::history::LEAP,
    room::{
        document_log::{Deliver, News, Start, Stood},
        publication::{Content, Publication, Replaced},
    },
};

/// How long one who tries again waits.
const PAUSE: Duration = Duration::from_millis(50);

/// How long it stays what was set aside.
const ASIDE_KEPT: Duration = Duration::from_hours(24 * 30);

/// What Redis has of a document.
#[derive(Debug)]
pub(crate) struct Whole {
    /// `None` where it was never loaded.
    pub(crate) kept: Option<WholeKept>,
    pub(crate) epoch: Epoch,
    reading: Reading,
}

/// A document that was loaded.
#[derive(Debug)]
pub(crate) struct WholeKept {
    /// The version behind the last entry.
    pub(crate) version: u64,
    /// What it is, as it was named.
    pub(crate) kind: String,
    /// The version of the snapshot.
    pub(crate) base: u64,
    pub(crate) doc: String,
    /// The version that the app has.
    pub(crate) saved: u64,
    /// The version of a save whose end was not noted.
    pub(crate) saving: Option<u64>,
    /// The log, in order, as far as it can be read from its end on.
    pub(crate) log: Vec<Stood>,
    /// Whether that was loaded by whoever looks after it now.
    pub(crate) is_loaded: bool,
}

impl Whole {
    fn of(reading: Reading) -> Self {
        let log = follower::history(&reading).1;
        let kept = reading.kept.as_ref().map(|kept| WholeKept {
            version: kept.version,
            kind: kept.kind.clone(),
            base: kept.base,
            doc: kept.doc.clone(),
            saved: kept.saved,
            saving: kept.saving,
            log,
            is_loaded: !reading.holder.is_empty() && kept.by == reading.holder,
        });
        Self { kept, epoch: reading.epoch, reading }
    }
}

/// One change of what stands beside the log.
#[derive(Debug)]
pub(crate) enum Change {
    /// A save of this version begins.
    Saving(u64),
    /// The app has this version.
    Saved(u64),
    /// The app may have this version, of what was lost.
    May(u64),
    /// A newer snapshot, with the offset up to which everything is in it.
    Snapshot { version: u64, doc: String, offset: u64 },
    /// Something is put aside.
    SetAside { record: Vec<u8>, body_bytes: usize },
    /// It was loaded, and is as it was.
    Loaded,
    /// The document begins, or goes on as another one: where it is at version `at`, or was never loaded.
    Create {
        kind: &'static str,
        version: u64,
        doc: String,
        saved: u64,
        at: Option<u64>,
        said: Option<Replaced>,
    },
}

/// What Redis has lost of a document.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The version that Redis has; `None` where it has nothing of the document.
    pub(crate) at: Option<u64>,
    pub(crate) kind: &'static str,
    /// The document behind which the batches stand, where Redis has nothing.
    pub(crate) begins: Replaced,
    /// What is to stand there again.
    pub(crate) batches: Vec<Content>,
}

/// Why something was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotChanged {
    /// Redis is away.
    Away,
    /// Another process looks after the document.
    Lost,
    /// The document is at another version.
    Stale,
}

/// All documents with an authority, as they stand in Redis.
#[derive(Debug, Clone)]
pub(crate) struct KeptDocuments(Arc<Shared>);

impl KeptDocuments {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// Follows a document for a room; `stays` says how long it stays in Redis once it is saved, `None` for ever.
    pub(crate) fn follow(&self, id: &Id, room: Weak<dyn Deliver>, stays: Option<Duration>) -> KeptLog {
        let shared = &self.0;
        let token = format!("{:016x}-{:016x}", shared.process, random());
        let kept = Kept::new(token, stays);
        let document =
            Arc::new(Document::with_authority(id.clone(), shared.keys(id), room, &shared.numbers, kept));
        shared.add(&document);
        let log = RedisLog::new(shared, &document);
        KeptLog { log, followed: Followed { shared: Arc::clone(shared), document } }
    }

    /// Documents that are not saved, and of which no process that is there says that it sees to it.
    pub(crate) async fn left_behind(&self) -> Vec<(String, Id)> {
        leases::left_behind(&self.0).await
    }

    /// Nobody has to see to it any more that it is saved.
    pub(crate) async fn settle(&self, mark: String) {
        leases::settle(&self.0, mark).await;
    }

    /// Where what waits for Redis runs.
    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        &self.0.handle
    }
}

/// A document that is followed.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    shared: Arc<Shared>,
    document: Arc<Document>,
}

impl Followed {
    fn kept(&self) -> &Kept {
        // It was made with it.
        let Some(kept) = &self.document.kept else { unreachable!("it has an authority") };
        kept
    }

    /// Has `keeper` told what becomes of it.
    pub(crate) fn tell(&self, keeper: Arc<dyn Keeper>) {
        self.kept().tell(keeper);
    }

    /// Where what waits for Redis runs.
    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        &self.shared.handle
    }

    /// The connections to the server that has it; `None` where Redis is away by the deadline.
    async fn link(&self, deadline: Instant) -> Option<Arc<Link>> {
        self.shared.link(self.document.keys.slot, deadline).await
    }

    /// Whether this process looks after it.
    pub(crate) fn is_held(&self) -> bool {
        self.kept().is_held()
    }

    /// Subscribes, and reads all there is; `None` where Redis is away.
    pub(crate) async fn read(&self, deadline: Instant) -> Option<Whole> {
        let (shared, document) = (&self.shared, &self.document);
        while let Some(link) = shared.link(document.keys.slot, deadline).await {
            let channel = std::slice::from_ref(&document.keys.channel);
            if link.subscribe(channel, |_| true).await.is_ok()
                && let Some(reading) = reading::read(shared, &link, document, None).await
            {
                return Some(Whole::of(reading));
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Tries to look after it; whether it does. `None` where Redis is away.
    pub(crate) async fn lease(&self, is_open: bool, deadline: Instant) -> Option<bool> {
        while let Some(link) = self.link(deadline).await {
            match link.call(&leases::call(&self.shared, &link, &self.document, is_open)).await {
                Ok(answer) => {
                    let lease = leases::parse(&answer)?;
                    self.kept().leased(lease);
                    return Some(lease.is_held);
                }
                Err(error) => leases::complain(&link, &self.document, &error).await,
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Changes what stands beside the log; where `by_anybody`, whoever looks after it. Where `history` is given, only while the log
    /// is that one: versions of another are not what they were made for.
    pub(crate) async fn change(
        &self,
        changes: &[Change],
        by_anybody: bool,
        history: Option<u64>,
    ) -> Result<(), NotChanged> {
        let deadline = Instant::now() + self.shared.config.wait;
        while let Some(link) = self.link(deadline).await {
            // Over a new connection the log was read again before.
            if history.is_some_and(|history| history != self.kept().history()) {
                return Err(NotChanged::Stale);
            }
            let call = self.call(&link, changes, by_anybody);
            match link.call(&call).await {
                Ok(answer) => {
                    return match text(&answer) {
                        Some("done") => Ok(()),
                        Some("stale") => Err(NotChanged::Stale),
                        _ => {
                            self.kept().lost();
                            Err(NotChanged::Lost)
                        }
                    };
                }
                Err(error) => leases::complain(&link, &self.document, &error).await,
            }
            sleep(PAUSE).await;
        }
        Err(NotChanged::Away)
    }

    fn call(&self, link: &Link, changes: &[Change], by_anybody: bool) -> redis::Cmd {
        let keys = &self.document.keys;
        let mut call = link.keep(5);
        call.arg(&keys.meta).arg(&keys.stream).arg(&keys.kept).arg(&keys.lease).arg(&keys.aside);
        call.arg(if by_anybody { "" } else { &self.kept().token })
            .arg(&keys.channel)
            .arg(&link.server.run)
            .arg(nonce_text(random()))
            .arg(LEAP + random() % u64::from(u32::MAX))
            .arg(milliseconds(ASIDE_KEPT))
            .arg(leases::stays(&self.shared, self.kept()));
        for change in changes {
            match change {
                Change::Saving(version) => call.arg("saving").arg(*version),
                Change::Saved(version) => call.arg("saved").arg(*version),
                Change::May(version) => call.arg("may").arg(*version),
                Change::Snapshot { version, doc, offset } => {
                    call.arg("snapshot").arg(*version).arg(doc).arg(*offset)
                }
                Change::SetAside { record, body_bytes } => {
                    call.arg("aside").arg(&record[..]).arg(*body_bytes)
                }
                Change::Loaded => call.arg("by"),
                Change::Create { kind, version, doc, saved, at, said } => {
                    let at = at.map(|at| at.to_string()).unwrap_or_default();
                    let said = said.clone().map(|said| Publication {
                        content: Content::Replaced(said),
                        ..Publication::of_route_handler(None, "")
                    });
                    let said = said.as_ref().and_then(entry::encode).unwrap_or_default();
                    call.arg("create").arg(*kind).arg(*version).arg(doc).arg(*saved).arg(at).arg(said)
                }
            };
        }
        call
    }

    /// Puts there again what Redis has lost, all at once, while the log is the one that `history` says.
    pub(crate) async fn restore(&self, lost: &Lost, history: u64) -> Result<(), NotChanged> {
        let deadline = Instant::now() + self.shared.config.wait;
        let Some(epoch) = self.document.epoch() else { return Err(NotChanged::Stale) };
        while let Some(link) = self.link(deadline).await {
            if history != self.kept().history() {
                return Err(NotChanged::Stale);
            }
            if !leases::mark_restored(&self.shared, &self.document).await {
                sleep(PAUSE).await;
                continue;
            }
            match link.call(&self.call_restore(&link, epoch, lost)).await {
                Ok(answer) if text(&answer) == Some("done") => return Ok(()),
                Ok(_) => return Err(NotChanged::Stale),
                Err(error) => leases::complain(&link, &self.document, &error).await,
            }
            sleep(PAUSE).await;
        }
        Err(NotChanged::Away)
    }

    fn call_restore(&self, link: &Link, epoch: Epoch, lost: &Lost) -> redis::Cmd {
        let Lost { at, kind, begins, batches } = lost;
        let of = |content| Publication { content, ..Publication::of_route_handler(None, "") };
        let keys = &self.document.keys;
        let mut call = link.restore(4);
        call.arg(&keys.meta).arg(&keys.stream).arg(&keys.kept).arg(&keys.lease);
        call.arg(&keys.channel)
            .arg(&link.server.run)
            .arg(nonce_text(random()))
            .arg(LEAP + random() % u64::from(u32::MAX))
            .arg(epoch.to_string())
            .arg(at.map(|at| at.to_string()).unwrap_or_default())
            .arg(*kind)
            .arg(begins.version)
            .arg(&*begins.doc)
            .arg(begins.saved)
            .arg(entry::encode(&of(Content::Replaced(begins.clone()))).unwrap_or_default())
            .arg(batches.len());
        for batch in batches {
            let count = if let Content::Steps(steps) = batch { steps.count } else { 1 };
            call.arg(count).arg(entry::encode(&of(batch.clone())).unwrap_or_default());
        }
        call
    }

    /// Has the room go on with all that stands in Redis now, as if it were another log; whether that was done. On the thread of
    /// Redis.
    pub(crate) async fn begin_anew(&self) -> bool {
        let deadline = Instant::now() + self.shared.config.wait;
        let Some(link) = self.link(deadline).await else { return false };
        match reading::read(&self.shared, &link, &self.document, None).await {
            Some(reading) => {
                self.document.begin_anew(reading);
                true
            }
            None => false,
        }
    }

    /// What was set aside of it.
    pub(crate) async fn set_aside(&self) -> Option<Vec<Vec<u8>>> {
        let link = self.shared.link_now(self.document.keys.slot)?;
        let call = redis::cmd("LRANGE").arg(&self.document.keys.aside).arg(0).arg(-1).to_owned();
        let Value::Array(records) = link.call(&call).await.ok()? else { return None };
        let record = |record| if let Value::BulkString(bytes) = record { Some(bytes) } else { None };
        Some(records.into_iter().filter_map(record).collect())
    }

    /// The room begins with what was read; returns where, and what it is to be told behind that.
    pub(crate) fn begin(&self, whole: &Whole) -> (Start, Vec<News>) {
        let (start, news, passed) = self.document.begin(&whole.reading);
        for (offset, process) in passed {
            delivered::tell(&self.shared, process, &self.document.keys.channel, offset, 0);
        }
        (start, news)
    }

    /// Tells the room what has come before it was open, and asks what members elsewhere show.
    pub(crate) fn begun(&self, news: Vec<News>) {
        self.document.tell(news);
        telling::tell(&self.shared, &self.document, Record::Ask);
        // It may have been lost after it was read, before anybody who connects anew knew that the document follows.
        if self.shared.link_now(self.document.keys.slot).is_none() {
            let followed = self.clone();
            self.shared.handle.spawn(async move { followed.catch_up().await });
        }
    }

    /// What the log has become that the room is to go on with, and which one that is.
    pub(crate) fn take_restarted(&self) -> (u64, Option<Whole>) {
        let (history, reading) = self.kept().take_restarted();
        (history, reading.map(Whole::of))
    }

    /// Brings the room up to what stands in Redis now; whether that was done.
    pub(crate) async fn catch_up(&self) -> bool {
        let deadline = Instant::now() + self.shared.config.wait;
        match self.link(deadline).await {
            Some(link) => reading::catch_up(&self.shared, &link, &self.document).await,
            None => false,
        }
    }

    /// Tells the other processes that it is saved at a version.
    pub(crate) fn tell_saved(&self, version: u64) {
        telling::tell(&self.shared, &self.document, Record::Saved(version));
    }

    /// Tells the other processes that a client, or a route handler of this process, waits for its turn.
    pub(crate) fn tell_waiting(&self, client_session: Option<ClientSessionId>, round_trip: u64) {
        let writer = client_session.unwrap_or_else(|| self.route_handlers());
        let round_trip = u32::try_from(round_trip).unwrap_or(u32::MAX);
        telling::tell(&self.shared, &self.document, Record::Waits(writer, round_trip));
    }

    /// Tells them that the route handler has had it.
    pub(crate) fn tell_served(&self) {
        telling::tell(&self.shared, &self.document, Record::Served(self.route_handlers()));
    }

    /// How those of this process are called among the writers of other processes.
    fn route_handlers(&self) -> ClientSessionId {
        ClientSessionId::new(self.shared.process)
    }

    /// Asks whoever looks after it to save it now.
    pub(crate) fn ask_to_save(&self) {
        telling::tell(&self.shared, &self.document, Record::Save);
    }

    /// Nothing of it has to be saved any more: says so to Redis, if that is still so then.
    pub(crate) fn saved(&self) {
        leases::unmark_later(&self.shared, &self.document);
    }

    /// Another may look after it; what is returned hears once Redis knows, or breaks off.
    pub(crate) fn release(&self) -> mpsc::Receiver<()> {
        let (tell, told) = mpsc::channel();
        if self.kept().give_up() {
            let (shared, document) = (Arc::clone(&self.shared), Arc::clone(&self.document));
            self.shared.handle.spawn(async move {
                leases::release(&shared, &document).await;
                // Whoever has gone needs no answer.
                let _ = tell.send(());
            });
        }
        told
    }
}
