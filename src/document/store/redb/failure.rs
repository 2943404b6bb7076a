//! Why redb, or what stands in the file, refused.

use std::path::Path;

use crate::document::store::StoreError;

/// Why something failed, before the file's name is known.
#[derive(Debug)]
pub(in crate::document::store) enum Failure {
    /// redb refused.
    Redb(::redb::Error),
    /// A record is none.
    NoRecord(&'static str),
    /// The file holds something else.
    Foreign(String),
    /// All is said already.
    Store(StoreError),
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<::redb::$error> for Failure {
            fn from(error: ::redb::$error) -> Self {
                Self::Redb(error.into())
            }
        })*
    };
}

from_redb!(CommitError, CompactionError, DatabaseError, StorageError, TableError, TransactionError);

impl Failure {
    /// As an error of the store in `file`.
    pub(in crate::document::store) fn at(self, file: &Path) -> StoreError {
        use ::redb::Error;
        let damaged = |reason: String| StoreError::Damaged { file: file.to_owned(), reason };
        match self {
            Self::Redb(Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch) => {
                StoreError::Locked { file: file.to_owned() }
            }
            Self::Redb(Error::Io(error)) => StoreError::of_io(file, error),
            Self::Redb(error @ (Error::Corrupted(_) | Error::RepairAborted)) => damaged(error.to_string()),
            Self::Redb(
                error @ (Error::UpgradeRequired(_)
                | Error::TableTypeMismatch { .. }
                | Error::TableIsMultimap(_)
                | Error::TypeDefinitionChanged { .. }),
            ) => StoreError::Foreign { file: file.to_owned(), reason: error.to_string() },
            Self::Redb(error) => {
                StoreError::Io { file: file.to_owned(), error: std::io::Error::other(error.to_string()) }
            }
            Self::NoRecord(what) => damaged(format!("{what} is no record")),
            Self::Foreign(reason) => StoreError::Foreign { file: file.to_owned(), reason },
            Self::Store(error) => error,
        }
    }
}
