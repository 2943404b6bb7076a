//! Where documents are kept: for each a snapshot, what came after it, and how much of that the app has saved.
//!
//! One piece for documents of steps and of updates. A *position* is a version in the first and an offset in the second: how
//! many steps or updates there are before it. What is kept is text as it came; nothing here knows what it means.
//!
//! [`StoreHandle`](thread::StoreHandle) asks the thread that owns a store and commits for all documents together;
//! [`RedbStore`](redb::RedbStore) is the store in a file.

pub mod error;
pub mod nowhere;
mod order;
mod queue;
#[doc(hidden)]
pub mod record;
pub mod redb;
#[cfg(test)]
pub(super) mod tests;
pub mod thread;

pub use error::StoreError;

use crate::{
    ids::{ClientSessionId, Epoch, Id},
    metrics::labels::DocumentKind,
};

/// What a document's entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Batches of steps, of which each fits the position before it alone.
    Steps,
    /// Updates, which may be applied in any order and twice.
    Updates,
}

impl From<Kind> for DocumentKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Steps => Self::Steps,
            Kind::Updates => Self::Updates,
        }
    }
}

/// What is kept of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What its entries are.
    pub kind: Kind,
    /// The history that its positions belong to, as it was given at [`Write::Create`].
    pub epoch: Epoch,
    /// The position of the snapshot.
    pub base: u64,
    /// The document at `base`, as text. `None` where there was none yet.
    pub snapshot: Option<String>,
    /// What came after the snapshot, and some of what came before it, in order and without a gap.
    pub entries: Vec<Entry>,
    /// The last numbers of clients whose entries are in the snapshot by now, so that what they send again is recognised:
    /// of each client one, of at most [`MAX_NUMBERS`] clients, the newest last.
    pub numbers: Vec<LastNumber>,
    /// The position up to which the app has saved it.
    pub saved: u64,
    /// A save of this position was begun, and nobody noted its end: it may have happened.
    pub saving: Option<u64>,
    /// The offset of the last entry that is gone, or what [`Write::Create`] said; 0 before the first.
    pub offset: u64,
    /// Offsets that were given to what is not kept.
    pub passing: Option<Passing>,
}

impl Stored {
    /// The offset of the last entry that was kept.
    pub fn last_offset(&self) -> u64 {
        self.entries.last().map_or(self.offset, |last| last.offset)
    }

    /// The position behind the last entry.
    pub fn position(&self) -> u64 {
        self.entries.last().map_or(self.base, Entry::after)
    }
}

/// Clients whose last number is kept behind a snapshot, a document.
pub const MAX_NUMBERS: usize = 1000;

/// A batch of steps, or an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The position that it fits.
    pub before: u64,
    /// How many positions it takes, at least 1.
    pub count: u32,
    /// The client it is by.
    pub client: Id,
    /// The client's own number of it.
    pub number: Option<u64>,
    /// The user it is by, where there is one.
    pub user: Option<String>,
    /// The change that it is part of.
    pub change_id: Option<String>,
    /// What it says, as the text in which it came.
    pub body: String,
    /// Its place among all that the document's members are sent; 0 where that was not noted.
    pub offset: u64,
    /// The client session it is by; `None` for a route handler's, and where that was not noted.
    pub client_session: Option<ClientSessionId>,
}

/// Offsets that were, or may have been, given to messages that are sent and not kept. It says nothing any more once there
/// is an entry with an offset above `behind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passing {
    /// The last offset before them.
    pub behind: u64,
    /// The last of them.
    pub up_to: u64,
}

impl Entry {
    /// The position behind it.
    pub fn after(&self) -> u64 {
        self.before.saturating_add(u64::from(self.count))
    }
}

/// The last number of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastNumber {
    /// The client.
    pub client: Id,
    /// The number of its last entry that had one.
    pub number: u64,
    /// The position behind that entry.
    pub after: u64,
}

/// What was put aside of a document: a batch that did not fit, or a log that gave way to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The document it was in.
    pub document: Id,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: String,
    /// What, as the text that was given.
    pub body: String,
}

/// One change of what is kept.
///
/// What is said of positions holds for what is on disk together with the writes before this one: a write that does not
/// fit is refused with [`StoreError::OutOfOrder`], and whoever gets that loads the document and goes on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Begins to keep a document. Refused where it is kept already: nothing is written over. To give it another log, put
    /// [`Write::SetAside`], [`Write::Forget`] and this into one call.
    Create {
        /// The document.
        document: Id,
        /// What its entries are.
        kind: Kind,
        /// Its history. Kept as it is; where this takes the place of another log, it must be another.
        epoch: Epoch,
        /// The position of `snapshot`.
        base: u64,
        /// The document at `base`; `None` where there is none yet.
        snapshot: Option<String>,
        /// The position up to which the app has saved it; at most `base`.
        saved: u64,
        /// The last offset that was given by now; 0 before the first.
        offset: u64,
    },
    /// Adds an entry, whose [`before`](Entry::before) must be the document's position.
    Append {
        /// The document.
        document: Id,
        /// The entry.
        entry: Entry,
    },
    /// Takes the place of the snapshot, and of the entries before `kept_from`. An entry must end at both. Of clients whose
    /// entries go the last numbers stay.
    Snapshot {
        /// The document.
        document: Id,
        /// The position of `body`, from the last snapshot's to what the last commit has stored: of what is not stored yet
        /// nobody has a snapshot.
        position: u64,
        /// From where on entries are kept, at most `position`: who was away goes on from what it has, and needs those that
        /// are in the snapshot, too.
        kept_from: u64,
        /// The document at `position`.
        body: String,
    },
    /// Notes that the app is about to be asked to save `position`.
    Saving {
        /// The document.
        document: Id,
        /// The position, at most the document's.
        position: u64,
    },
    /// Notes that the app has saved `position`. An older one than was noted before changes nothing.
    Saved {
        /// The document.
        document: Id,
        /// The position, at most the document's.
        position: u64,
    },
    /// Notes that offsets are about to be given to what is not kept. Takes the place of what was noted before.
    Passing {
        /// The document.
        document: Id,
        /// Which.
        passing: Passing,
    },
    /// Puts something aside that somebody may want to look at. Bounded: [`MAX_ASIDE`] of a document and
    /// [`MAX_ASIDE_BYTES`] of all, the newest.
    SetAside {
        /// The document, which need not be kept.
        document: Id,
        /// Why.
        reason: String,
        /// What.
        body: String,
    },
    /// Keeps the document no longer, saved or not. What was put aside stays. Without effect where it is not kept.
    Forget {
        /// The document.
        document: Id,
    },
    /// Keeps a few bytes under a name, which belong to no document; takes the place of what was there.
    Meta {
        /// The name.
        name: String,
        /// The bytes.
        value: Vec<u8>,
    },
}

/// How much is kept aside of one document.
pub const MAX_ASIDE: usize = 8;

/// Bytes that are kept aside of all documents. One that is larger is kept until there is another.
pub const MAX_ASIDE_BYTES: usize = 16 << 20;

impl Write {
    /// The document it is for; `None` for [`Write::Meta`].
    pub fn document(&self) -> Option<&Id> {
        match self {
            Self::Create { document, .. }
            | Self::Append { document, .. }
            | Self::Snapshot { document, .. }
            | Self::Saving { document, .. }
            | Self::Saved { document, .. }
            | Self::Passing { document, .. }
            | Self::SetAside { document, .. }
            | Self::Forget { document } => Some(document),
            Self::Meta { .. } => None,
        }
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        let text = match self {
            Self::Create { snapshot, .. } => snapshot.as_ref().map_or(0, String::len),
            Self::Append { entry, .. } => entry.body.len() + entry.change_id.as_ref().map_or(0, String::len),
            Self::Snapshot { body, .. } => body.len(),
            Self::SetAside { reason, body, .. } => reason.len() + body.len(),
            Self::Meta { name, value } => name.len() + value.len(),
            Self::Saving { .. } | Self::Saved { .. } | Self::Passing { .. } | Self::Forget { .. } => 0,
        };
        size_of::<Self>() + text
    }
}

/// What became of each of several lists of writes that were committed together.
pub type Outcomes = Vec<Result<(), StoreError>>;

/// Keeps documents. Called from one thread, and may take its time.
pub trait Store: Send {
    /// What is kept of a document; `None` where it is not kept.
    ///
    /// # Errors
    ///
    /// Any but [`StoreError::OutOfOrder`].
    fn load(&mut self, document: &Id) -> Result<Option<Stored>, StoreError>;

    /// Makes lists of writes durable, all of them together. Of a list either all is done or nothing, and one that is
    /// refused hinders no other.
    ///
    /// # Errors
    ///
    /// No entry of any is kept, and no document is created, neither now nor when the store is opened again. The rest may
    /// have been done or not, and to ask for it again does no harm.
    fn commit(&mut self, lists: &[Vec<Write>]) -> Result<Outcomes, StoreError>;

    /// The documents that have more than the app has saved.
    ///
    /// # Errors
    ///
    /// Any but [`StoreError::OutOfOrder`].
    fn unsaved(&mut self) -> Result<Vec<Id>, StoreError>;

    /// What was put aside, the oldest first: of one document, or of all.
    ///
    /// # Errors
    ///
    /// Any but [`StoreError::OutOfOrder`].
    fn set_aside(&mut self, document: Option<&Id>) -> Result<Vec<SetAside>, StoreError>;

    /// The bytes that are kept under a name.
    ///
    /// # Errors
    ///
    /// Any but [`StoreError::OutOfOrder`].
    fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Bytes that it takes of the disk.
    fn bytes(&self) -> u64;

    /// Gives back to the disk what is not used, however long that takes. `false` where there was nothing to give.
    ///
    /// # Errors
    ///
    /// Any but [`StoreError::OutOfOrder`].
    fn compact(&mut self) -> Result<bool, StoreError>;
}
