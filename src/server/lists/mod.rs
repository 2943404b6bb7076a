//! Lists of connections and documents, made when somebody asks.
//!
//! Each thread looks at what is its own, in slices between which those with something to read have their turn, and keeps
//! only as many as are asked for. No lock is held over more than one room, and nobody waits for the list but who asked.

mod connections;
mod documents;
mod inspecting;
#[cfg(test)]
mod tests;
mod top;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use self::top::Ranked;
use crate::{
    Error,
    json::{Object, array},
    server::hub::Hub,
    shard::Shard,
    sync::lock,
};

/// Most entries of a list.
pub const MAX_ENTRIES: usize = 1000;

/// How long a thread looks before those with something to read have their turn.
const SLICE: Duration = Duration::from_micros(200);

/// What is listed of connections, or of documents by their members. `None` is any, in every field.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The user's id.
    pub user: Option<String>,
    /// The document's id; of a list of documents its beginning.
    pub document: Option<String>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The endpoint's path.
    pub path: Option<String>,
    /// What a document is: `relay`, `steps` or `updates`.
    pub kind: Option<String>,
    /// Whether so much waits that the client reads too slowly.
    pub slow: Option<bool>,
    /// At least this old.
    pub older_than: Option<Duration>,
}

/// What is listed first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The newest connection.
    #[default]
    Newest,
    /// The oldest connection.
    Oldest,
    /// That for which most bytes wait.
    Waiting,
    /// The connection that has sent nothing for longest.
    Idle,
    /// The document with the most members.
    Members,
    /// The document of which most is remembered.
    History,
    /// The document that was not saved for longest.
    Unsaved,
    /// The document whose id comes first.
    Id,
}

/// A list that is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// Most entries, at most [`MAX_ENTRIES`].
    pub limit: usize,
    /// What comes first.
    pub sort: Sort,
    /// What is listed.
    pub filter: Filter,
}

/// What is told of many, in pieces, so that whoever parses it need not do so at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// A JSON object, without the list.
    pub about: String,
    /// The name of the list in it.
    pub name: &'static str,
    /// JSON arrays, which make the list.
    pub pieces: Vec<String>,
}

/// Entries of a piece of a list.
const ENTRIES_PER_PIECE: usize = 200;

impl List {
    fn new<T: AsRef<str>>(about: String, name: &'static str, entries: &[T]) -> Self {
        let piece = |some: &[T]| array(some, |out, entry| out.push_str(entry.as_ref()));
        Self { about, name, pieces: entries.chunks(ENTRIES_PER_PIECE).map(piece).collect() }
    }
}

/// Is given a list; dropped where the hub has ended before there was one. From any thread.
type Tell = Box<dyn FnOnce(List) + Send>;

/// Puts together what the threads have found. The last of them to drop it has who asked told.
struct Gathering<K: Ord> {
    /// What the entries are called.
    name: &'static str,
    limit: usize,
    found: Mutex<Found<K>>,
}

struct Found<K: Ord> {
    total: usize,
    entries: Vec<Ranked<K, String>>,
    /// Threads that have not answered.
    left: usize,
    tell: Option<Tell>,
}

impl<K: Ord> Gathering<K> {
    fn new(name: &'static str, limit: usize, left: usize, tell: Tell) -> Self {
        let found = Found { total: 0, entries: Vec::new(), left, tell: Some(tell) };
        Self { name, limit, found: Mutex::new(found) }
    }

    /// A thread has found this many, and of these as many as are asked for.
    fn add(&self, total: usize, entries: Vec<Ranked<K, String>>) {
        let mut found = lock(&self.found);
        found.total += total;
        found.entries.extend(entries);
        found.left -= 1;
    }
}

impl Hub {
    /// Has every thread look, each on its own, and tells once what all of them have found.
    fn gather<K: Ord + Send + 'static, F>(
        &self,
        name: &'static str,
        limit: usize,
        tell: Tell,
        look: impl Fn(usize, Arc<Shard>) -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = (usize, Vec<Ranked<K, String>>)> + Send + 'static,
    {
        if self.is_draining() {
            return Err(Error::Closed);
        }
        let shards = &self.shared.shards;
        let gathering = Arc::new(Gathering::new(name, limit, shards.len(), tell));
        for (index, shard) in shards.iter().enumerate() {
            let (gathering, found) = (Arc::clone(&gathering), look(index, Arc::clone(shard)));
            shard.handle().spawn(async move {
                let (total, entries) = found.await;
                gathering.add(total, entries);
            });
        }
        Ok(())
    }
}

impl<K: Ord> Drop for Gathering<K> {
    fn drop(&mut self) {
        let Found { total, mut entries, left, tell } = std::mem::replace(
            &mut *lock(&self.found),
            Found { total: 0, entries: Vec::new(), left: 0, tell: None },
        );
        // Where a thread has ended before it could answer, there is no list.
        let Some(tell) = tell.filter(|_| left == 0) else { return };
        entries.sort_unstable_by(|a, b| b.key.cmp(&a.key));
        entries.truncate(self.limit);
        let mut about = String::new();
        let mut object = Object::begin(&mut about);
        object.number("total", total);
        object.end();
        let entries: Vec<_> = entries.into_iter().map(|entry| entry.item).collect();
        tell(List::new(about, self.name, &entries));
    }
}
