//! Every document that somebody has open, or that is remembered: a map a shard.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    ops::Bound,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use super::{
    Registry, Room, RoomSettings,
    left::LeftRoom,
    opening::{OpenedBy, Opener, Recalling},
};
use crate::{
    Config, Error,
    config::Secret,
    connection::Connection,
    ids::{ConnectionId, Id},
    metrics::Counter,
    recovery::{Identity, RecoveryRequest, Settings, budget::Relief, saved::SavedRoom},
    shard::{Forget, Shard, Work},
    sync::lock,
};

/// How often the end of a hub looks whether the logs have answered.
const SETTLE_ROUND: Duration = Duration::from_millis(5);

/// The rooms of all shards.
#[derive(Debug)]
pub struct Rooms {
    by_shard: Box<[Arc<ShardRooms>]>,
    /// Keyed at random, so that nobody can choose documents that all meet on one shard.
    hasher: RandomState,
    /// 0 is no limit.
    max_members: usize,
}

/// The rooms of one shard. Only its thread adds and removes any, so what it has found there stays while it looks at it.
#[derive(Debug)]
pub(super) struct ShardRooms {
    shard: Arc<Shard>,
    by_id: Mutex<HashMap<Id, Arc<Room>>>,
    /// How many those are, for who counts without waiting for their lock. Written under it.
    count: Counter,
    /// The same, so that they can be looked at in slices: by where they are in memory.
    by_place: Mutex<BTreeMap<usize, Arc<Room>>>,
    /// What an earlier process has left of rooms that nobody has needed yet.
    left: Mutex<HashMap<Id, LeftRoom>>,
    settings: RoomSettings,
    all: Weak<Rooms>,
}

impl Rooms {
    /// Rooms on these shards, which see to it that they forget. Tokens are signed with `secret`, or else with a key of this
    /// process.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where there are no random bytes for the key of tokens.
    pub(crate) fn new(
        shards: &[Arc<Shard>],
        config: &Config,
        secret: Option<&Secret>,
        opener: Option<Arc<dyn Opener>>,
    ) -> Result<Arc<Self>, Error> {
        let settings = RoomSettings {
            max_pending_bytes: config.max_pending_bytes,
            recovery: Settings::of(config, secret)?,
            opener,
        };
        let of_shard = |shard: &Arc<Shard>, all: &Weak<Self>| {
            let settings = settings.clone();
            let (shard, all) = (Arc::clone(shard), Weak::clone(all));
            Arc::new(ShardRooms {
                shard,
                by_id: Mutex::default(),
                count: Counter::new(),
                by_place: Mutex::default(),
                left: Mutex::default(),
                settings,
                all,
            })
        };
        let rooms = Arc::new_cyclic(|all| Self {
            by_shard: shards.iter().map(|shard| of_shard(shard, all)).collect(),
            hasher: RandomState::new(),
            max_members: config.limits.connections_per_document,
        });
        for rooms in &rooms.by_shard {
            let memory = Arc::downgrade(rooms);
            rooms.shard.watch_over(memory);
        }
        Ok(rooms)
    }

    fn of(&self, key: impl std::hash::Hash) -> &Arc<ShardRooms> {
        let hash = self.hasher.hash_one(key);
        // The remainder is below the number of shards, so it fits.
        &self.by_shard[usize::try_from(hash % self.by_shard.len() as u64).unwrap_or(0)]
    }

    fn of_document(&self, document: &str) -> &Arc<ShardRooms> {
        self.of(document)
    }

    /// The shard for a connection: that of its document, or any.
    pub(crate) fn shard_for(&self, document: Option<&str>, id: ConnectionId) -> &Arc<Shard> {
        match document {
            Some(document) => &self.of_document(document).shard,
            None => &self.of(id).shard,
        }
    }

    /// The shard of a document.
    pub(crate) fn shard_of(&self, document: &Id) -> &Arc<Shard> {
        &self.of_document(document.text()).shard
    }

    /// The room of a document; from any thread.
    pub(crate) fn get(&self, document: &Id) -> Option<Arc<Room>> {
        self.of_document(document.text()).get(document)
    }

    /// The room of a document, also where only an earlier process had it; from any thread.
    pub(crate) fn remembered(&self, document: &Id) -> Option<Arc<Room>> {
        let rooms = self.of_document(document.text());
        let found = rooms.get(document);
        if found.is_none() && lock(&rooms.left).contains_key(document) {
            return Some(rooms.get_or_open(document.clone(), OpenedBy::default));
        }
        found
    }

    /// Goes on from what an earlier process has left `elapsed` milliseconds ago. Where a room is open already, its clients
    /// are to reload.
    pub(crate) fn restore(&self, saved: Vec<SavedRoom>, elapsed: u32) {
        let since = Instant::now();
        for saved in saved {
            let rooms = self.of_document(saved.document.text());
            lock(&rooms.left).insert(saved.document.clone(), LeftRoom { saved, elapsed, since });
        }
    }

    /// From now on what clients show is remembered when they leave.
    pub(crate) fn keep_shown(&self) {
        if let Some(settings) = &self.by_shard[0].settings.recovery {
            settings.keep_shown();
        }
    }

    /// What all rooms remember, for the next process, as far as their threads say so in time. Blocks. Nothing can be published
    /// from then on that clients would miss.
    pub(crate) fn save(&self, deadline: Instant) -> Vec<SavedRoom> {
        let (tell, told) = std::sync::mpsc::channel();
        for rooms in &self.by_shard {
            let (here, tell) = (Arc::clone(rooms), tell.clone());
            rooms.shard.push(Work::Do(
                "saving what rooms remember",
                // Whoever waited for it may have given up.
                Box::new(move || drop(tell.send(here.save()))),
            ));
        }
        drop(tell);
        let mut saved = Vec::new();
        while let Ok(of_shard) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            saved.extend(of_shard);
        }
        saved
    }

    /// All rooms, also those without members.
    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        self.by_shard.iter().flat_map(|rooms| rooms.all_here()).collect()
    }

    /// Rooms with members.
    pub(crate) fn open_count(&self) -> usize {
        let open =
            |rooms: &Arc<ShardRooms>| lock(&rooms.by_id).values().filter(|room| room.count() > 0).count();
        self.by_shard.iter().map(open).sum()
    }

    /// Documents with members, and how many each has.
    pub(crate) fn counts(&self) -> Vec<(Id, usize)> {
        let mut counts = Vec::new();
        for rooms in &self.by_shard {
            let by_id = lock(&rooms.by_id);
            let open = by_id.iter().map(|(id, room)| (id, room.count())).filter(|(_, count)| *count > 0);
            counts.extend(open.map(|(id, count)| (id.clone(), count)));
        }
        counts
    }

    /// Rooms that are remembered, those without members, too.
    pub(crate) fn count(&self) -> u64 {
        self.by_shard.iter().map(|rooms| rooms.count.get()).sum::<u64>()
    }

    /// Bytes of histories, and how many there may be; `None` where nothing is remembered.
    pub(crate) fn history_bytes(&self) -> Option<(usize, usize)> {
        let settings = self.by_shard.first()?.settings.recovery.as_ref()?;
        Some(settings.history_bytes())
    }

    /// Some rooms of a shard, the next ones behind a place in memory; with the place of the last. On the shard's thread.
    pub(crate) fn some(
        &self,
        shard: usize,
        after: Bound<usize>,
        count: usize,
    ) -> (Vec<Arc<Room>>, Option<usize>) {
        let Some(rooms) = self.by_shard.get(shard) else { return (Vec::new(), None) };
        let by_place = lock(&rooms.by_place);
        let some: Vec<_> =
            by_place.range((after, Bound::Unbounded)).take(count).map(|(_, room)| Arc::clone(room)).collect();
        let last = some.last().map(place_of);
        (some, last)
    }

    /// Whether a room has as many members as it may. On its shard, so that nobody can be joining it.
    pub(crate) fn is_full(&self, room: &Room) -> bool {
        self.max_members > 0 && room.count() >= self.max_members
    }

    /// Whether it has as many together with those in other processes. A client that comes back from one of them is not one
    /// more.
    pub(crate) fn is_full_everywhere(&self, room: &Room) -> bool {
        let opener = self.by_shard[0].settings.opener.as_ref();
        self.max_members > 0
            && opener
                .is_some_and(|opener| room.count() + opener.elsewhere(room.document()) >= self.max_members)
    }

    /// Whether a client shows that it was here before, in whatever process.
    pub(crate) fn comes_back(&self, who: Identity<'_>, ask: &RecoveryRequest) -> bool {
        self.by_shard[0].settings.recovery.as_ref().is_some_and(|settings| settings.knows(who, ask))
    }

    /// The member whose place a client would take that shows this. On the document's shard.
    pub(crate) fn replaced(&self, who: Identity<'_>, ask: &RecoveryRequest) -> Option<Arc<Connection>> {
        self.get(who.document)?.replaced(who, ask)
    }

    /// The room of a document, which is opened where there is none. On the document's shard, and to be joined at once: what
    /// nobody has joined nobody forgets.
    pub(crate) fn open(&self, document: Id, by: impl FnOnce() -> OpenedBy) -> Arc<Room> {
        self.of_document(document.text()).get_or_open(document, by)
    }

    /// Asks the log of a document about a client session that comes back, where the log remembers those.
    pub(crate) fn recall(&self, document: &Id, ask: &RecoveryRequest) -> Option<Recalling> {
        let opener = self.of_document(document.text()).settings.opener.as_ref()?;
        opener.recall(document, ask.client_session()?, ask.offset)
    }

    /// Asks the same, and that nothing more of that client session is applied.
    pub(crate) fn fence(&self, document: &Id, ask: &RecoveryRequest) -> Option<Recalling> {
        let opener = self.of_document(document.text()).settings.opener.as_ref()?;
        opener.fence(document, ask.client_session()?)
    }

    /// Whether a log remembers the client sessions of documents.
    pub(crate) fn recalls(&self) -> bool {
        self.by_shard[0].settings.opener.as_ref().is_some_and(|opener| opener.recalls())
    }

    /// Waits until the logs have answered what they were given up to now, or for the deadline. Blocks.
    pub(crate) fn settle(&self, deadline: Instant) {
        let rooms = self.all();
        let mut waiting: Vec<_> = rooms.iter().map(|room| (room, room.submitted_count())).collect();
        loop {
            waiting.retain(|(room, count)| !room.has_settled(*count));
            if waiting.is_empty() || Instant::now() >= deadline {
                return;
            }
            // Once in a process's life, and only with a log that is elsewhere: not worth a wake-up of its own.
            std::thread::sleep(SETTLE_ROUND);
        }
    }

    /// Has the rooms with the largest histories forget the oldest of them, each on its own shard.
    fn relieve(&self, relief: Relief) {
        let rooms = self.all();
        let level = relief.level(rooms.iter().map(|room| room.history_bytes()).collect());
        // Until the last room is done and has dropped it, nobody looks for others.
        let relief = Arc::new(relief);
        for room in rooms.into_iter().filter(|room| room.history_bytes() > level) {
            let (shard, relief) = (Arc::clone(room.shard()), Arc::clone(&relief));
            shard.push(Work::Do(
                "trimming a history",
                Box::new(move || {
                    room.trim(level);
                    drop(relief);
                }),
            ));
        }
    }
}

fn place_of(room: &Arc<Room>) -> usize {
    Arc::as_ptr(room).addr()
}

impl ShardRooms {
    fn get(&self, document: &Id) -> Option<Arc<Room>> {
        lock(&self.by_id).get(document).cloned()
    }

    fn get_or_open(self: &Arc<Self>, document: Id, by: impl FnOnce() -> OpenedBy) -> Arc<Room> {
        let mut by_id = lock(&self.by_id);
        if let Some(room) = by_id.get(&document) {
            return Arc::clone(room);
        }
        let this: Weak<Self> = Arc::downgrade(self);
        let left = lock(&self.left).remove(&document).filter(|left| !self.is_over(left));
        let room = Room::new(document.clone(), Arc::clone(&self.shard), this, &self.settings, left);
        let room = Arc::new(room);
        by_id.insert(document, Arc::clone(&room));
        self.count.set(by_id.len() as u64);
        drop(by_id);
        lock(&self.by_place).insert(place_of(&room), Arc::clone(&room));
        if let Some(opener) = &self.settings.opener {
            room.load(&**opener, by());
        }
        room
    }

    /// What its rooms remember. On its thread.
    fn save(&self) -> Vec<SavedRoom> {
        let open: Vec<_> = self.all_here().iter().filter_map(|room| room.save()).collect();
        let left = std::mem::take(&mut *lock(&self.left)).into_values();
        let left = left.filter(|left| !self.is_over(left)).map(LeftRoom::into_saved);
        open.into_iter().chain(left).collect()
    }

    fn is_over(&self, left: &LeftRoom) -> bool {
        self.settings.recovery.as_ref().is_none_or(|settings| left.is_over(settings.window()))
    }

    fn all_here(&self) -> Vec<Arc<Room>> {
        lock(&self.by_id).values().cloned().collect()
    }
}

impl Registry for ShardRooms {
    fn remove(&self, document: &Id) {
        let mut by_id = lock(&self.by_id);
        if by_id.get(document).is_some_and(|room| room.count() == 0)
            && let Some(room) = by_id.remove(document)
        {
            self.count.set(by_id.len() as u64);
            drop(by_id);
            lock(&self.by_place).remove(&place_of(&room));
        }
    }

    fn keep(&self, saved: SavedRoom) {
        let left = LeftRoom { saved, elapsed: 0, since: Instant::now() };
        lock(&self.left).insert(left.saved.document.clone(), left);
    }

    fn relieve(&self, relief: Relief) {
        if let Some(all) = self.all.upgrade() {
            self.shard.push(Work::Do("making room", Box::new(move || all.relieve(relief))));
        }
    }
}

impl Forget for ShardRooms {
    fn forget(&self) {
        for room in self.all_here() {
            if room.forget() {
                self.remove(room.document());
            }
        }
        let mut left = lock(&self.left);
        if !left.is_empty() {
            left.retain(|_, left| !self.is_over(left));
        }
    }
}
