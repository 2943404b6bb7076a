//! The list of connections.

use std::{cmp::Reverse, ops::Bound, sync::Arc};

use tokio::task::yield_now;

use super::{
    Filter, List, MAX_ENTRIES, Query, Sort,
    top::{Ranked, Top},
};
use crate::{
    Error,
    connection::{Connection, epoch_milliseconds},
    ids::{ConnectionId, Id},
    json::Object,
    server::hub::Hub,
    shard::Shard,
    websocket::close::Close,
};

/// Entries that are written at once: some 200 µs.
const ENTRIES_PER_TURN: usize = 128;

/// What comes first, and of equal ones the older.
type Key = (u64, Reverse<ConnectionId>);

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// That of the thread.
    pub(super) thread: u32,
    /// Milliseconds since 1970.
    pub(super) epoch: u64,
}

impl Now {
    pub(super) fn of(shard: &Shard) -> Self {
        Self { thread: shard.now(), epoch: epoch_milliseconds() }
    }
}

impl Hub {
    /// Calls `tell` with the open connections and how many there are; not where the hub has ended meanwhile.
    /// Called and told from any thread.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn list_connections(
        &self,
        query: Query,
        tell: impl FnOnce(List) + Send + 'static,
    ) -> Result<(), Error> {
        let limit = query.limit.min(MAX_ENTRIES);
        let (query, paths) = (Arc::new(query), Arc::new(self.paths()));
        self.gather("connections", limit, Box::new(tell), |_, shard| {
            let (query, paths) = (Arc::clone(&query), Arc::clone(&paths));
            async move { of_shard(&shard, &query, limit, &paths).await }
        })
    }

    /// Closes the connection with this number; calls `tell` with whether there was one that was open; not where
    /// the hub has ended meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn close_connection(
        &self,
        id: ConnectionId,
        close: &Close,
        tell: impl FnOnce(bool) + Send + 'static,
    ) -> Result<(), Error> {
        if self.is_draining() {
            return Err(Error::Closed);
        }
        // Which thread it is on is known by its document alone, so one after the other is asked, each on itself.
        let (shards, close) = (self.shared.shards.to_vec(), close.clone());
        self.shared.shards[0].handle().spawn(async move {
            for shard in shards {
                let thread = Arc::clone(shard.thread());
                let close = close.clone();
                let closing = shard.handle().spawn(async move {
                    let found = thread.get(id).filter(|connection| connection.is_open());
                    found.map(|connection| connection.close(&close)).is_some()
                });
                if closing.await.unwrap_or(false) {
                    return tell(true);
                }
            }
            tell(false);
        });
        Ok(())
    }
}

async fn of_shard(
    shard: &Shard,
    query: &Query,
    limit: usize,
    paths: &[String],
) -> (usize, Vec<Ranked<Key, String>>) {
    let now = Now::of(shard);
    let mut top = Top::new(limit);
    let mut after = Bound::Unbounded;
    let visit = |top: &mut Top<_, _>, connection: &Arc<Connection>| {
        if let Some(waiting) = connection.waiting()
            && query.filter.admits(connection, waiting, now, paths)
        {
            let rank = match query.sort {
                Sort::Oldest => u64::MAX - connection.id().number(),
                Sort::Waiting => waiting as u64,
                Sort::Idle => connection.idle(now.thread).into(),
                _ => connection.id().number(),
            };
            top.offer((rank, Reverse(connection.id())), || Arc::clone(connection));
        }
    };
    while let Some(last) = shard.thread().visit_some(after, |connection| visit(&mut top, connection)) {
        after = Bound::Excluded(last);
        yield_now().await;
    }
    let (total, found) = top.into_parts();
    let mut entries = Vec::with_capacity(found.len());
    for some in found.chunks(ENTRIES_PER_TURN) {
        entries.extend(some.iter().map(|Ranked { key, item }| {
            let mut entry = String::with_capacity(256);
            let mut object = Object::begin(&mut entry);
            put_connection(&mut object, item, now, paths);
            object.end();
            Ranked { key: *key, item: entry }
        }));
        yield_now().await;
    }
    (total, entries)
}

impl Filter {
    /// Whether a connection is listed.
    pub(super) fn admits(&self, connection: &Connection, waiting: usize, now: Now, paths: &[String]) -> bool {
        let admits = |wanted: &Option<String>, found: Option<&str>| match wanted {
            Some(wanted) => found == Some(wanted),
            None => true,
        };
        let age = || now.epoch.saturating_sub(connection.opened_at());
        self.slow.is_none_or(|slow| connection.is_slow_with(waiting) == slow)
            && admits(&self.user, user_of(connection))
            && admits(&self.document, document_of(connection))
            && admits(&self.path, path_of(connection, paths))
            && self.address.is_none_or(|address| connection.address() == Some(address))
            && self.older_than.is_none_or(|older| u128::from(age()) >= older.as_millis())
    }

    /// Whether connections have to be looked at to know whether a document is listed.
    pub(super) fn asks_members(&self) -> bool {
        self.user.is_some() || self.address.is_some() || self.slow.is_some() || self.older_than.is_some()
    }
}

fn user_of(connection: &Connection) -> Option<&str> {
    connection.grant()?.user.id()
}

fn document_of(connection: &Connection) -> Option<&str> {
    let of_member = connection.member().map(|(document, _)| document.text());
    of_member.or_else(|| connection.grant()?.document.as_deref())
}

fn path_of<'a>(connection: &Connection, paths: &'a [String]) -> Option<&'a str> {
    paths.get(connection.endpoint()?).map(String::as_str)
}

/// Writes what is told of a connection.
pub(super) fn put_connection(object: &mut Object<'_>, connection: &Connection, now: Now, paths: &[String]) {
    let grant = connection.grant();
    let client = connection.member().map(|(_, client)| Id::text(client));
    let access = grant.map(|grant| if grant.is_read_only() { "read" } else { "write" });
    let waiting = connection.waiting().unwrap_or_else(|| connection.buffered_bytes());
    let address = connection.address().map(|address| address.to_string());
    object
        .text("id", &connection.id().number().to_string())
        .text_if("clientId", client.or_else(|| grant?.client.as_deref()))
        .text("path", path_of(connection, paths).unwrap_or_default())
        .text_if("document", document_of(connection))
        .text_if("userId", user_of(connection))
        .text_if("access", access)
        .text("address", address.as_deref().unwrap_or_default())
        .number("connectedAt", connection.opened_at())
        .number("idleMs", connection.idle(now.thread))
        .number("waitingBytes", waiting)
        .flag("slow", connection.is_slow_with(waiting));
}
