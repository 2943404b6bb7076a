//! What a document needs of the processes that have it, where there are several.

use std::{
    fmt,
    sync::{Arc, mpsc},
};

use tokio::sync::oneshot;

use super::{
    batches::Batches,
    hooks::{Answer, Snapshot},
    store::{SetAside, Write},
};
use crate::{
    ids::{ClientSessionId, Id},
    room::{
        document_log::Deliver,
        publication::{Content, Publication, Refusal, Replaced},
    },
};

/// What a document needs of what the processes share.
pub(super) trait Together: Send + Sync + fmt::Debug {
    /// Whether this process loads and saves it.
    fn is_saver(&self) -> bool;

    /// Writes beside the log, as the store of one process does. `offset` is that of the last batch which a snapshot among the
    /// writes has; `history` the log that their versions are of, where they have some.
    fn write(&self, writes: Vec<Write>, offset: u64, history: Option<u64>) -> Answer<()>;

    /// Has the document go on as another one, in all processes, if it still is at version `at` of a log; what it was is set aside.
    fn replace(&self, replaced: Replaced, at: (u64, u64), reason: &str, set_aside: String) -> Answer<()>;

    /// Puts `batches` there again behind version `at`; or, where there is nothing, all of them behind the snapshot. Whether they
    /// are there: not where there is something else, or another log than `history`.
    fn restore(&self, at: Option<u64>, begins: Replaced, batches: Vec<Content>, history: u64)
    -> Answer<bool>;

    /// Has the document go on with all that stands there now, as if its log were another one; whether that was done.
    fn begin_anew(&self) -> Answer<bool>;

    /// The snapshot that stands there.
    fn snapshot(&self) -> Answer<Option<Snapshot>>;

    /// Tells the other processes that it is saved at this version.
    fn tell_saved(&self, version: u64);

    /// Tells whoever saves it next that the app may have this version, of what was lost.
    fn may_be_saved(&self, version: u64) -> Answer<()>;

    /// Nothing of it has to be saved any more.
    fn is_saved(&self);

    /// Tells the other processes that a client waits for its turn, or a route handler (`None`), and how long it takes to come
    /// again, in milliseconds.
    fn tell_waiting(&self, client: Option<ClientSessionId>, round_trip: u64);

    /// Tells them that the route handler has had it.
    fn tell_served(&self);

    /// Asks whoever saves it to do so now.
    fn ask_to_save(&self);

    /// Lets another process load and save it; what is returned hears once Redis knows, or breaks off.
    fn release(&self) -> mpsc::Receiver<()>;

    /// Which log it is now, and what it has: `None` where nothing of the document is left.
    fn restarted(&self) -> (u64, Option<Rest>);

    /// Brings its room up to what stands in the log now; whether that was done.
    #[cfg(feature = "redis")]
    fn catch_up(&self) -> Answer<bool>;

    /// What was set aside of it.
    fn set_aside(&self) -> Answer<Vec<SetAside>>;
}

/// What there is of a document: batches from before the snapshot to its version, of which the app has those up to `saved`.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) snapshot: Snapshot,
    pub(super) batches: Batches,
    pub(super) saved: u64,
}

/// What was delivered here and Redis has lost.
#[derive(Debug)]
pub(super) struct Lost {
    /// The document as it was here.
    pub(super) old: Rest,
    /// Redis has nothing of it.
    pub(super) is_all: bool,
}

/// What of a document is on its way to the log, or back.
#[derive(Debug, Default)]
pub(super) struct OnTheWay {
    /// The log that the versions here are of: how often it has become another one.
    pub(super) history: u64,
    /// Batches that were accepted here and have not come back.
    pub(super) sent: Vec<Sent>,
    /// The other processes were told that a route handler waits for its turn.
    pub(super) has_told_of_handlers: bool,
    /// Who is to be refused once those have.
    pub(super) refused: Vec<Held>,
    /// The version that is saved elsewhere, of which not everything has come here.
    pub(super) saved: Option<u64>,
    /// Who waits for the document to go on as another one.
    pub(super) goes_on: Vec<oneshot::Sender<()>>,
    /// What Redis has lost, until it is there again. Nobody writes before.
    pub(super) lost: Option<Lost>,
    /// The version at which it was looked last for a newer snapshot.
    pub(super) renewed_at: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) before: u64,
    pub(super) client: Id,
    pub(super) number: Option<u64>,
}

/// Somebody who waits to be refused.
pub(super) struct Held {
    pub(super) publication: Publication,
    pub(super) room: Arc<dyn Deliver>,
    pub(super) refusal: Refusal,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("refusal", &self.refusal).finish_non_exhaustive()
    }
}
