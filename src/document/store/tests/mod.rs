//! Stores on real files, on disks that fail, and on a thread.

mod crash;
pub(in crate::document) mod disk;
mod failing;
mod file;
mod keeping;
mod model;
mod thread;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Entry, Kind, Store, StoreError, Stored, Write,
    redb::{FileOptions, RedbStore},
};
use crate::ids::{Epoch, Id};

/// A folder that is removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hub-store-{}", Epoch::random()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("documents.redb")
    }

    fn open(&self) -> Result<RedbStore, StoreError> {
        open(&self.file())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn open(path: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(FileOptions { lock_wait: std::time::Duration::ZERO, ..FileOptions::new(path) })
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn create(document: &str, base: u64, snapshot: Option<&str>) -> Write {
    Write::Create {
        document: id(document),
        kind: Kind::Steps,
        epoch: Epoch::new(7),
        base,
        snapshot: snapshot.map(str::to_owned),
        saved: base,
        offset: 0,
    }
}

fn entry(before: u64, count: u32, client: &str, number: u64) -> Entry {
    Entry {
        before,
        count,
        client: id(client),
        number: Some(number),
        user: None,
        change_id: None,
        body: format!("[{before}]"),
        offset: before.saturating_add(1),
        client_session: None,
    }
}

fn append(document: &str, before: u64, count: u32) -> Write {
    Write::Append { document: id(document), entry: entry(before, count, "tab", before) }
}

fn snapshot(document: &str, position: u64) -> Write {
    Write::Snapshot { document: id(document), position, kept_from: position, body: format!("at {position}") }
}

fn saved(document: &str, position: u64) -> Write {
    Write::Saved { document: id(document), position }
}

fn saving(document: &str, position: u64) -> Write {
    Write::Saving { document: id(document), position }
}

fn forget(document: &str) -> Write {
    Write::Forget { document: id(document) }
}

/// Commits writes that fit.
fn put(store: &mut dyn Store, writes: Vec<Write>) {
    for outcome in store.commit(&[writes]).unwrap() {
        outcome.unwrap();
    }
}

/// Where a document is that a write did not fit; a panic where it did.
fn out_of_order(store: &mut dyn Store, write: Write) -> Option<u64> {
    match store.commit(&[vec![write]]).unwrap().remove(0) {
        Err(StoreError::OutOfOrder { position, .. }) => position,
        other => panic!("{other:?}"),
    }
}

fn load(store: &mut dyn Store, document: &str) -> Stored {
    store.load(&id(document)).unwrap().unwrap()
}
