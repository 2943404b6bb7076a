//! A store in one file, by redb.
//!
//! After any failure the file is opened again, because redb refuses everything after one. What a commit that failed may
//! have left on the disk all the same is taken away before anything else is done: whoever was told that it failed goes
//! back to what was stored before.

pub(super) mod failure;
pub(in crate::document) mod file;
mod index;
mod read;
mod tables;
mod write;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use ::redb::{Database, ReadableDatabase};

pub use file::{DEFAULT_CACHE_BYTES, FileOptions};

use super::{Outcomes, SetAside, Store, StoreError, Stored, Write, order::Kept};
use crate::ids::{Epoch, Id};
use failure::Failure;
use file::Medium;
use index::Index;
use read::ReadTables;
use write::{CommitName, Touched, WriteTables};

/// Documents of which it is remembered how far they are stored. Beyond that they are looked up again.
const MAX_REMEMBERED: usize = 1 << 16;

/// A file that has more than this, of which less than half is used, is compacted when it is opened.
const COMPACT_FROM_BYTES: u64 = 4 << 20;

/// More than this is not moved about while somebody waits for the store to open: it would take seconds.
const COMPACT_AT_MOST_BYTES: u64 = 256 << 20;

/// Keeps documents in one file.
#[derive(Debug)]
pub struct RedbStore {
    medium: Box<dyn Medium>,
    /// `None` after a failure, until the file was opened again.
    database: Option<Database>,
    /// Where entries are in it. Together with it: what a commit that failed has changed here is read again, too.
    index: Index,
    /// How far documents are stored, where that is known.
    remembered: HashMap<Id, Option<Kept>>,
    /// Whether the file was opened before, and has been one of ours then.
    is_claimed: bool,
    /// Names the next commit.
    next: CommitName,
    /// The commit that failed, until the file was opened again.
    failed: Option<FailedCommit>,
}

/// A commit of which it is not known what it left on the disk.
#[derive(Debug)]
struct FailedCommit {
    name: CommitName,
    /// The documents that it changed, as they were before.
    before: HashMap<Id, Option<Kept>>,
}

impl RedbStore {
    /// Opens the file, or makes it where there is none.
    ///
    /// Takes time that grows with the file: all of it is read and checked. While another process has it open, waits for
    /// [`FileOptions::lock_wait`].
    ///
    /// # Errors
    ///
    /// Any but [`StoreError::OutOfOrder`]; a file that is no store is left as it is.
    pub fn open(options: FileOptions) -> Result<Self, StoreError> {
        let lock_wait = options.lock_wait;
        options.create_where_missing()?;
        Self::on(Box::new(options), lock_wait)
    }

    /// A store on `medium`.
    pub(in crate::document) fn on(medium: Box<dyn Medium>, lock_wait: Duration) -> Result<Self, StoreError> {
        let mut store = Self {
            medium,
            database: None,
            index: Index::default(),
            remembered: HashMap::new(),
            is_claimed: false,
            next: CommitName { store: Epoch::random().number(), number: 0 },
            failed: None,
        };
        let (database, index) = store.opened(lock_wait)?;
        store.is_claimed = true;
        let bytes = store.medium.bytes();
        let used = compaction_pays(&database, bytes);
        (store.database, store.index) = (Some(database), index);
        if let Some(used) = used {
            let file = store.medium.path().display().to_string();
            match store.compact() {
                Ok(_) => log::info!("the store {file} takes {} bytes instead of {bytes}", store.bytes()),
                // It is as good as it was.
                Err(error) => log::warn!("{used} of {bytes} bytes of the store are used, but: {error}"),
            }
        }
        Ok(store)
    }

    /// Opens the database and makes sure that it is one of ours.
    fn opened(&self, lock_wait: Duration) -> Result<(Database, Index), StoreError> {
        self.guarded(|| {
            let database = self.medium.open(lock_wait).map_err(Failure::Store)?;
            if !tables::is_ours(&database.begin_read()?)? {
                // Somebody has emptied it. What was in it must not be taken for never having been.
                if self.is_claimed {
                    return Err(Failure::NoRecord("what is there of it"));
                }
                write::claim(&database)?;
            }
            let mut index = Index::read(&database)?;
            if let Some(FailedCommit { name, before }) = &self.failed {
                write::take_back(&database, *name, before, &mut index)?;
            }
            Ok((database, index))
        })
    }

    /// Does `work` with the database, which is opened again where it has to be. After any failure it will be.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &mut Database) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut database = if let Some(database) = self.database.take() {
            database
        } else {
            let (database, index) = self.opened(Duration::ZERO)?;
            (self.failed, self.index) = (None, index);
            log::info!("the store {} was opened again", self.medium.path().display());
            database
        };
        let outcome = match catch_unwind(AssertUnwindSafe(|| work(self, &mut database))) {
            Ok(outcome) => outcome.map_err(|failure| failure.at(self.medium.path())),
            Err(panic) => {
                log::error!(
                    "the store {} panicked: {}",
                    self.medium.path().display(),
                    crate::panics::text(&*panic)
                );
                Err(StoreError::Panicked)
            }
        };
        if outcome.is_ok() {
            self.database = Some(database);
        } else {
            self.remembered.clear();
        }
        outcome
    }

    /// Does `work` on a file of which nothing is known yet: a panic says that it is damaged.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, StoreError> {
        let file = self.medium.path();
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(outcome) => outcome.map_err(|failure| failure.at(file)),
            Err(panic) => Err(StoreError::Damaged {
                file: file.to_owned(),
                reason: crate::panics::text(&*panic).to_owned(),
            }),
        }
    }
}

impl Store for RedbStore {
    fn load(&mut self, document: &Id) -> Result<Option<Stored>, StoreError> {
        self.with(|store, database| ReadTables::open(&database.begin_read()?)?.load(document, &store.index))
    }

    fn commit(&mut self, lists: &[Vec<Write>]) -> Result<Outcomes, StoreError> {
        let name = self.next;
        self.next.number += 1;
        let outcome = self.with(|store, database| {
            let transaction = database.begin_write()?;
            let mut touched = Touched::new(&store.remembered);
            let mut tables = WriteTables::open(&transaction, &mut store.index)?;
            let outcomes: Vec<_> =
                lists.iter().map(|list| tables.put(list, &mut touched)).collect::<Result<_, Failure>>()?;
            tables.name(name)?;
            drop(tables);
            let Touched { before, after, .. } = touched;
            store.failed = Some(FailedCommit { name, before });
            transaction.commit()?;
            store.failed = None;
            if store.remembered.len() + after.len() > MAX_REMEMBERED {
                store.remembered.clear();
            }
            store.remembered.extend(
                after
                    .into_iter()
                    .map(|(document, kept)| (document, kept.map(|kept| Kept { stored: kept.end, ..kept }))),
            );
            Ok(outcomes)
        });
        let file = self.medium.path();
        outcome.map(|outcomes| {
            outcomes.into_iter().map(|outcome| outcome.map_err(|failure| failure.at(file))).collect()
        })
    }

    fn unsaved(&mut self) -> Result<Vec<Id>, StoreError> {
        self.with(|store, database| ReadTables::open(&database.begin_read()?)?.unsaved(&store.index))
    }

    fn set_aside(&mut self, document: Option<&Id>) -> Result<Vec<SetAside>, StoreError> {
        self.with(|_, database| ReadTables::open(&database.begin_read()?)?.set_aside(document))
    }

    fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|_, database| ReadTables::open(&database.begin_read()?)?.meta(name))
    }

    fn bytes(&self) -> u64 {
        self.medium.bytes()
    }

    fn compact(&mut self) -> Result<bool, StoreError> {
        self.with(|_, database| Ok(database.compact()?))
    }
}

/// The bytes that are used of a file with `bytes`, where compacting it pays.
fn compaction_pays(database: &Database, bytes: u64) -> Option<u64> {
    if bytes <= COMPACT_FROM_BYTES {
        return None;
    }
    let transaction = database.begin_write().ok()?;
    let statistics = transaction.stats().ok()?;
    let used = statistics.allocated_pages().saturating_mul(statistics.page_size() as u64);
    (used <= COMPACT_AT_MOST_BYTES && used < bytes / 2).then_some(used)
}
