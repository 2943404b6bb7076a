//! Several processes that order their documents by one Redis.
//!
//! Redis orders, and nobody else: what is published goes to a script, which gives it a place, keeps it in a bounded stream and
//! tells every process. It goes out to the members of a room, also in the process that has published it, when it has come
//! back. What does not come is read from the stream. While Redis is away publications wait, are not acknowledged, and are
//! refused in the end; when it is back, every open document has caught up before anything else is sent.
//!
//! # Layout
//!
//! - [`config`], [`place`], `url`, `error`, `state`: what it can be told, why it does not start, and whether it can publish.
//! - `opener`: gives rooms their logs. `sending`: batches of one document, until each was answered. `reading`: what has not
//!   come. `replicas`: whether what was written outlives its server. `supervisor`: connects, and finds out that a connection is
//!   none. `keeping`: what must not expire.
//! - `calls`, `call_queue`: what every process has to do. `telling`: what members show, whose place they take, and whether the other processes are there.
//! - `census`, `counting`: who is in which process. `tallies`, `delivered`: how many connections got something. `rooms`, `room_channels`, `claims`: those of handlers. [`counts`]: what is counted. `shared`: what all of these share. `document`, `follower`, `publishing`: one document.
//! - `nodes`, `slots`, `routes`, `moving`: the servers of a cluster, and who has what. `hearing`: what is pushed.
//! - `primary`, `sentinel`, `once`: where the server is, and that nobody says so. `dial`, `tls`, `link`, `server_info`: the connections.
//! - `kept`, `kept_log`, `keeper`, `leases`: documents with an authority, and which process looks after them.
//! - `keys`, `entry`, `wire`, `soft`, `text`, `topics`, `age`, `*.lua`: what stands in Redis, and what is said.

mod age;
mod call_queue;
mod calls;
mod census;
mod claims;
pub mod config;
mod counting;
pub mod counts;
mod delivered;
mod dial;
mod document;
mod entry;
mod error;
mod follower;
mod hearing;
mod keeper;
mod keeping;
pub(crate) mod kept;
mod kept_log;
mod keys;
mod leases;
mod link;
mod moving;
mod nodes;
mod once;
mod opener;
mod others;
pub mod place;
mod primary;
mod publishing;
mod reading;
mod replicas;
mod room_channels;
mod rooms;
mod routes;
mod sending;
mod sentinel;
mod server_info;
mod shared;
mod slots;
mod soft;
mod start_check;
mod state;
mod supervisor;
mod tallies;
mod telling;
mod text;
mod tls;
mod topics;
mod url;
mod wire;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{runtime, sync::Notify};

pub use self::{
    call_queue::Do,
    error::StartError,
    room_channels::{HearRoom, Reached},
    state::State,
};
use self::{config::ClusterConfig, counts::Glance, shared::Shared};
use crate::{
    Config,
    admission::elsewhere::{About, Census, Elsewhere, Process},
    ids::Id,
    sync::lock,
};

/// A hub's part in a cluster: its thread `hub-redis`, and the documents that it follows. Dropping it ends the thread.
pub struct Cluster {
    shared: Arc<Shared>,
    stop: Arc<Notify>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts the thread, and waits until Redis was reached for the first time and will do. `hear` is given, on that thread,
    /// what other processes have [`said`](Self::say).
    ///
    /// # Errors
    ///
    /// [`StartError`]
    pub fn start(config: &ClusterConfig, hub: &Config, hear: Do) -> Result<Self, StartError> {
        if hub.token_secret.is_none() {
            return Err(StartError::NoTokenSecret);
        }
        config.server.check()?;
        let Some(window) = hub.recovery_window else { return Err(StartError::NoRecovery) };
        let failed = |error: std::io::Error| StartError::Unreachable {
            server: config.server.name(),
            reason: format!("there is no thread for it: {error}"),
        };
        let runtime =
            runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        let shared = Shared::new(config.clone(), hub.history, window, runtime.handle().clone(), hear);
        let stop = Arc::new(Notify::new());
        let (told, first) = mpsc::sync_channel(1);
        let (of_thread, until) = (Arc::clone(&shared), Arc::clone(&stop));
        thread::Builder::new()
            .name("hub-redis".to_owned())
            .spawn(move || {
                let supervised = Arc::downgrade(&of_thread);
                if of_thread.is_in_cluster() {
                    runtime.spawn(nodes::supervise(supervised, told));
                } else {
                    runtime.spawn(supervisor::supervise(supervised, told));
                }
                runtime.spawn(keeping::keep(Arc::downgrade(&of_thread)));
                runtime.spawn(telling::live(Arc::downgrade(&of_thread)));
                runtime.spawn(leases::tend(Arc::downgrade(&of_thread)));
                runtime.spawn(counting::tell(Arc::downgrade(&of_thread)));
                runtime.block_on(async {
                    until.notified().await;
                    counting::leave(&of_thread).await;
                });
                // Every task with it, and the connections.
                drop(runtime);
                of_thread.end();
            })
            .map_err(failed)?;
        let cluster = Self { shared, stop };
        // Only a panic on the thread would leave it without a word.
        first.recv().unwrap_or_else(|_| {
            let server = config.server.name();
            Err(StartError::Unreachable { server, reason: "its thread has ended".to_owned() })
        })?;
        Ok(cluster)
    }

    /// Whether it can publish.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// How it stands with Redis now. From any thread; locks one document at a time.
    pub fn glance(&self) -> Glance<'_> {
        let (shared, documents, links) = (&self.shared, self.shared.all(), self.shared.links_now());
        Glance {
            is_ready: shared.state() == State::Ready,
            processes: lock(&shared.others).count() + 1,
            documents: documents.len(),
            waiting: documents.iter().map(|document| document.waiting()).sum(),
            probed: links.iter().map(|link| link.since_probe()).max().flatten(),
            losses: shared.counts.losses.get(),
            round_trip: &shared.counts.round_trip,
        }
    }

    /// Has every other process do something, in the app's own words: those that are there now, also where they are cut off and
    /// come back within a day. While Redis is away it waits.
    pub fn say(&self, call: String) {
        calls::say(&self.shared, call);
    }

    /// Says from now on who is in this process, by `look`, which answers `None` once its hub has ended. From the thread of
    /// Redis, about once a second.
    pub fn count_by(&self, look: impl Fn() -> Option<Census> + Send + Sync + 'static) {
        let _ = self.shared.look.set(Box::new(look));
        self.shared.asked.notify_one();
    }

    /// Who is in the other processes.
    pub fn elsewhere(&self) -> Arc<dyn Elsewhere> {
        Arc::<Shared>::clone(&self.shared)
    }

    /// This process, as the others are told of it.
    pub fn this(&self) -> (u64, &About) {
        (self.shared.process, &self.shared.about)
    }

    /// The other processes, as they told of themselves last, and how many connections each document has there.
    pub fn others(&self) -> (Vec<Process>, HashMap<Arc<str>, usize>) {
        let table = lock(&self.shared.elsewhere);
        let mut documents = HashMap::new();
        table.add_documents(&mut documents);
        (table.processes(), documents)
    }

    /// Says how many connections got something, where it is told the document and the offset: see [`Counter`].
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.shared))
    }

    /// Gives `hear` what other processes publish to the rooms of handlers.
    pub fn hear_rooms(&self, hear: HearRoom) {
        let _ = self.shared.rooms.hear.set(hear);
    }

    /// Tells other processes of the rooms of handlers.
    pub fn rooms(&self) -> RoomChannels {
        RoomChannels(Arc::clone(&self.shared))
    }

    /// The documents with an authority that stand there.
    pub(crate) fn kept_documents(&self) -> kept::KeptDocuments {
        kept::KeptDocuments::new(&self.shared)
    }

    /// What gives rooms their logs.
    pub fn opener(&self) -> Arc<dyn crate::room::opening::Opener> {
        Arc::new(opener::RedisOpener::new(&self.shared))
    }
}

/// Tells other processes of the rooms of handlers. All of it is for any thread.
#[derive(Debug)]
pub struct RoomChannels(Arc<Shared>);

impl RoomChannels {
    /// A room has its first member here, and hears from now on what is published to it elsewhere.
    pub fn enter(&self, path: &str, room: &str) {
        rooms::enter(&self.0, path, room);
    }

    /// A room has no members here any more.
    pub fn leave(&self, path: &str, room: &str) {
        rooms::leave(&self.0, path, room);
    }

    /// A frame was published here. Others hear it in the order of the calls, or not at all where Redis is away.
    pub fn publish(&self, path: &str, room: &str, frame: &[u8]) {
        rooms::publish(&self.0, path, room, frame, None);
    }

    /// As [`publish`](Self::publish), of any bytes; `reached` is told how many processes got it.
    pub fn tell(&self, path: &str, room: &str, message: &[u8], reached: Reached) {
        rooms::publish(&self.0, path, room, message, Some(reached));
    }

    /// As [`enter`](Self::enter); `done` is told once it hears, or that Redis is away.
    pub fn listen(&self, path: &str, room: &str, done: impl FnOnce(bool) + Send + 'static) {
        rooms::listen(&self.0, path, room, done);
    }

    /// Whether another process was heard of lately.
    pub fn is_there(&self, process: u64) -> bool {
        lock(&self.0.others).is_there(process)
    }

    /// Claims something of a room for this process, for `kept` at most, also where the process `gone` has it. `done` is told who
    /// has it then, or `None` where Redis is away; on the thread of Redis.
    pub fn claim(
        &self,
        [path, room, name]: [String; 3],
        kept: Duration,
        gone: Option<u64>,
        done: impl FnOnce(Option<u64>) + Send + 'static,
    ) {
        let shared = Arc::clone(&self.0);
        self.0.handle.spawn(async move {
            done(claims::claim(&shared, (&path, &room, &name), kept, gone).await);
        });
    }

    /// Lets go of what this process has claimed. `done` is told once that was tried, unless the hub has ended; on the thread of
    /// Redis.
    pub fn release(&self, path: &str, room: &str, name: &str, done: impl FnOnce() + Send + 'static) {
        claims::release(&self.0, (path, room, name), done);
    }

    /// This process, as others hear of it.
    pub fn process(&self) -> u64 {
        self.0.process
    }
}

/// Says how many connections of all processes got what a route handler has published.
#[derive(Debug)]
pub struct Counter(Arc<Shared>);

impl Counter {
    /// Calls `tell` with how many connections got what this process has published at an offset: once every process has said it
    /// that had the document open, or after a second with what is known by then. From any thread.
    pub fn tell(&self, document: &Id, offset: u64, tell: impl FnOnce(usize) + Send + 'static) {
        let channel = self.0.keys(document).channel;
        delivered::when_known(&self.0, channel, offset, Box::new(tell));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}
