//! What is written to the file.

use std::{
    collections::{BTreeMap, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use ::redb::{Database, ReadableTable, Table, WriteTransaction};

use super::{
    failure::Failure,
    index::{Index, Place},
    tables::{
        ASIDE, Bytes, COMMIT_KEY, ENTRIES, FORMAT, FORMAT_KEY, HEADS, META, NUMBERS, OURS, SNAPSHOTS, key, no,
    },
};
use crate::{
    document::store::{
        LastNumber, MAX_ASIDE, MAX_ASIDE_BYTES, MAX_NUMBERS, SetAside, StoreError, Write,
        order::{Kept, follow},
        record::{self, Head},
    },
    ids::Id,
};

/// Makes an empty database one of ours.
pub(super) fn claim(database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    // All tables are there from the start, so that none can be missing when it is read.
    drop(WriteTables::open(&transaction, &mut Index::default())?);
    transaction.open_table(OURS)?.insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice())?;
    transaction.commit()?;
    Ok(())
}

/// Names a commit apart from all others, also those of other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommitName {
    /// Of all commits of one store.
    pub(super) store: u64,
    /// Its number.
    pub(super) number: u64,
}

impl CommitName {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.store.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

/// Takes away what the commit with this name left, if it is the last one that reached the disk; `before` are the documents
/// that it changed, as they were. Where somebody else has committed since, it was taken for good there and stays.
pub(super) fn take_back(
    database: &Database,
    name: CommitName,
    before: &HashMap<Id, Option<Kept>>,
    index: &mut Index,
) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    let is_last =
        transaction.open_table(OURS)?.get(COMMIT_KEY)?.is_some_and(|last| last.value() == name.bytes());
    if !is_last {
        return Ok(transaction.abort()?);
    }
    let mut tables = WriteTables::open(&transaction, index)?;
    for (document, before) in before {
        let Some(now) = tables.stored(document)? else { continue };
        match before {
            None => tables.forget(document)?,
            Some(before) if now.head.epoch == before.head.epoch && now.head.base <= before.end => {
                let places = tables.index.cut_back(document, before.end);
                tables.remove(&places)?;
            }
            // It was forgotten, and perhaps created again. Whoever goes on with the old log is refused as out of order.
            Some(_) => {}
        }
    }
    drop(tables);
    transaction.commit()?;
    log::warn!("a commit of the store had failed and was on the disk all the same; it was taken back");
    Ok(())
}

/// How far the documents of a transaction are stored: before it, and with what it has done so far.
pub(super) struct Touched<'a> {
    remembered: &'a HashMap<Id, Option<Kept>>,
    pub(super) before: HashMap<Id, Option<Kept>>,
    pub(super) after: HashMap<Id, Option<Kept>>,
}

impl<'a> Touched<'a> {
    pub(super) fn new(remembered: &'a HashMap<Id, Option<Kept>>) -> Self {
        Self { remembered, before: HashMap::new(), after: HashMap::new() }
    }
}

/// The tables, to write.
pub(super) struct WriteTables<'a> {
    index: &'a mut Index,
    ours: Table<'a, Bytes, Bytes>,
    heads: Table<'a, Bytes, Bytes>,
    snapshots: Table<'a, Bytes, Bytes>,
    numbers: Table<'a, Bytes, Bytes>,
    entries: Table<'a, u64, Bytes>,
    aside: Table<'a, u64, Bytes>,
    meta: Table<'a, Bytes, Bytes>,
}

impl<'a> WriteTables<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction, index: &'a mut Index) -> Result<Self, Failure> {
        Ok(Self {
            index,
            ours: transaction.open_table(OURS)?,
            heads: transaction.open_table(HEADS)?,
            snapshots: transaction.open_table(SNAPSHOTS)?,
            numbers: transaction.open_table(NUMBERS)?,
            entries: transaction.open_table(ENTRIES)?,
            aside: transaction.open_table(ASIDE)?,
            meta: transaction.open_table(META)?,
        })
    }

    /// Gives the transaction its name.
    pub(super) fn name(&mut self, name: CommitName) -> Result<(), Failure> {
        self.ours.insert(COMMIT_KEY, name.bytes().as_slice())?;
        Ok(())
    }

    /// Does a list of writes, or none of it: then the inner result says why.
    pub(super) fn put(
        &mut self,
        list: &[Write],
        touched: &mut Touched,
    ) -> Result<Result<(), Failure>, Failure> {
        let mut documents: Vec<(&Id, Option<Kept>)> = Vec::new();
        for write in list {
            if let Write::SetAside { .. } | Write::Meta { .. } = write {
                continue;
            }
            let Some(document) = write.document() else { continue };
            let at = match documents.iter().position(|(id, _)| *id == document) {
                Some(at) => at,
                None => match self.kept(document, touched) {
                    Ok(kept) => {
                        documents.push((document, kept));
                        documents.len() - 1
                    }
                    // Of one document alone: the others' writes are none the worse.
                    Err(failure @ Failure::NoRecord(_)) => return Ok(Err(failure)),
                    Err(failure) => return Err(failure),
                },
            };
            let kept = &mut documents[at].1;
            let position = kept.map(|kept| kept.end);
            if follow(kept, write).is_none() || !self.is_between_entries(write, *kept) {
                return Ok(Err(Failure::Store(StoreError::OutOfOrder {
                    document: document.clone(),
                    position,
                })));
            }
        }
        let mut gone = vec![0; documents.len()];
        for write in list {
            let offset = self.apply(write)?;
            if let Some(at) = documents.iter().position(|(id, _)| Some(*id) == write.document()) {
                // What there is of another log under this name is none of its entries.
                gone[at] = if matches!(write, Write::Forget { .. }) { 0 } else { offset.max(gone[at]) };
            }
        }
        for ((document, mut kept), gone) in documents.into_iter().zip(gone) {
            if let Some(kept) = &mut kept {
                kept.head.offset = kept.head.offset.max(gone);
            }
            let is_entry = |write: &Write| matches!(write, Write::Append { .. });
            if let Some(kept) = kept
                && !list.iter().all(is_entry)
            {
                self.heads.insert(key(document), kept.head.encode().as_slice())?;
            }
            touched.after.insert(document.clone(), kept);
        }
        Ok(Ok(()))
    }

    fn kept(&self, document: &Id, touched: &mut Touched) -> Result<Option<Kept>, Failure> {
        if let Some(kept) = touched.after.get(document) {
            return Ok(*kept);
        }
        let kept = match touched.remembered.get(document) {
            Some(kept) => *kept,
            None => self.stored(document)?,
        };
        touched.before.insert(document.clone(), kept);
        Ok(kept)
    }

    /// How far a document is stored, as the file and the index say.
    fn stored(&self, document: &Id) -> Result<Option<Kept>, Failure> {
        let Some(head) = self.heads.get(key(document))? else { return Ok(None) };
        let head = Head::decode(head.value()).map_err(no("what is said of a document"))?;
        let end = self.index.end(document).unwrap_or(head.base);
        Ok(Some(Kept { head, end, stored: end }))
    }

    /// Whether a snapshot is of a position at which an entry ends, or another begins.
    fn is_between_entries(&self, write: &Write, kept: Option<Kept>) -> bool {
        let (Write::Snapshot { document, position, .. }, Some(kept)) = (write, kept) else { return true };
        *position == kept.stored || self.index.begins_at(document, *position)
    }

    /// Does a write that fits, but for what is said of its document. The offset of the last entry that went for it, or 0.
    fn apply(&mut self, write: &Write) -> Result<u64, Failure> {
        match write {
            Write::Create { document, snapshot, .. } => {
                if let Some(snapshot) = snapshot {
                    self.snapshots.insert(key(document), snapshot.as_bytes())?;
                }
            }
            Write::Append { document, entry } => {
                let key = self.index.append(document, entry.before, entry.count);
                self.entries.insert(key, record::encode_entry(document, entry).as_slice())?;
            }
            Write::Snapshot { document, position, kept_from, body } => {
                self.snapshots.insert(key(document), body.as_bytes())?;
                return self.trim(document, (*kept_from).min(*position));
            }
            Write::Saving { .. } | Write::Saved { .. } | Write::Passing { .. } => {}
            Write::SetAside { document, reason, body } => {
                let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                self.set_aside(&SetAside {
                    document: document.clone(),
                    at: at.try_into().unwrap_or(u64::MAX),
                    reason: reason.clone(),
                    body: body.clone(),
                })?;
            }
            Write::Forget { document } => self.forget(document)?,
            Write::Meta { name, value } => {
                self.meta.insert(name.as_bytes(), value.as_slice())?;
            }
        }
        Ok(0)
    }

    /// Removes the entries before `position`, and remembers their clients' numbers. The offset of the last of them, or 0.
    fn trim(&mut self, document: &Id, position: u64) -> Result<u64, Failure> {
        let mut offset = 0;
        let mut passed: Vec<LastNumber> = Vec::new();
        for place in self.index.cut_front(document, position) {
            let Some(entry) = self.entries.remove(place.key)? else { continue };
            // One that cannot be read is in the snapshot as well as the others.
            let Ok((_, entry)) = record::decode_entry(entry.value()) else { continue };
            offset = entry.offset;
            if let Some(number) = entry.number {
                passed.push(LastNumber { number, after: entry.after(), client: entry.client });
            }
        }
        if passed.is_empty() {
            return Ok(offset);
        }
        let before = self.numbers.get(key(document))?;
        let before = before.map(|numbers| record::decode_numbers(numbers.value()).unwrap_or_default());
        let numbers = newest(before.into_iter().flatten().chain(passed));
        self.numbers.insert(key(document), record::encode_numbers(&numbers).as_slice())?;
        Ok(offset)
    }

    fn forget(&mut self, document: &Id) -> Result<(), Failure> {
        self.heads.remove(key(document))?;
        self.snapshots.remove(key(document))?;
        self.numbers.remove(key(document))?;
        let places = self.index.cut_back(document, 0);
        self.remove(&places)
    }

    fn remove<'p>(&mut self, places: impl IntoIterator<Item = &'p Place>) -> Result<(), Failure> {
        for place in places {
            self.entries.remove(place.key)?;
        }
        Ok(())
    }

    fn set_aside(&mut self, aside: &SetAside) -> Result<(), Failure> {
        let record = record::encode_aside(aside);
        let (mut of_document, mut bytes) = (1, record.len());
        let mut given_up = Vec::new();
        let mut last = 0;
        for found in self.aside.iter()?.rev() {
            let (number, other) = found?;
            last = last.max(number.value());
            let is_of_document =
                record::decode_aside(other.value()).is_ok_and(|other| other.document == aside.document);
            of_document += usize::from(is_of_document);
            bytes += other.value().len();
            if bytes > MAX_ASIDE_BYTES || (is_of_document && of_document > MAX_ASIDE) {
                bytes -= other.value().len();
                given_up.push(number.value());
            }
        }
        for number in given_up {
            self.aside.remove(number)?;
        }
        self.aside.insert(last + 1, record.as_slice())?;
        Ok(())
    }
}

/// Of each client the last number, and of clients those that were heard of last, in the order in which they were.
fn newest(numbers: impl Iterator<Item = LastNumber>) -> Vec<LastNumber> {
    let mut of_clients: HashMap<Id, LastNumber> = HashMap::new();
    for last in numbers {
        of_clients.insert(last.client.clone(), last);
    }
    let by_position: BTreeMap<_, _> =
        of_clients.into_values().map(|last| ((last.after, last.client.text().to_owned()), last)).collect();
    // What is kept of a document is bounded: those go that were heard of longest ago.
    let too_many = by_position.len().saturating_sub(MAX_NUMBERS);
    by_position.into_values().skip(too_many).collect()
}
