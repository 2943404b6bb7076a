//! Gives rooms their logs.

use std::sync::Arc;

use bytes::Bytes;
use redis::{RedisResult, Value};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, sleep},
};

use super::{
    delivered,
    document::Document,
    reading, sending,
    shared::{Shared, milliseconds},
    soft::Record,
    telling,
    wire::text,
};
use crate::{
    admission::elsewhere::Elsewhere,
    ids::{ClientSessionId, Id, Topic},
    room::{
        document_log::{Append, Deliver, DocumentLog, Log},
        opening::{Opened, OpenedBy, Opener, Recalled, Recalling},
        publication::{Content, Publication, Refusal},
    },
    shard::{Shard, Work},
    sync::lock,
};

/// How long one who tries again waits.
const PAUSE: Duration = Duration::from_millis(50);

/// What stands in place of a client session's number once nothing more of it is to be applied.
const FENCE: &str = "x";

/// Opens documents whose logs are in Redis.
#[derive(Debug)]
pub(super) struct RedisOpener(Arc<Shared>);

impl RedisOpener {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl Opener for RedisOpener {
    fn open(&self, document: &Id, _: OpenedBy, opened: Opened) {
        let shared = Arc::clone(&self.0);
        let document =
            Arc::new(Document::new(document.clone(), shared.keys(document), opened.room(), &shared.numbers));
        self.0.handle.spawn(async move { open(&shared, document, opened).await });
    }

    fn recalls(&self) -> bool {
        true
    }

    fn elsewhere(&self, document: &Id) -> usize {
        self.0.of_document(document.text())
    }

    fn recall(
        &self,
        document: &Id,
        client_session: ClientSessionId,
        offset: Option<u64>,
    ) -> Option<Recalling> {
        Some(self.ask(document, client_session, Asked::Applied { offset }))
    }

    fn fence(&self, document: &Id, client_session: ClientSessionId) -> Option<Recalling> {
        Some(self.ask(document, client_session, Asked::Fence))
    }
}

/// What is asked of a client session.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// What was applied of it, by one who has seen everything up to `offset`.
    Applied { offset: Option<u64> },
    /// The same, and that nothing more will be, whatever is still on its way; and whether that is sure.
    Fence,
}

impl RedisOpener {
    fn ask(&self, document: &Id, client_session: ClientSessionId, asked: Asked) -> Recalling {
        let (tell, recalling) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        let channel = shared.keys(document).channel;
        self.0.handle.spawn(async move {
            // Where Redis is away nobody is told: dropped without a word it says so.
            if let Some(document) = shared.of_channel(&channel)
                && let Some(recalled) = recall(&shared, &document, client_session, asked).await
            {
                let _ = tell.send(recalled);
            }
        });
        recalling
    }
}

/// Subscribes, reads, and begins: what comes in between waits in the document.
async fn open(shared: &Arc<Shared>, document: Arc<Document>, opened: Opened) {
    let deadline = Instant::now() + shared.config.wait;
    shared.add(&document);
    // Whatever becomes of it: without the log nobody needs the document.
    let log = RedisLog::new(shared, &document);
    while let Some(link) = shared.link(document.keys.slot, deadline).await {
        let channel = std::slice::from_ref(&document.keys.channel);
        let read = async {
            link.subscribe(channel, |_| true).await.ok()?;
            reading::read(shared, &link, &document, None).await
        };
        let Some(reading) = read.await else {
            sleep(PAUSE).await;
            continue;
        };
        let (start, news, passed) = document.begin(&reading);
        for (offset, process) in passed {
            delivered::tell(shared, process, &document.keys.channel, offset, 0);
        }
        opened.begin(DocumentLog::Other(Box::new(log)), start);
        document.tell(news);
        telling::tell(shared, &document, Record::Ask);
        // It may have been lost after it was read, before anybody who connects anew knew that the document follows.
        if link.loss.is_lost() {
            reading::catch_up_later(shared, &document, Duration::ZERO);
        }
        return;
    }
    log::warn!("document {:?} could not be opened: Redis is away", document.id);
    drop((log, opened));
}

/// Asks for a client session, and brings the room up to what its client has seen. `None` where Redis is away.
async fn recall(
    shared: &Arc<Shared>,
    document: &Arc<Document>,
    client_session: ClientSessionId,
    asked: Asked,
) -> Option<Recalled> {
    let mut applied = None;
    let deadline = Instant::now() + shared.config.wait;
    while let Some(link) = shared.link(document.keys.slot, deadline).await {
        let key = document.keys.client_session(client_session);
        let (call, offset) = match asked {
            Asked::Applied { offset } => (redis::cmd("GET").arg(key).to_owned(), offset),
            Asked::Fence => {
                let stays = milliseconds(shared.kept);
                let call = redis::cmd("SET").arg(key).arg(FENCE).arg("PX").arg(stays).arg("GET").to_owned();
                (call, None)
            }
        };
        let found: RedisResult<Value> = link.call(&call).await;
        let Ok(found) = found else {
            sleep(PAUSE).await;
            continue;
        };
        // It came from a process that was told earlier than this.
        let is_behind = offset.is_some_and(|offset| document.offset().is_some_and(|here| here < offset));
        if is_behind && !reading::catch_up(shared, &link, document).await {
            sleep(PAUSE).await;
            continue;
        }
        // A fence is no number: who meets that again knows what it was told before, or nothing.
        applied = text(&found).and_then(|applied| applied.parse().ok()).or(applied);
        let is_final = match asked {
            Asked::Applied { .. } => true,
            // A replica that takes over without the fence takes what is still on its way.
            Asked::Fence => {
                let needs_one = shared.has_replica(document.keys.slot);
                let is_final = link.is_replicated(needs_one).await;
                let has_slot =
                    || shared.link_now(document.keys.slot).is_some_and(|now| Arc::ptr_eq(&now, &link));
                let Some(is_final) = is_final.filter(|_| has_slot()) else {
                    // Another takes over, it may be, or has got the slot, with replicas of its own.
                    sleep(PAUSE).await;
                    continue;
                };
                is_final
            }
        };
        return Some(Recalled { applied, is_final });
    }
    None
}

/// The log of a room; as long as it is there, the document is followed.
#[derive(Debug)]
pub(super) struct RedisLog {
    shared: Arc<Shared>,
    document: Arc<Document>,
}

impl RedisLog {
    pub(super) fn new(shared: &Arc<Shared>, document: &Arc<Document>) -> Self {
        Self { shared: Arc::clone(shared), document: Arc::clone(document) }
    }
}

impl Log for RedisLog {
    fn append(&mut self, publication: Publication, _: Arc<dyn Deliver>) -> Append {
        let is_kept = self.document.kept.is_some();
        if !is_kept && !matches!(publication.content, Content::Client { .. } | Content::Message(_)) {
            // This is none of a document with an authority.
            return Append::Refused(Box::new(publication), Refusal::Unavailable);
        }
        let begins = match self.document.enqueue(publication) {
            Ok(begins) => begins,
            Err(publication) => return Append::Refused(publication, Refusal::Unavailable),
        };
        if begins {
            self.send();
        }
        Append::Later
    }

    fn counted(&mut self, offset: u64, members: usize) {
        delivered::delivered(&self.shared, &self.document, offset, members);
    }

    fn knows_refused(&mut self, client_session: ClientSessionId) {
        self.document.knows_refused(client_session);
    }

    fn keep(&mut self, client_sessions: &[ClientSessionId]) {
        let keys = &self.document.keys;
        let mut keeping = lock(&self.shared.keeping);
        keeping.client_sessions.extend(client_sessions.iter().map(|each| keys.client_session(*each)));
        // Who looks after a document with an authority keeps all of it.
        if self.document.kept.is_none() {
            keeping.metas.insert(keys.meta.clone());
        }
        drop(keeping);
        self.shared.keep.notify_one();
    }

    fn show(&mut self, client_session: ClientSessionId, topic: Topic, frame: &[u8]) {
        self.tell(Record::Show(client_session, topic, Bytes::copy_from_slice(frame)));
    }

    fn hide(&mut self, client_session: ClientSessionId) {
        self.tell(Record::Hide(client_session));
    }

    fn take(&mut self, client_session: ClientSessionId) {
        self.tell(Record::Take(client_session));
    }

    fn end(&mut self, client_session: ClientSessionId) {
        self.tell(Record::Take(client_session));
        // What it has shown is nobody's any more.
        self.tell(Record::Hide(client_session));
        self.document.ended(client_session);
    }
}

impl RedisLog {
    /// Begins to send. On a room's thread once all connections were read that can be, so that what comes together is sent
    /// together, and goes out together to each member: a part that went alone would cost a write more for each.
    fn send(&self) {
        let (shared, document) = (Arc::clone(&self.shared), Arc::clone(&self.document));
        let handle = self.shared.handle.clone();
        let send = move || drop(handle.spawn(async move { sending::send(&shared, &document).await }));
        match Shard::current().upgrade() {
            Some(thread) => thread.push(Work::Do("sending to Redis", Box::new(send))),
            None => send(),
        }
    }

    fn tell(&self, record: Record) {
        telling::tell(&self.shared, &self.document, record);
    }
}

impl Drop for RedisLog {
    fn drop(&mut self) {
        self.shared.remove(&self.document);
    }
}
