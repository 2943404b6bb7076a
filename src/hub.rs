//! The registry: endpoints, rooms, shards; the calls for route handlers; the end.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::DashMap;

use crate::{
    Config, Error,
    batch::{Batch, Keep},
    close::Close,
    connection::{Connection, ConnectionId},
    endpoint::Endpoint,
    expiry,
    fabric::Fabric,
    frame,
    history::Relief,
    protocol::Id,
    recovery::{Ask, Identity, Settings},
    room::{Membership, Room, Welcome},
    shard::{Shard, Work},
    sync::lock,
    visitors::Visitors,
};

/// Every document that somebody has open.
#[derive(Debug)]
pub struct Rooms {
    by_id: DashMap<Id, Arc<Room>>,
    shards: Arc<[Arc<Shard>]>,
    /// Keyed at random, so that nobody can choose documents that all meet on one shard.
    hasher: RandomState,
    max_pending_bytes: usize,
    settings: Option<Arc<Settings>>,
    /// 0 is no limit.
    max_members: usize,
}

impl Rooms {
    /// The shard on which a document lives.
    fn shard(&self, document: &str) -> &Arc<Shard> {
        let hash = self.hasher.hash_one(document);
        // The remainder is below the number of shards, so it fits.
        &self.shards[usize::try_from(hash % self.shards.len() as u64).unwrap_or(0)]
    }

    /// Whether a document has as many members as it may; on its shard, so that nobody can be joining it.
    pub(crate) fn is_full(&self, document: &Id) -> bool {
        self.max_members > 0 && self.by_id.get(document).is_some_and(|room| room.count() >= self.max_members)
    }

    /// The member whose place a client would take that shows this. On the document's shard.
    pub(crate) fn replaced(&self, who: Identity<'_>, ask: &Ask) -> Option<Arc<Connection>> {
        let room = Arc::clone(&*self.by_id.get(who.document)?);
        room.replaced(who, ask)
    }

    /// Makes a connection a member of a document's room. On the document's shard.
    pub(crate) fn join(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        document: Id,
        client: Id,
        user: Option<&str>,
        ask: Option<&Ask>,
    ) -> (Membership, Welcome) {
        let entry = self.by_id.entry(document.clone());
        let room = Arc::clone(&entry.or_insert_with(|| {
            let shard = Arc::clone(self.shard(document.text()));
            let settings = self.settings.clone();
            Arc::new(Room::new(document, shard, Arc::downgrade(self), self.max_pending_bytes, settings))
        }));
        room.join(connection, client, user, ask)
    }

    /// Lets the rooms of a shard forget what is too old. On that shard, so nobody can be joining one of them.
    pub(crate) fn forget(&self, shard: &Shard) {
        self.by_id.retain(|_, room| !std::ptr::eq(&raw const **room.shard(), shard) || !room.forget());
    }

    /// Has the rooms with the largest histories forget the oldest of them, each on its own shard.
    pub(crate) fn relieve(&self, relief: &Arc<Relief>) {
        let rooms: Vec<_> = self.by_id.iter().map(|room| Arc::clone(&room)).collect();
        let level = relief.level(rooms.iter().map(|room| room.history_bytes()).collect());
        for room in rooms.into_iter().filter(|room| room.history_bytes() > level) {
            let shard = Arc::clone(room.shard());
            shard.push(Work::Trim { room, bytes: level, relief: Arc::clone(relief) });
        }
    }

    /// Forgets a room without members. On the document's shard, so nobody can be joining it.
    pub(crate) fn remove(&self, document: &Id) {
        self.by_id.remove_if(document, |_, room| room.count() == 0);
    }
}

/// An endpoint with its open connections.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) number: usize,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    open: AtomicUsize,
    /// Bytes of broadcasts that some thread has not sent yet.
    pending: AtomicUsize,
}

/// A broadcast to an endpoint; it counts among what waits until the last thread has dropped it.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub(crate) batch: Batch,
    slot: Arc<Slot>,
}

impl Broadcast {
    fn new(slot: Arc<Slot>, batch: Batch) -> Arc<Self> {
        slot.pending.fetch_add(batch.bytes.len(), Ordering::Relaxed);
        Arc::new(Self { batch, slot })
    }

    /// The number of the endpoint.
    pub(crate) fn endpoint(&self) -> usize {
        self.slot.number
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.slot.pending.fetch_sub(self.batch.bytes.len(), Ordering::Relaxed);
    }
}

/// One open connection of an endpoint; dropping it takes it out of the count.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Slot>);

impl Permit {
    pub(crate) fn of(slot: &Arc<Slot>) -> Self {
        slot.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(slot))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What all threads of a hub share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) shards: Arc<[Arc<Shard>]>,
    pub(crate) visitors: Arc<Visitors>,
    rooms: Arc<Rooms>,
    slots: Mutex<Vec<Arc<Slot>>>,
    next_id: AtomicU64,
    draining: AtomicBool,
    alive: Mutex<usize>,
    /// `alive` has become 0.
    ended: Condvar,
}

/// A socket that the hub has taken, from before its handshake to after its close.
pub(crate) struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        let mut alive = lock(&self.0.alive);
        *alive -= 1;
        if *alive == 0 {
            self.0.ended.notify_all();
        }
    }
}

impl Shared {
    pub(crate) fn enter(self: &Arc<Self>) -> Alive {
        *lock(&self.alive) += 1;
        Alive(Arc::clone(self))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn next_id(&self) -> ConnectionId {
        ConnectionId::new(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// The endpoint of this name: its path as it was given.
    fn slot(&self, path: &str) -> Option<Arc<Slot>> {
        lock(&self.slots).iter().find(|slot| slot.endpoint.path() == path).cloned()
    }

    /// The endpoint that serves a path: the one of just this path, or else the one of the longest beginning, `/ws/yjs/*`.
    pub(crate) fn slot_for(&self, path: &str) -> Option<Arc<Slot>> {
        let slots = lock(&self.slots);
        let exact = slots.iter().find(|slot| slot.endpoint.path() == path);
        let beginning = |slot: &&Arc<Slot>| {
            slot.endpoint.path().strip_suffix('*').filter(|own| path.starts_with(own)).map(str::len)
        };
        exact.or_else(|| slots.iter().filter(|slot| beginning(slot).is_some()).max_by_key(beginning)).cloned()
    }

    /// A connection that was announced for a path will not open.
    pub(crate) fn refused(&self, id: ConnectionId, path: &str) {
        if let Some(slot) = self.slot_for(path) {
            slot.endpoint.refused(id);
        }
    }

    /// Open connections of all endpoints.
    pub(crate) fn connection_count(&self) -> usize {
        lock(&self.slots).iter().map(|slot| slot.open.load(Ordering::Acquire)).sum()
    }

    /// The shard for a new connection.
    pub(crate) fn shard_for(&self, document: Option<&str>, id: ConnectionId) -> &Arc<Shard> {
        match document {
            Some(key) => self.rooms.shard(key),
            None => self.rooms.shard(&id.to_string()),
        }
    }

    /// Waits for the last connection to be gone, or for the deadline; answers which it was.
    fn wait_until_ended(&self, deadline: Instant) -> bool {
        let mut alive = lock(&self.alive);
        while *alive > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            alive = self.ended.wait_timeout(alive, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        true
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("alive", &*lock(&self.alive)).finish_non_exhaustive()
    }
}

/// How long a drain waits for a peer that takes nothing and answers nothing. There is always one, a phone without
/// network, and until the drain has ended nobody can come back: the port is closed.
const DRAIN_PATIENCE: Duration = Duration::from_millis(900);

/// How often a drain looks.
const DRAIN_ROUND: Duration = Duration::from_millis(100);

/// A hub with its threads. Dropping it ends them and every connection without a word; [`Hub::close`] says goodbye.
#[derive(Debug)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
}

impl Hub {
    /// Starts a hub that serves the fabric endpoint.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`], [`Error::Start`].
    pub fn start(config: Config) -> Result<Self, Error> {
        config.check()?;
        let visitors = Visitors::new(config.limits.clone(), config.session_warning);
        let settings = Settings::of(&config)?;
        let mut shards: Vec<Arc<Shard>> = Vec::new();
        for index in 0..config.threads {
            match Shard::start(index, &config, Arc::clone(&visitors)) {
                Ok(shard) => shards.push(shard),
                Err(error) => {
                    // Nobody else would end their threads.
                    for shard in &shards {
                        shard.stop();
                    }
                    return Err(error);
                }
            }
        }
        let shards: Arc<[_]> = shards.into();
        let rooms = Arc::new(Rooms {
            by_id: DashMap::new(),
            shards: Arc::clone(&shards),
            hasher: RandomState::new(),
            max_pending_bytes: config.max_pending_bytes,
            settings,
            max_members: config.limits.connections_per_document,
        });
        for shard in &*shards {
            shard.remember(Arc::downgrade(&rooms));
        }
        shards[0].handle().spawn(expiry::watch(Arc::clone(&visitors)));
        let shared = Arc::new(Shared {
            config,
            visitors,
            shards,
            rooms: Arc::clone(&rooms),
            slots: Mutex::default(),
            next_id: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            alive: Mutex::new(0),
            ended: Condvar::new(),
        });
        let fabric = Fabric::new(rooms, &shared.config);
        let hub = Self { shared };
        hub.serve(Arc::new(fabric));
        Ok(hub)
    }

    /// Adds an endpoint. One with the same path before it goes on being the one that counts.
    pub fn serve(&self, endpoint: Arc<dyn Endpoint>) {
        let mut slots = lock(&self.shared.slots);
        let number = slots.len();
        slots.push(Arc::new(Slot {
            number,
            endpoint,
            open: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
        }));
    }

    /// Paths that are served.
    pub fn paths(&self) -> Vec<String> {
        lock(&self.shared.slots).iter().map(|slot| slot.endpoint.path().to_owned()).collect()
    }

    /// The options it was started with.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Sends a text message to every member of a document, or to those of one client. From any thread; it returns
    /// before the message is written. Answers how many connections it was queued for.
    ///
    /// A message that is a JSON object takes the document's next offset and carries it as the key `offset`, and clients
    /// that are away get it when they come back. Anything else is sent as it is, to those who are there.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Overloaded`]
    pub fn publish(&self, document: &str, client: Option<&str>, message: &str) -> Result<usize, Error> {
        if self.shared.is_draining() {
            return Err(Error::Closed);
        }
        // What cannot be an id is the id of nobody.
        let Some(room) = self.room(document) else { return Ok(0) };
        let to = match client.map(Id::new) {
            None => None,
            Some(Some(client)) => Some(client),
            Some(None) => return Ok(0),
        };
        room.publish(to, message)
    }

    /// Sends a text message to every connection of an endpoint; otherwise as [`Hub::publish`]. It is no document's, so it
    /// carries no offset, and who is away does not get it later.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Overloaded`]
    pub fn broadcast(&self, path: &str, message: &str) -> Result<usize, Error> {
        if self.shared.is_draining() {
            return Err(Error::Closed);
        }
        let Some(slot) = self.shared.slot(path) else { return Ok(0) };
        let receivers = slot.open.load(Ordering::Acquire);
        if receivers == 0 {
            return Ok(0);
        }
        if slot.pending.load(Ordering::Relaxed) > self.shared.config.max_pending_bytes {
            return Err(Error::Overloaded);
        }
        let broadcast = Broadcast::new(slot, Batch::of(frame::text(message), Keep::Every));
        for shard in &*self.shared.shards {
            shard.push(Work::Broadcast(Arc::clone(&broadcast)));
        }
        Ok(receivers)
    }

    /// Open connections of an endpoint, named by its path or the last part of it, or else of a document.
    pub fn connection_count(&self, name: &str) -> usize {
        let slots = lock(&self.shared.slots);
        let named = slots.iter().find(|slot| {
            let path = slot.endpoint.path();
            path == name || path.trim_end_matches("/*").rsplit('/').next() == Some(name)
        });
        match named {
            Some(slot) => slot.open.load(Ordering::Acquire),
            None => self.room(name).map_or(0, |room| room.count()),
        }
    }

    /// Open connections of the endpoint at a path.
    pub fn endpoint_count(&self, path: &str) -> usize {
        self.shared.slot(path).map_or(0, |slot| slot.open.load(Ordering::Acquire))
    }

    /// Ids of the documents with an open connection.
    pub fn documents(&self) -> Vec<String> {
        let rooms = self.shared.rooms.by_id.iter();
        rooms.filter(|room| room.count() > 0).map(|room| room.document().text().to_owned()).collect()
    }

    /// Documents with an open connection.
    pub fn document_count(&self) -> usize {
        self.shared.rooms.by_id.iter().filter(|room| room.count() > 0).count()
    }

    pub(crate) fn room(&self, document: &str) -> Option<Arc<Room>> {
        Some(Arc::clone(&*self.shared.rooms.by_id.get(&Id::new(document)?)?))
    }

    /// Ends the hub: takes nothing new, sends what waits, closes every connection with 1012. Blocks until the last one
    /// is gone, or cuts off what is left after `timeout`; who neither answers nor takes anything is cut off after
    /// a second. Answers how many had to be cut off.
    pub fn close(&self, timeout: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        self.shared.draining.store(true, Ordering::SeqCst);
        for shard in &*self.shared.shards {
            shard.push(Work::CloseAll(Close::restart()));
        }
        let mut terminated = 0;
        let mut waits = HashMap::new();
        loop {
            let shards = self.shared.shards.iter();
            terminated +=
                shards.map(|shard| shard.terminate_stuck(&mut waits, DRAIN_PATIENCE)).sum::<usize>();
            let round = deadline.min(Instant::now() + DRAIN_ROUND);
            if self.shared.wait_until_ended(round) {
                return terminated;
            }
            if round == deadline {
                break;
            }
        }
        let left: usize = self.shared.shards.iter().map(|shard| shard.terminate_all()).sum();
        terminated += left;
        if left > 0 {
            // They are only dropped now, which takes no peer's consent.
            self.shared.wait_until_ended(Instant::now() + Duration::from_secs(1));
        }
        terminated
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.draining.store(true, Ordering::SeqCst);
        for shard in &*self.shared.shards {
            shard.stop();
        }
    }
}
