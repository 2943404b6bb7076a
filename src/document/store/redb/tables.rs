//! What stands in the file.

use ::redb::{ReadTransaction, TableDefinition, TableHandle};

use super::failure::Failure;
use crate::{document::store::record::NoRecord, ids::Id};

pub(super) type Bytes = &'static [u8];

/// Says whose the file is: the number of the format, and the name of the last commit.
pub(super) const OURS: TableDefinition<Bytes, Bytes> = TableDefinition::new("captify-hub");
/// A document's id → [`Head`](crate::document::store::record::Head).
pub(super) const HEADS: TableDefinition<Bytes, Bytes> = TableDefinition::new("documents");
/// A document's id → its snapshot's text.
pub(super) const SNAPSHOTS: TableDefinition<Bytes, Bytes> = TableDefinition::new("snapshots");
/// A document's id → the last numbers of clients.
pub(super) const NUMBERS: TableDefinition<Bytes, Bytes> = TableDefinition::new("numbers");
/// A number → an entry of a document. The largest number is the newest.
pub(super) const ENTRIES: TableDefinition<u64, Bytes> = TableDefinition::new("entries");
/// A number → what was put aside. The largest number is the newest.
pub(super) const ASIDE: TableDefinition<u64, Bytes> = TableDefinition::new("aside");
/// A name → bytes.
pub(super) const META: TableDefinition<Bytes, Bytes> = TableDefinition::new("meta");

/// The format that this version writes, and the only one there has been.
pub(super) const FORMAT: u64 = 1;
pub(super) const FORMAT_KEY: Bytes = b"format";
pub(super) const COMMIT_KEY: Bytes = b"commit";

/// Whether the database is one of ours; `false` where it is empty.
pub(super) fn is_ours(transaction: &ReadTransaction) -> Result<bool, Failure> {
    let mut has_any = transaction.list_multimap_tables()?.next().is_some();
    for table in transaction.list_tables()? {
        has_any = true;
        if table.name() == OURS.name() {
            let format = transaction.open_table(OURS)?.get(FORMAT_KEY)?.map(|value| value.value().to_vec());
            let format = format.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
            return match format {
                Some(FORMAT) => Ok(true),
                Some(other) => {
                    Err(Failure::Foreign(format!("it has format {other}, and this version writes {FORMAT}")))
                }
                None => Err(Failure::NoRecord("the number of the format")),
            };
        }
    }
    if has_any { Err(Failure::Foreign("it is another program's database".to_owned())) } else { Ok(false) }
}

pub(super) fn key(document: &Id) -> &[u8] {
    document.text().as_bytes()
}

/// A failure that says what is no record.
pub(super) fn no(what: &'static str) -> impl Fn(NoRecord) -> Failure {
    move |NoRecord| Failure::NoRecord(what)
}

pub(super) fn text(bytes: &[u8], what: &'static str) -> Result<String, Failure> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Failure::NoRecord(what))
}
