//! The list of documents.

use std::{
    cmp::Reverse,
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::yield_now;

use super::{
    Filter, List, MAX_ENTRIES, Query, SLICE, Sort,
    connections::Now,
    top::{Ranked, Top},
};
use crate::{
    Error,
    document::{documents::Documents, live::Document},
    ids::Id,
    json::Object,
    metrics::labels::DocumentKind,
    room::{Room, Rooms},
    server::hub::Hub,
    shard::Shard,
};

/// Rooms that are taken off the map at once.
const ROOMS_PER_TURN: usize = 64;

/// Members that are looked at without a look at the clock: some 100 µs.
pub(super) const MEMBERS_PER_TURN: usize = 256;

/// What comes first, and of equal ones by the alphabet.
type Key = (u64, Reverse<Id>);

/// What is told of a document beside its id.
#[derive(Debug, Clone)]
pub(super) struct Row {
    kind: DocumentKind,
    state: &'static str,
    pub(super) members: usize,
    waiting: usize,
    /// Epoch and offset.
    position: Option<(String, u64)>,
    version: Option<u64>,
    history_bytes: usize,
    pub(super) history_entries: usize,
    /// Milliseconds since 1970.
    unsaved_since: Option<u64>,
}

/// What a thread looks at.
struct Look {
    rooms: Arc<Rooms>,
    documents: Option<Documents>,
    paths: Vec<String>,
    query: Query,
    /// What members are looked at for.
    of_members: Filter,
    limit: usize,
}

impl Hub {
    /// Calls `tell` with the documents that somebody has open, that are remembered, or that are not saved, and how many there are; not where the hub has ended meanwhile. Called and told from any thread.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn list_documents(
        &self,
        query: Query,
        tell: impl FnOnce(List) + Send + 'static,
    ) -> Result<(), Error> {
        let limit = query.limit.min(MAX_ENTRIES);
        let (rooms, documents) = (Arc::clone(&self.shared.rooms), self.shared.documents.clone());
        let of_members = Filter { document: None, ..query.filter.clone() };
        let look = Arc::new(Look { rooms, documents, paths: self.paths(), query, of_members, limit });
        self.gather("documents", limit, Box::new(tell), |index, shard| {
            let look = Arc::clone(&look);
            async move { look.of_shard(index, &shard).await }
        })
    }
}

/// Gives the others their turn where it has taken long enough.
pub(super) struct Slices(Instant);

impl Slices {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(super) async fn pause(&mut self) {
        if self.0.elapsed() >= SLICE {
            yield_now().await;
            self.0 = Instant::now();
        }
    }
}

impl Look {
    async fn of_shard(&self, index: usize, shard: &Shard) -> (usize, Vec<Ranked<Key, String>>) {
        let now = Now::of(shard);
        let mut top = Top::new(self.limit);
        let mut slices = Slices::begin();
        let mut after = Bound::Unbounded;
        loop {
            let (some, last) = self.rooms.some(index, after, ROOMS_PER_TURN);
            let Some(last) = last else { break };
            after = Bound::Excluded(last);
            for room in some {
                self.offer_room(&mut top, &room, now, &mut slices).await;
                slices.pause().await;
            }
        }
        if index == 0 {
            self.offer_unsaved(&mut top, now, &mut slices).await;
        }
        let (total, found) = top.into_parts();
        let mut entries = Vec::with_capacity(found.len());
        for Ranked { key, item: (room, mut row) } in found {
            // Where it was not needed for the order, it is summed up for those that are listed alone.
            if let Some(room) = room.filter(|_| self.query.sort != Sort::Waiting) {
                row.waiting = self.members_of(&room, now, &mut slices).await.0;
            }
            let mut entry = String::with_capacity(256);
            let mut object = Object::begin(&mut entry);
            put_document(&mut object, &key.1.0, &row);
            object.end();
            entries.push(Ranked { key, item: entry });
            slices.pause().await;
        }
        (total, entries)
    }

    async fn offer_room(
        &self,
        top: &mut Top<Key, (Option<Arc<Room>>, Row)>,
        room: &Arc<Room>,
        now: Now,
        slices: &mut Slices,
    ) {
        let Query { sort, filter, .. } = &self.query;
        if !filter.admits_document(room.document(), None) {
            return;
        }
        let document = self.documents.as_ref().and_then(|documents| documents.get(room.document()));
        let mut row = row_of(room, document.as_deref(), now);
        if !filter.admits_document(room.document(), Some(row.kind)) {
            return;
        }
        if filter.asks_members() || *sort == Sort::Waiting {
            let (waiting, is_listed) = self.members_of(room, now, slices).await;
            row.waiting = waiting;
            if filter.asks_members() && !is_listed {
                return;
            }
        }
        top.offer(self.key(room.document(), &row, now), || (Some(Arc::clone(room)), row));
    }

    /// Documents that are not saved, and that nobody has open or is remembered for.
    async fn offer_unsaved(
        &self,
        top: &mut Top<Key, (Option<Arc<Room>>, Row)>,
        now: Now,
        slices: &mut Slices,
    ) {
        let Some(documents) = &self.documents else { return };
        let mut after = Bound::Unbounded;
        loop {
            let (some, last) = documents.unsaved_some(after, ROOMS_PER_TURN);
            let Some(last) = last else { return };
            after = Bound::Excluded(last);
            for document in some {
                let row = row_of_document(&document, now);
                let filter = &self.query.filter;
                let is_listed =
                    filter.admits_document(document.id(), Some(row.kind)) && !filter.asks_members();
                if is_listed && self.rooms.get(document.id()).is_none() {
                    top.offer(self.key(document.id(), &row, now), || (None, row));
                }
            }
            slices.pause().await;
        }
    }

    fn key(&self, document: &Id, row: &Row, now: Now) -> Key {
        let rank = match self.query.sort {
            Sort::Waiting => row.waiting as u64,
            Sort::History => row.history_bytes as u64,
            Sort::Unsaved => row.unsaved_since.map_or(0, |since| now.epoch.saturating_sub(since) + 1),
            Sort::Id => 0,
            _ => row.members as u64,
        };
        (rank, Reverse(document.clone()))
    }

    /// How many bytes wait for the members of a room, and whether one of them is listed.
    async fn members_of(&self, room: &Room, now: Now, slices: &mut Slices) -> (usize, bool) {
        let (mut bytes, mut is_listed, mut first) = (0, false, 0);
        while room.visit_members(first, MEMBERS_PER_TURN, |connection| {
            let waiting = connection.waiting().unwrap_or(0);
            bytes += waiting;
            is_listed |= self.of_members.admits(connection, waiting, now, &self.paths);
        }) {
            first += MEMBERS_PER_TURN;
            slices.pause().await;
        }
        (bytes, is_listed)
    }
}

impl Filter {
    /// Whether a document is listed, as far as that is known without its members. Without a kind it may be of any.
    fn admits_document(&self, document: &Id, kind: Option<DocumentKind>) -> bool {
        self.document.as_ref().is_none_or(|begin| document.text().starts_with(begin.as_str()))
            && kind.is_none_or(|kind| self.kind.as_ref().is_none_or(|wanted| wanted == kind.name()))
    }
}

/// What is told of a document that somebody has open, or that is remembered. On the room's thread; what waits for members is
/// not in it.
pub(super) fn row_of(room: &Room, document: Option<&Document>, now: Now) -> Row {
    let status = room.status();
    let kept = document.map(|document| row_of_document(document, now));
    let history = status.history.as_ref();
    Row {
        kind: kept.as_ref().map_or(status.kind, |kept| kept.kind),
        state: if status.is_loading { "loading" } else { kept.as_ref().map_or("live", |kept| kept.state) },
        members: room.count(),
        waiting: 0,
        position: history.map(|history| (history.epoch.to_string(), history.offset)),
        version: kept.as_ref().and_then(|kept| kept.version),
        history_bytes: history.map_or(0, |history| history.bytes),
        history_entries: history.map_or(0, |history| history.entries),
        unsaved_since: kept.and_then(|kept| kept.unsaved_since),
    }
}

/// What is told of a document that nobody has open.
pub(super) fn row_of_document(document: &Document, now: Now) -> Row {
    let status = document.status();
    let since = status.unsaved_since.map(|since| milliseconds(since.elapsed()));
    Row {
        kind: document.kind().into(),
        state: if status.is_saving { "saving" } else { "live" },
        members: 0,
        waiting: 0,
        position: None,
        version: Some(status.version),
        history_bytes: 0,
        history_entries: 0,
        unsaved_since: since.map(|since| now.epoch.saturating_sub(since)),
    }
}

impl Row {
    /// The same with what waits for its members.
    pub(super) fn with_waiting(self, waiting: usize) -> Self {
        Self { waiting, ..self }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Writes what is told of a document.
pub(super) fn put_document(object: &mut Object<'_>, document: &Id, row: &Row) {
    object
        .raw("id", document.json())
        .text("path", crate::fabric::PATH)
        .text("kind", row.kind.name())
        .text("state", row.state)
        .number("members", row.members)
        .number("waitingBytes", row.waiting)
        .number_if("offset", row.position.as_ref().map(|(_, offset)| offset))
        .text_if("epoch", row.position.as_ref().map(|(epoch, _)| epoch.as_str()))
        .number_if("version", row.version.filter(|_| row.kind == DocumentKind::Steps))
        .number("historyBytes", row.history_bytes)
        .number_if("unsavedSince", row.unsaved_since);
}
