//! What a process has of a document with an authority beside its log: whether it looks after it, and who is told of that.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use super::{soft::Record, wire::Reading};
use crate::{ids::ClientSessionId, sync::lock};

/// What a process has of a document with an authority, beside the log.
pub(super) struct Kept {
    /// Names this opening of the document, as long as it lasts.
    pub(super) token: String,
    /// How long the document stays in Redis once it is saved; `None` for ever.
    pub(super) stays: Option<Duration>,
    /// Who is told what becomes of it, once the document is open.
    keeper: OnceLock<Arc<dyn Keeper>>,
    state: Mutex<State>,
    /// Locked while it is told to Redis whether something of it is not saved, so that one is behind the other.
    pub(super) marking: tokio::sync::Mutex<bool>,
}

#[derive(Default)]
struct State {
    /// Whether this process looks after it.
    is_held: bool,
    /// This process looks after it no more, whoever else does.
    is_given_up: bool,
    /// What the log has become, until the room goes on with it.
    restarted: Option<Reading>,
}

/// Is told what becomes of a document, on the thread of Redis.
pub(crate) trait Keeper: Send + Sync {
    /// This process looks after it from now on, or does not any more.
    fn leased(&self, is_held: bool);

    /// Another process has saved it at this version.
    fn saved_elsewhere(&self, version: u64);

    /// A client of another process waits for its turn, and takes so many milliseconds to come again.
    fn waits_elsewhere(&self, writer: ClientSessionId, round_trip: u64);

    /// Somebody wants it to be saved now.
    fn save_now(&self);

    /// Whether nothing of it has to be saved.
    fn is_clean(&self) -> bool;
}

impl Kept {
    pub(super) fn new(token: String, stays: Option<Duration>) -> Self {
        Self {
            token,
            stays,
            keeper: OnceLock::new(),
            state: Mutex::default(),
            marking: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn keeper(&self) -> Option<&Arc<dyn Keeper>> {
        self.keeper.get()
    }

    pub(super) fn is_held(&self) -> bool {
        lock(&self.state).is_held
    }

    /// Whether this process may look after it.
    pub(super) fn is_given_up(&self) -> bool {
        lock(&self.state).is_given_up
    }

    /// Whether this process looks after it from now on; tells the document where that is new.
    pub(super) fn held(&self, is_held: bool) {
        let was = std::mem::replace(&mut lock(&self.state).is_held, is_held);
        if was != is_held
            && let Some(keeper) = self.keeper()
        {
            keeper.leased(is_held);
        }
    }

    /// This process looks after it no more, whoever else does; whether it has until now.
    pub(super) fn give_up(&self) -> bool {
        lock(&self.state).is_given_up = true;
        let was_held = self.is_held();
        self.held(false);
        was_held
    }

    /// Has `keeper` told what becomes of it from now on.
    pub(super) fn tell(&self, keeper: Arc<dyn Keeper>) {
        let keeper = self.keeper.get_or_init(|| keeper);
        if self.is_held() {
            keeper.leased(true);
        }
    }

    /// What the log has become that the room is to go on with.
    pub(super) fn take_restarted(&self) -> Option<Reading> {
        lock(&self.state).restarted.take()
    }

    /// The log is another one.
    pub(super) fn restarted(&self, reading: Reading) {
        lock(&self.state).restarted = Some(reading);
    }

    /// What another process has said of it.
    pub(super) fn told(&self, records: &[Record]) {
        let Some(keeper) = self.keeper() else { return };
        for record in records {
            match record {
                Record::Saved(version) => keeper.saved_elsewhere(*version),
                Record::Save => keeper.save_now(),
                Record::Waits(writer, round_trip) => keeper.waits_elsewhere(*writer, (*round_trip).into()),
                _ => {}
            }
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("token", &self.token).finish_non_exhaustive()
    }
}
