//! What a process has of a document with an authority beside its log: whether it looks after it, and who is told of that.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
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
    pub(super) mark: tokio::sync::Mutex<Mark>,
}

#[derive(Default)]
struct State {
    /// Whether this process looks after it.
    is_held: bool,
    /// This process looks after it no more, whoever else does.
    is_given_up: bool,
    /// How often the log has become another one.
    history: u64,
    /// What it has become, until the room goes on with it: each time, in order.
    restarted: VecDeque<(u64, Reading)>,
}

/// Whether Redis has it noted that this process may have written something that is not saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    Unset,
    /// As was told over a connection that began then. A server to which is connected anew may have lost it.
    Set(Instant),
    /// It is to go once all is saved, which it may be already: Redis could not be told.
    Owed,
}

/// What Redis answers to one who wants to look after a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Whether it does from now on, or still.
    pub(crate) is_held: bool,
    /// Whether nobody had it just before.
    pub(crate) is_new: bool,
    /// The version that is saved; `None` where it was never loaded, or that is known already.
    pub(crate) saved: Option<u64>,
    /// The version of a save that another process has begun, and whose end was not noted.
    pub(crate) saving: Option<u64>,
    /// A version that the app may have, of what Redis has lost.
    pub(crate) may: Option<u64>,
}

impl Lease {
    /// One of which nothing more is known.
    const fn of(is_held: bool) -> Self {
        Self { is_held, is_new: is_held, saved: None, saving: None, may: None }
    }
}

/// Is told what becomes of a document, on the thread of Redis.
pub(crate) trait Keeper: Send + Sync {
    /// This process looks after it from now on, or does not any more.
    fn leased(&self, lease: Lease);

    /// Another process has saved it at this version: just now where `is_news`, otherwise at some time, which is said again and
    /// again.
    fn saved_elsewhere(&self, version: u64, is_news: bool);

    /// The app may have this version, of what Redis has lost. Said again and again.
    fn may_be_saved(&self, version: u64);

    /// A client of another process, or its route handlers, wait for their turn, and take so many milliseconds to come again.
    fn waits_elsewhere(&self, writer: ClientSessionId, round_trip: u64);

    /// Route handlers of another process have had their turn.
    fn served_elsewhere(&self, writer: ClientSessionId);

    /// Somebody wants it to be saved now.
    fn save_now(&self);

    /// Whether the app has all of it.
    fn is_clean(&self) -> bool;
}

impl Kept {
    pub(super) fn new(token: String, stays: Option<Duration>) -> Self {
        Self {
            token,
            stays,
            keeper: OnceLock::new(),
            state: Mutex::default(),
            mark: tokio::sync::Mutex::default(),
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

    /// What Redis has answered to this process, which wants to look after it; tells the document what is new. What another
    /// process has saved is said with each answer: what that has told may have been lost.
    pub(super) fn leased(&self, lease: Lease) {
        if let Some((keeper, saved)) = self.keeper().zip(lease.saved)
            && !(lease.is_held && self.is_held() && !lease.is_new)
        {
            keeper.saved_elsewhere(saved, false);
        }
        if lease.is_held && lease.is_new {
            // It had run out, and whoever had it meanwhile has said what it did, which may have been missed.
            self.lost();
        }
        self.now(lease);
        if let Some((keeper, may)) = self.keeper().zip(lease.may)
            && lease.is_held
        {
            keeper.may_be_saved(may);
        }
    }

    /// This process does not look after it any more.
    pub(super) fn lost(&self) {
        self.now(Lease::of(false));
    }

    fn now(&self, mut lease: Lease) {
        let was = {
            let mut state = lock(&self.state);
            lease.is_held &= !state.is_given_up;
            std::mem::replace(&mut state.is_held, lease.is_held)
        };
        if was != lease.is_held
            && let Some(keeper) = self.keeper()
        {
            keeper.leased(lease);
        }
    }

    /// This process looks after it no more, whoever else does; whether it has until now.
    pub(super) fn give_up(&self) -> bool {
        lock(&self.state).is_given_up = true;
        let was_held = self.is_held();
        self.lost();
        was_held
    }

    /// Has `keeper` told what becomes of it from now on.
    pub(super) fn tell(&self, keeper: Arc<dyn Keeper>) {
        let keeper = self.keeper.get_or_init(|| keeper);
        if self.is_held() {
            // It has loaded it, and knows what the app has.
            keeper.leased(Lease::of(true));
        }
    }

    /// What the log has become that the room is to go on with, and which one that is.
    pub(super) fn take_restarted(&self) -> (u64, Option<Reading>) {
        let mut state = lock(&self.state);
        let next = state.restarted.pop_front();
        next.map_or((state.history, None), |(history, reading)| (history, Some(reading)))
    }

    /// The log is another one.
    pub(super) fn restarted(&self, reading: Reading) {
        let mut state = lock(&self.state);
        state.history += 1;
        let history = state.history;
        state.restarted.push_back((history, reading));
    }

    /// How often the log has become another one.
    pub(super) fn history(&self) -> u64 {
        lock(&self.state).history
    }

    /// What another process has said of it.
    pub(super) fn told(&self, records: &[Record]) {
        let Some(keeper) = self.keeper() else { return };
        for record in records {
            match record {
                Record::Saved(version) => keeper.saved_elsewhere(*version, true),
                Record::Save => keeper.save_now(),
                Record::Waits(writer, round_trip) => keeper.waits_elsewhere(*writer, (*round_trip).into()),
                Record::Served(writer) => keeper.served_elsewhere(*writer),
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
