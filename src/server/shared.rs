//! What all threads of a hub share.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{endpoints::Endpoints, keeper::Keeper};
use crate::{
    Config,
    admission::{
        elsewhere::{About, Census},
        users::Users,
    },
    document::documents::Documents,
    ids::{ConnectionId, Epoch},
    room::Rooms,
    shard::Shard,
    sync::lock,
};

/// What all threads of a hub share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) shards: Box<[Arc<Shard>]>,
    pub(crate) users: Arc<Users>,
    pub(crate) rooms: Arc<Rooms>,
    /// `None` where all documents are relays.
    pub(crate) documents: Option<Documents>,
    pub(crate) endpoints: Endpoints,
    /// Names this process where no Redis does.
    pub(crate) process: u64,
    /// What this process is.
    pub(crate) about: About,
    next_id: AtomicU64,
    draining: AtomicBool,
    sealed: AtomicBool,
    /// What it leaves to the next process; `None` where that is nothing.
    pub(crate) keeper: Option<Keeper>,
    alive: Mutex<usize>,
    /// `alive` has become 0.
    ended: Condvar,
}

/// A socket that the hub has taken, from before its handshake to after its close.
pub(crate) struct SocketGuard(Arc<Shared>);

impl Drop for SocketGuard {
    fn drop(&mut self) {
        let mut alive = lock(&self.0.alive);
        *alive -= 1;
        if *alive == 0 {
            self.0.ended.notify_all();
        }
    }
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        shards: Box<[Arc<Shard>]>,
        users: Arc<Users>,
        rooms: Arc<Rooms>,
        documents: Option<Documents>,
        keeper: Option<Keeper>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            shards,
            users,
            rooms,
            documents,
            endpoints: Endpoints::default(),
            process: Epoch::random().number(),
            about: About::this(),
            next_id: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            keeper,
            alive: Mutex::new(0),
            ended: Condvar::new(),
        })
    }

    /// Who is in this process.
    pub(crate) fn census(&self) -> Census {
        let needs_users = self.config.limits.connections_per_user > 0;
        Census {
            connections: self.endpoints.connection_count(),
            documents: self.rooms.counts(),
            users: if needs_users { self.users.counts() } else { Vec::new() },
        }
    }

    pub(crate) fn enter(self: &Arc<Self>) -> SocketGuard {
        *lock(&self.alive) += 1;
        SocketGuard(Arc::clone(self))
    }

    /// Whether it takes no new connections any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether it takes no calls of route handlers any more. What they publish while clients are being closed reaches those
    /// through the next process, where there is one that remembers.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn next_id(&self) -> ConnectionId {
        ConnectionId::new(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for the last connection to be gone, or for the deadline; returns which it was.
    pub(crate) fn wait_until_ended(&self, deadline: Instant) -> bool {
        let mut alive = lock(&self.alive);
        while *alive > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            alive = self.ended.wait_timeout(alive, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("alive", &*lock(&self.alive)).finish_non_exhaustive()
    }
}
