//! What everything that has to do with Redis shares.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

use super::{
    call_queue::{Calls, Do},
    census::Table,
    config::ClusterConfig,
    counts::Counts,
    document::Document,
    keys::Keys,
    link::Link,
    others::Others,
    state::State,
    tallies::Tallies,
};
use crate::{
    admission::elsewhere::{About, Census, Elsewhere},
    config::HistoryLimits,
    ids::Id,
    sync::lock,
};

/// Shortest time for which anything is kept: longer than any call that is sent again.
const SHORTEST_KEPT: Duration = Duration::from_mins(1);

/// What everything that has to do with Redis shares.
pub(super) struct Shared {
    pub(super) config: ClusterConfig,
    /// Bounds of a stream.
    pub(super) history: HistoryLimits,
    /// How long streams and client sessions stay after they were used last.
    pub(super) kept: Duration,
    /// How long what is known of a document stays: longer than its stream, so that what is trimmed is not taken for lost.
    pub(super) meta_kept: Duration,
    /// Names this process, as long as it lives.
    pub(super) process: u64,
    pub(super) handle: Handle,
    /// Documents that a room has open or is opening, by their channel.
    documents: Mutex<HashMap<String, Arc<Document>>>,
    /// `None` while Redis is away.
    link: watch::Sender<Option<Arc<Link>>>,
    state: Mutex<State>,
    /// What must not expire, until somebody says so to Redis.
    pub(super) keeping: Mutex<Kept>,
    /// There is something in `keeping`.
    pub(super) keep: Notify,
    /// The other processes that were heard.
    pub(super) others: Mutex<Others>,
    /// What every process has to do.
    pub(super) calls: Calls,
    pub(super) counts: Counts,
    /// What this process is.
    pub(super) about: About,
    /// Who is in the other processes.
    pub(super) elsewhere: Mutex<Table>,
    /// Says who is in this one; set once the hub has begun.
    pub(super) look: OnceLock<Look>,
    /// Another process wants to be told who is in this one.
    pub(super) is_asked: AtomicBool,
    pub(super) asked: Notify,
    /// How many connections got what route handlers have published here.
    pub(super) tallies: Mutex<Tallies>,
}

/// Says who is in this process; `None` where its hub has ended.
pub(super) type Look = Box<dyn Fn() -> Option<Census> + Send + Sync>;

/// Keys that must not expire.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) client_sessions: HashSet<String>,
    pub(super) metas: HashSet<String>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("server", &self.config.server).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        config: ClusterConfig,
        history: HistoryLimits,
        window: Duration,
        handle: Handle,
        hear: Do,
    ) -> Arc<Self> {
        // Rooms say several times in a window who is there.
        let kept = (2 * window).max(SHORTEST_KEPT);
        Arc::new(Self {
            config,
            history,
            kept,
            meta_kept: 2 * kept,
            process: random(),
            handle,
            documents: Mutex::default(),
            link: watch::Sender::new(None),
            state: Mutex::new(State::Away("it was not reached yet".to_owned())),
            keeping: Mutex::default(),
            keep: Notify::new(),
            others: Mutex::default(),
            calls: Calls::new(hear),
            counts: Counts::new(),
            about: About::this(),
            elsewhere: Mutex::default(),
            look: OnceLock::new(),
            is_asked: AtomicBool::new(false),
            asked: Notify::new(),
            tallies: Mutex::default(),
        })
    }

    pub(super) fn keys(&self, document: &Id) -> Keys {
        Keys::of(&self.config.prefix, document, &format!("{:016x}", self.process))
    }

    /// The channel on which a process hears from itself.
    pub(super) fn probe_channel(&self) -> String {
        format!("{}probe:{:016x}", self.config.prefix, self.process)
    }

    /// The channel on which all processes say that they are there.
    pub(super) fn alive_channel(&self) -> String {
        format!("{}alive", self.config.prefix)
    }

    /// The channel on which all processes say who is in them.
    pub(super) fn census_channel(&self) -> String {
        format!("{}census", self.config.prefix)
    }

    /// The channel on which a process is told how many connections got something.
    pub(super) fn tally_channel(&self, process: u64) -> String {
        format!("{}tally:{process:016x}", self.config.prefix)
    }

    /// Who is in this process; `None` where its hub has not begun, or has ended.
    pub(super) fn census(&self) -> Option<Census> {
        self.look.get().and_then(|look| look())
    }

    /// The stream of the calls that every process has to do, and the channel on which it is told that there is one.
    pub(super) fn calls_key(&self) -> String {
        format!("{}calls", self.config.prefix)
    }

    pub(super) fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// Everything has caught up.
    pub(super) fn ready(&self, link: Arc<Link>) {
        *lock(&self.state) = State::Ready;
        self.link.send_replace(Some(link));
    }

    /// Redis is away.
    pub(super) fn away(&self, reason: &str) {
        *lock(&self.state) = State::Away(reason.to_owned());
        self.link.send_replace(None);
    }

    /// The connections, where Redis is there.
    pub(super) fn link_now(&self) -> Option<Arc<Link>> {
        self.link.borrow().clone().filter(|link| !link.loss.is_lost())
    }

    /// The connections, as soon as there are any; `None` where there are none by the deadline.
    pub(super) async fn link(&self, deadline: Instant) -> Option<Arc<Link>> {
        let mut links = self.link.subscribe();
        let is_there = |link: &Option<Arc<Link>>| link.as_ref().is_some_and(|link| !link.loss.is_lost());
        let link = timeout_at(deadline, links.wait_for(is_there)).await;
        link.ok()?.ok()?.clone()
    }

    /// The document of a channel.
    pub(super) fn of_channel(&self, channel: &str) -> Option<Arc<Document>> {
        lock(&self.documents).get(channel).cloned()
    }

    /// A room opens a document.
    pub(super) fn add(&self, document: &Arc<Document>) {
        lock(&self.documents).insert(document.keys.channel.clone(), Arc::clone(document));
    }

    /// A room has no more use for a document; its channel is not heard any more.
    pub(super) fn remove(self: &Arc<Self>, document: &Arc<Document>) {
        let channel = document.keys.channel.clone();
        {
            let mut documents = lock(&self.documents);
            if !documents.get(&channel).is_some_and(|found| Arc::ptr_eq(found, document)) {
                return;
            }
            documents.remove(&channel);
        }
        let shared = Arc::clone(self);
        self.handle.spawn(async move {
            if let Some(link) = shared.link_now() {
                link.unsubscribe(&channel, |channel| shared.of_channel(channel).is_some()).await;
            }
        });
    }

    pub(super) fn all(&self) -> Vec<Arc<Document>> {
        lock(&self.documents).values().cloned().collect()
    }
}

impl Elsewhere for Shared {
    fn of_user(&self, user: &str) -> usize {
        lock(&self.elsewhere).of_user(user)
    }

    fn of_document(&self, document: &str) -> usize {
        lock(&self.elsewhere).of_document(document)
    }
}

/// A number that nobody else has.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| crate::ids::Epoch::random().number())
}

/// For Redis, which counts in whole ones.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
