//! Where the entries of documents are in the file.
//!
//! Entries of all documents stand in one order, in which they were stored: what a thousand documents append at a time takes
//! a few pages next to each other, and not one of each document. Which of them are whose is in memory alone, 24 bytes an
//! entry, and is read again when the file is opened.

use std::collections::{HashMap, VecDeque};

use ::redb::{Database, ReadableDatabase, ReadableTable};

use super::{
    failure::Failure,
    tables::{ENTRIES, no},
};
use crate::{document::store::record, ids::Id};

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The position before it.
    pub(super) before: u64,
    /// Its key.
    pub(super) key: u64,
    /// How many positions it takes.
    pub(super) count: u32,
}

impl Place {
    /// The position behind it.
    pub(super) fn after(self) -> u64 {
        self.before.saturating_add(u64::from(self.count))
    }
}

/// Where the entries of documents are, each document's in the order of their positions.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: HashMap<Id, VecDeque<Place>>,
    /// The key of the next entry.
    next: u64,
}

impl Index {
    pub(super) fn read(database: &Database) -> Result<Self, Failure> {
        let mut index = Self::default();
        for found in ReadableTable::iter(&database.begin_read()?.open_table(ENTRIES)?)? {
            let (key, entry) = found?;
            let (document, before, count) = record::decode_place(entry.value()).map_err(no("an entry"))?;
            index.places.entry(document).or_default().push_back(Place { before, key: key.value(), count });
            index.next = key.value().saturating_add(1);
        }
        Ok(index)
    }

    /// The position behind a document's last entry; `None` where it has none.
    pub(super) fn end(&self, document: &Id) -> Option<u64> {
        Some(self.places.get(document)?.back()?.after())
    }

    /// Where a document's entries are.
    pub(super) fn places(&self, document: &Id) -> impl Iterator<Item = Place> {
        self.places.get(document).into_iter().flatten().copied()
    }

    /// Whether a document has an entry before which `position` is.
    pub(super) fn begins_at(&self, document: &Id, position: u64) -> bool {
        self.places
            .get(document)
            .is_some_and(|places| places.binary_search_by_key(&position, |place| place.before).is_ok())
    }

    /// Gives an entry its key.
    pub(super) fn append(&mut self, document: &Id, before: u64, count: u32) -> u64 {
        let key = self.next;
        self.next += 1;
        let place = Place { before, key, count };
        match self.places.get_mut(document) {
            Some(places) => places.push_back(place),
            None => drop(self.places.insert(document.clone(), VecDeque::from([place]))),
        }
        key
    }

    /// Takes out the entries of a document that begin in front of `position`.
    pub(super) fn cut_front(&mut self, document: &Id, position: u64) -> VecDeque<Place> {
        let Some(places) = self.places.get_mut(document) else { return VecDeque::new() };
        let behind = places.split_off(places.partition_point(|place| place.before < position));
        if behind.is_empty() {
            return self.places.remove(document).unwrap_or_default();
        }
        std::mem::replace(places, behind)
    }

    /// Takes out the entries of a document that begin at `position` or behind it.
    pub(super) fn cut_back(&mut self, document: &Id, position: u64) -> VecDeque<Place> {
        let Some(places) = self.places.get_mut(document) else { return VecDeque::new() };
        let cut = places.split_off(places.partition_point(|place| place.before < position));
        if places.is_empty() {
            self.places.remove(document);
        }
        cut
    }
}
