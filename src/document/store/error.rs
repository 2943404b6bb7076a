//! Why a store refused.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::ids::Id;

/// Why a store refused, by cause. Its text names the file and says what to do.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has the file open, or another store in this one, and had it for as long as was waited.
    Locked {
        /// The store.
        file: PathBuf,
    },
    /// The file is a store, but what is in it is not what was written.
    Damaged {
        /// The store.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file holds something else, or was written by a newer version. Nothing was written to it.
    Foreign {
        /// The file.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The disk has no place left, or the user's quota has none. Nothing is lost of what was stored, and the store goes on
    /// as soon as there is place.
    Full {
        /// The store.
        file: PathBuf,
    },
    /// The file or its folder may not be read and written.
    Forbidden {
        /// The store.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The disk failed otherwise. The next call opens the file again.
    Io {
        /// The store.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The store panicked, which is in the log. The next call opens the file again.
    Panicked,
    /// A write does not fit what is kept of its document.
    OutOfOrder {
        /// The document.
        document: Id,
        /// Its position; `None` where it is not kept.
        position: Option<u64>,
    },
    /// More bytes wait to be stored than may. Nothing of the write was done.
    Overloaded,
    /// The store was closed. Nothing of the write was done.
    Closed,
}

impl StoreError {
    /// The cause behind an error of the system.
    pub(super) fn of_io(file: &Path, error: io::Error) -> Self {
        let file = file.to_owned();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full { file }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Forbidden { file, error },
            ErrorKind::InvalidData => Self::Foreign { file, reason: error.to_string() },
            ErrorKind::IsADirectory => Self::Foreign { file, reason: "it is a folder".to_owned() },
            ErrorKind::UnexpectedEof => Self::Damaged { file, reason: error.to_string() },
            _ => Self::Io { file, error },
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { file } => write!(
                f,
                "the store {} is in use by another process, or by another hub in this one; end that, or give this hub \
                 a file of its own",
                file.display()
            ),
            Self::Damaged { file, reason } => write!(
                f,
                "the store {} is damaged ({reason}); put back a copy of it, or move it away to begin with an empty one",
                file.display()
            ),
            Self::Foreign { file, reason } => write!(
                f,
                "{} is no store of this version's ({reason}), and nothing was written to it; choose another path, or \
                 move it away",
                file.display()
            ),
            Self::Full { file } => write!(
                f,
                "the disk of the store {} is full; make place on it, and the store goes on by itself",
                file.display()
            ),
            Self::Forbidden { file, error } => write!(
                f,
                "the store {} cannot be read and written ({error}); give the process's user the right to write the \
                 file and its folder, or choose another path",
                file.display()
            ),
            Self::Io { file, error } => {
                write!(f, "the store {} failed: {error}; look after its disk and path", file.display())
            }
            Self::Panicked => f.write_str("the store panicked; the hub's log says more"),
            Self::OutOfOrder { document, position: Some(position) } => {
                write!(
                    f,
                    "the document {document:?} is stored up to {position}, and the write does not fit that"
                )
            }
            Self::OutOfOrder { document, position: None } => {
                write!(f, "the document {document:?} is not stored")
            }
            Self::Overloaded => f.write_str("too much waits to be stored; try again later"),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Forbidden { error, .. } | Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
