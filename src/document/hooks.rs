//! What a document needs of the app: to be loaded, saved, and made out of its steps.

use std::{fmt, future::Future, pin::Pin};

use super::store::Kind;
use crate::{ids::Id, room::opening::OpenedBy};

/// The answer of a hook, which may take its time.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, HookError>> + Send>>;

/// The app, as documents see it. Called from any thread; must not block.
pub trait Hooks: Send + Sync + fmt::Debug {
    /// Says what kind of document this is, of which several processes may have the content already: as
    /// [`load`](Self::load), with a copy that is [`AppCopy::Nowhere`].
    fn kind(&self, document: &Id) -> Answer<Loaded>;

    /// Says what kind of document this is, and gives the app's copy of it.
    fn load(&self, document: &Id, by: OpenedBy) -> Answer<Loaded>;

    /// Saves a document. May be asked twice for one version.
    fn save(&self, save: Save) -> Answer<SaveOutcome>;

    /// Decides which of two goes on: what the app has, which somebody else has changed, or the steps that were not saved.
    fn resolve(&self, conflict: Conflict) -> Answer<Resolution>;
}

/// Why a hook has not done what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookError(
    /// What a log line says.
    pub String,
);

/// What the app says of a document that is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The hub only passes on what its clients say.
    Relay,
    /// The hub orders its steps, or keeps its updates.
    Kept(Kind, AppCopy),
}

/// A document as the app has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppCopy {
    /// The app keeps none: the hub's store has all there is.
    Nowhere,
    /// There is none yet.
    None,
    /// This one.
    Some(Snapshot),
}

/// A document at a version, or the state that so many updates make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version.
    pub version: u64,
    /// The document as JSON; `null` before there was any.
    pub doc: Box<str>,
}

impl Snapshot {
    /// A document that nobody has written anything to.
    pub fn empty() -> Self {
        Self { version: 0, doc: "null".into() }
    }
}

/// Steps with the version they were made for, or an update with how many there were before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepsAt {
    /// The version before the first.
    pub version: u64,
    /// A JSON array of them; or the update.
    pub steps: std::sync::Arc<str>,
}

/// A document as it is now: a snapshot and what came after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The newest document that was made.
    pub snapshot: Snapshot,
    /// The steps behind it, in order.
    pub steps: Vec<StepsAt>,
    /// The version after them.
    pub version: u64,
}

/// What is to be saved.
#[derive(Debug, Clone)]
pub struct Save {
    /// The document's id.
    pub document: Id,
    /// What its entries are.
    pub kind: Kind,
    /// It, up to the version that is to be saved.
    pub content: Content,
    /// The version that was saved before, or loaded.
    pub previous: u64,
    /// Why now.
    pub reason: SaveReason,
    /// Who has edited it since, in the order in which they began: a user's id, or the client's where no session says.
    pub editors: Vec<String>,
}

/// Why a document is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveReason {
    /// Nobody has edited it for a while.
    Quiet,
    /// Somebody asked for it.
    Asked,
    /// It has been edited for long without a pause.
    Overdue,
    /// The hub ends.
    Shutdown,
    /// An earlier process could not.
    Restart,
}

impl SaveReason {
    /// The word that the hook is given.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Asked => "asked",
            Self::Overdue => "overdue",
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
        }
    }
}

/// What became of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveOutcome {
    /// It is saved; with the document that was made of its steps, where the app could make it.
    Saved(Option<Box<str>>),
    /// The steps for this version do not fit into the document: it stays without them, and all that came after.
    BadSteps {
        /// The last good version, and the document there.
        good: Snapshot,
        /// What the app said.
        reason: String,
    },
}

/// An app's copy that is not the one the hub has loaded or saved, beside steps that were never saved.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// The document's id.
    pub document: Id,
    /// What the app has; `None` where it has none.
    pub loaded: Option<Snapshot>,
    /// What the hub has.
    pub content: Content,
    /// The version that was saved last.
    pub saved: u64,
}

/// Which of two goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// What the app has. The hub's is set aside.
    Loaded,
    /// What the hub has; the next save overwrites the app's.
    Log,
}
