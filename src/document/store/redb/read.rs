//! What is read out of the file.

use ::redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::{
    failure::Failure,
    index::Index,
    tables::{ASIDE, Bytes, ENTRIES, HEADS, META, NUMBERS, SNAPSHOTS, key, no, text},
};
use crate::{
    document::store::{
        SetAside, Stored,
        record::{self, Head},
    },
    ids::Id,
};

/// The tables, to read.
pub(super) struct ReadTables {
    heads: ReadOnlyTable<Bytes, Bytes>,
    snapshots: ReadOnlyTable<Bytes, Bytes>,
    numbers: ReadOnlyTable<Bytes, Bytes>,
    entries: ReadOnlyTable<u64, Bytes>,
    aside: ReadOnlyTable<u64, Bytes>,
    meta: ReadOnlyTable<Bytes, Bytes>,
}

impl ReadTables {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, Failure> {
        Ok(Self {
            heads: transaction.open_table(HEADS)?,
            snapshots: transaction.open_table(SNAPSHOTS)?,
            numbers: transaction.open_table(NUMBERS)?,
            entries: transaction.open_table(ENTRIES)?,
            aside: transaction.open_table(ASIDE)?,
            meta: transaction.open_table(META)?,
        })
    }

    pub(super) fn load(&self, document: &Id, index: &Index) -> Result<Option<Stored>, Failure> {
        let Some(head) = ReadableTable::get(&self.heads, key(document))? else { return Ok(None) };
        let Head { kind, epoch, base, saved, saving, offset, passing } =
            Head::decode(head.value()).map_err(no("what is said of a document"))?;
        let snapshot = ReadableTable::get(&self.snapshots, key(document))?
            .map(|snapshot| text(snapshot.value(), "a snapshot"))
            .transpose()?;
        let numbers = match ReadableTable::get(&self.numbers, key(document))? {
            Some(numbers) => record::decode_numbers(numbers.value()).map_err(no("a list of numbers"))?,
            None => Vec::new(),
        };
        let entries = Vec::new();
        let mut stored =
            Stored { kind, epoch, base, snapshot, entries, numbers, saved, saving, offset, passing };
        for place in index.places(document) {
            let entry =
                ReadableTable::get(&self.entries, place.key)?.ok_or(Failure::NoRecord("a missing entry"))?;
            let (_, entry) = record::decode_entry(entry.value()).map_err(no("an entry"))?;
            let follows = match stored.entries.last() {
                Some(last) => entry.before == last.after(),
                None => entry.before <= base,
            };
            if !follows {
                return Err(Failure::NoRecord("a log with a gap"));
            }
            stored.entries.push(entry);
        }
        Ok(Some(stored))
    }

    pub(super) fn unsaved(&self, index: &Index) -> Result<Vec<Id>, Failure> {
        let mut documents = Vec::new();
        for found in ReadableTable::iter(&self.heads)? {
            let (id, head) = found?;
            let document = record::decode_id(id.value()).map_err(no("a document's id"))?;
            let head = Head::decode(head.value()).map_err(no("what is said of a document"))?;
            if index.end(&document).unwrap_or(head.base) > head.saved {
                documents.push(document);
            }
        }
        Ok(documents)
    }

    pub(super) fn set_aside(&self, document: Option<&Id>) -> Result<Vec<SetAside>, Failure> {
        let mut found = Vec::new();
        for entry in ReadableTable::iter(&self.aside)? {
            let aside = record::decode_aside(entry?.1.value()).map_err(no("what was put aside"))?;
            if document.is_none_or(|document| aside.document == *document) {
                found.push(aside);
            }
        }
        Ok(found)
    }

    pub(super) fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(ReadableTable::get(&self.meta, name.as_bytes())?.map(|value| value.value().to_vec()))
    }
}
