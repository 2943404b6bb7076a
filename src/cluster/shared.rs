//! What everything that has to do with Redis shares.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64},
    },
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
    publishing::Numbers,
    room_channels::Rooms,
    routes::{Node, Routes},
    slots::{Layout, slot_of},
    state::State,
    tallies::{Tallies, Told},
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
    /// The connections that there are.
    routes: watch::Sender<Routes>,
    /// The latest fail-over of which sentinels were believed; 0 before the first.
    pub(super) fail_over: AtomicU64,
    /// A server of a cluster has not what it was asked for: it is to be looked who has.
    pub(super) strayed: Arc<Notify>,
    /// Slot of `calls_key` and `alive_channel`.
    pub(super) calls_slot: u16,
    pub(super) alive_slot: u16,
    /// What must not expire, until somebody says so to Redis.
    pub(super) keeping: Mutex<Kept>,
    /// There is something in `keeping`.
    pub(super) keep: Notify,
    /// The other processes that were heard.
    pub(super) others: Mutex<Others>,
    /// What every process has to do.
    pub(super) calls: Calls,
    pub(super) counts: Counts,
    pub(super) numbers: Numbers,
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
    /// The rooms of handlers.
    pub(super) rooms: Rooms,
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
        // Rooms say several times in a window who is there, and what waits for a Redis that is away is known when that is back.
        let kept = (2 * window).max(SHORTEST_KEPT).max(2 * config.wait);
        Arc::new(Self {
            calls_slot: slot_of(&calls_key(&config.prefix)),
            alive_slot: slot_of(&alive_channel(&config.prefix)),
            config,
            history,
            kept,
            meta_kept: 2 * kept,
            process: random(),
            handle,
            documents: Mutex::default(),
            routes: watch::Sender::new(Routes::new()),
            fail_over: AtomicU64::new(0),
            strayed: Arc::default(),
            keeping: Mutex::default(),
            keep: Notify::new(),
            others: Mutex::default(),
            calls: Calls::new(hear),
            counts: Counts::new(),
            numbers: Numbers::default(),
            about: About::this(),
            elsewhere: Mutex::default(),
            look: OnceLock::new(),
            is_asked: AtomicBool::new(false),
            asked: Notify::new(),
            tallies: Mutex::default(),
            rooms: Rooms::default(),
        })
    }

    pub(super) fn keys(&self, document: &Id) -> Keys {
        Keys::of(&self.config.prefix, document, &format!("{:016x}", self.process))
    }

    /// A channel on which a process hears from itself; in a cluster there are many, so that each server has one.
    pub(super) fn probe_channel(&self, number: u32) -> String {
        format!("{}probe:{:016x}:{number}", self.config.prefix, self.process)
    }

    /// The hub has ended, and its thread: whoever waits for something is told that it does not come.
    pub(super) fn end(&self) {
        self.rooms.end();
        for document in self.all() {
            document.give_up("the hub has ended");
        }
        let told = lock(&self.tallies).end();
        told.into_iter().for_each(Told::tell);
    }

    /// The channel on which all processes say that they are there.
    pub(super) fn alive_channel(&self) -> String {
        alive_channel(&self.config.prefix)
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

    /// How many processes there are, this one among them.
    pub(super) fn known_processes(&self) -> usize {
        let mut others: HashSet<_> = lock(&self.others).there().collect();
        others.extend(lock(&self.elsewhere).ids());
        others.len() + 1
    }

    /// The channels over which this process hears what concerns no document.
    pub(super) fn of_all_processes(&self) -> Vec<String> {
        let own = self.tally_channel(self.process);
        vec![self.alive_channel(), self.census_channel(), own, self.calls_key()]
    }

    /// The set of the documents that are not saved, each with the process that has written to it.
    pub(super) fn unsaved_key(&self) -> String {
        format!("{}unsaved", self.config.prefix)
    }

    /// The stream of the calls that every process has to do, and the channel on which it is told that there is one.
    pub(super) fn calls_key(&self) -> String {
        calls_key(&self.config.prefix)
    }

    /// Whether several servers share the documents.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.config.server.is_in_cluster()
    }

    /// The first number that makes a name whose slot a server has; `None` where it has none.
    pub(super) fn number_on(&self, node: &Node, name: impl Fn(u32) -> String) -> Option<u32> {
        /// A server that has one slot of all is found in so many, or it is not worth it.
        const MOST: u32 = 1 << 18;
        let routes = self.routes.borrow();
        (0..MOST).find(|number| routes.node(slot_of(&name(*number))).as_ref() == Some(node))
    }

    /// Whether a server has a slot.
    pub(super) fn is_on(&self, node: &Node, slot: u16) -> bool {
        self.routes.borrow().node(slot).as_ref() == Some(node)
    }

    pub(super) fn state(&self) -> State {
        self.routes.borrow().state()
    }

    /// Everything of a server has caught up.
    pub(super) fn ready(&self, node: &Node, link: Arc<Link>) {
        self.routes.send_modify(|routes| routes.ready(node.clone(), link));
    }

    /// A server is away.
    pub(super) fn away(&self, node: &Node, reason: &str) {
        self.routes.send_modify(|routes| routes.away(node.clone(), reason));
    }

    /// Who has what, in a cluster.
    pub(super) fn layout(&self) -> Option<Arc<Layout>> {
        self.routes.borrow().layout().cloned()
    }

    /// Whether another server is there to take over a slot from who has it, as far as is known.
    pub(super) fn has_replica(&self, slot: u16) -> bool {
        self.config.server.is_watched() || self.layout().is_some_and(|layout| layout.has_replica(slot))
    }

    /// From now on it is divided like this.
    pub(super) fn divide(&self, layout: Arc<Layout>) {
        self.routes.send_modify(|routes| routes.divide(layout));
    }

    /// The connections to who has a slot, where they do.
    pub(super) fn link_now(&self, slot: u16) -> Option<Arc<Link>> {
        self.routes.borrow().link(slot).cloned()
    }

    /// All connections that there are.
    pub(super) fn links_now(&self) -> Vec<Arc<Link>> {
        self.routes.borrow().links().cloned().collect()
    }

    /// Keys by who has them; those of a server that is away are left out.
    pub(super) fn by_link(&self, keys: impl IntoIterator<Item = String>) -> Vec<(Arc<Link>, Vec<String>)> {
        let routes = self.routes.borrow();
        let mut found: Vec<(Arc<Link>, Vec<String>)> = Vec::new();
        for key in keys {
            let Some(link) = routes.link_of_key(&key) else { continue };
            match found.iter_mut().find(|(each, _)| Arc::ptr_eq(each, link)) {
                Some((_, keys)) => keys.push(key),
                None => found.push((Arc::clone(link), vec![key])),
            }
        }
        found
    }

    /// The connections to who has a slot, as soon as there are any; `None` behind the deadline.
    pub(super) async fn link(&self, slot: u16, deadline: Instant) -> Option<Arc<Link>> {
        if Instant::now() >= deadline {
            // Also where there are some: whoever tries again does so until then.
            return None;
        }
        let mut routes = self.routes.subscribe();
        let found = timeout_at(deadline, routes.wait_for(|routes| routes.link(slot).is_some())).await;
        found.ok()?.ok()?.link(slot).cloned()
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
        let (channel, slot) = (document.keys.channel.clone(), document.keys.slot);
        {
            let mut documents = lock(&self.documents);
            if !documents.get(&channel).is_some_and(|found| Arc::ptr_eq(found, document)) {
                return;
            }
            documents.remove(&channel);
        }
        let shared = Arc::clone(self);
        self.handle.spawn(async move {
            if let Some(link) = shared.link_now(slot) {
                link.unsubscribe(&channel, |channel| shared.of_channel(channel).is_some()).await;
            }
        });
    }

    pub(super) fn all(&self) -> Vec<Arc<Document>> {
        lock(&self.documents).values().cloned().collect()
    }

    /// The documents that a server has.
    pub(super) fn all_on(&self, node: &Node) -> Vec<Arc<Document>> {
        let all = self.all();
        let routes = self.routes.borrow();
        all.into_iter().filter(|each| routes.node(each.keys.slot).as_ref() == Some(node)).collect()
    }
}

fn calls_key(prefix: &str) -> String {
    format!("{prefix}calls")
}

fn alive_channel(prefix: &str) -> String {
    format!("{prefix}alive")
}

impl Elsewhere for Shared {
    fn of_user(&self, user: &str) -> usize {
        lock(&self.elsewhere).of_user(user)
    }

    fn of_document(&self, document: &str) -> usize {
        lock(&self.elsewhere).of_document(document)
    }
}

/// A number that nobody else has. It is no secret, and each publication takes two: the keys that hash maps get cost no system
/// call but for the first of a thread.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// For Redis, which counts in whole ones.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
