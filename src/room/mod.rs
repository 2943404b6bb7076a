//! The members of a document, and the fan-out to them.
//!
//! Whoever publishes, on any thread, appends one encoded frame to what the room gathers and is done. The room's thread
//! writes all that was gathered to each member with one `write`. Two locks, so that a route handler never waits for a
//! thousand sockets: `state` is held for the length of a copy, `members` only ever by the room's thread.

pub mod document_log;
mod elsewhere;
mod latest;
mod left;
mod load;
mod membership;
pub mod opening;
mod pending;
pub mod publication;
mod rooms;
mod saving;
mod settle;
#[cfg(test)]
mod tests;
mod watching;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

pub(crate) use self::membership::{JoinReply, Membership};
pub use self::rooms::Rooms;
use self::{
    document_log::{Append, DocumentLog, MemoryLog},
    elsewhere::Elsewhere,
    latest::{Latest, Place},
    left::LeftRoom,
    opening::{Loading, Opener},
    pending::Pending,
    publication::{Answer, Draft, Refusal},
};
use crate::{
    Error,
    connection::{
        Connection,
        batch::{Batch, BatchBuilder, BatchFrame, FrameMeta},
    },
    ids::{ClientSessionId, ConnectionId, Id},
    metrics::labels::EndpointKind,
    panics::guarded,
    recovery::{RoomRecovery, Settings, budget::Relief, history::History, saved::SavedRoom},
    shard::{Flush, Shard, Work},
    sync::lock,
    websocket::close::Close,
};

/// What all rooms of a hub are made with.
#[derive(Debug, Clone)]
struct RoomSettings {
    max_pending_bytes: usize,
    /// `None` where nothing is remembered.
    recovery: Option<Arc<Settings>>,
    /// Gives documents their logs; `None` has them in memory.
    opener: Option<Arc<dyn Opener>>,
}

/// Where a room stands among the others of its thread.
trait Registry: Send + Sync + fmt::Debug {
    /// Forgets a room that has no members. On its thread.
    fn remove(&self, document: &Id);

    /// Has the largest histories give way, once the thread has time for it.
    fn relieve(&self, relief: Relief);

    /// Keeps what a room remembers that could not be opened, for who opens it next.
    fn keep(&self, saved: SavedRoom);
}

/// The connections that have one document open.
#[derive(Debug)]
pub struct Room {
    document: Id,
    shard: Arc<Shard>,
    /// Where it is forgotten when its last member leaves.
    registry: Weak<dyn Registry>,
    max_pending_bytes: usize,
    state: Mutex<State>,
    members: Mutex<Vec<Member>>,
    /// As many as `members` holds; for counting without its lock.
    count: AtomicUsize,
    /// What is remembered for those who come back; `None` where that is nothing. Once the room is open, only its thread
    /// locks it.
    recovery: Option<Box<Mutex<RoomRecovery>>>,
    /// Bytes of its history, for whoever makes room.
    history_bytes: AtomicUsize,
    /// Whether its log has ever kept anybody waiting; for asking without a lock whether it does.
    is_late: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// What is to be sent to the members there are now.
    gathered: BatchBuilder,
    /// Whether the room's thread knows of it.
    scheduled: bool,
    /// How many members each client has.
    clients: HashMap<Id, usize>,
    /// What the members have sent that outlives the message.
    latest: Latest,
    /// Gives what is published its place.
    log: DocumentLog,
    /// What the log has not answered yet; `None` where there never was any, as with a log in memory.
    pending: Option<Box<Pending>>,
    /// What members in other processes show; `None` where there never was any.
    elsewhere: Option<Box<Elsewhere>>,
    /// Connections that wait for the room to be opened, or were just told that it is.
    joining: usize,
    /// While the room is loading.
    loading: Option<Box<Loading>>,
    /// What it remembers was saved for the next process: what were published now would be lost.
    is_saved: bool,
}

#[derive(Debug)]
struct Member {
    /// Beside the connection, so that looking for one touches no other.
    id: ConnectionId,
    connection: Arc<Connection>,
    client: Id,
    /// [`NO_CLIENT_SESSION`] once another connection has taken its place.
    client_session: ClientSessionId,
    place: Place,
}

/// No connection has the number 0, so no client session begins with it. A member is 64 bytes, a line of memory; with an
/// `Option` it would be more.
const NO_CLIENT_SESSION: ClientSessionId = ClientSessionId::new(0);

impl Room {
    /// A room without members, which goes on from what an earlier process has left of it.
    fn new(
        document: Id,
        shard: Arc<Shard>,
        registry: Weak<dyn Registry>,
        settings: &RoomSettings,
        left: Option<LeftRoom>,
    ) -> Self {
        let RoomSettings { max_pending_bytes, recovery, opener } = settings;
        let mut log = DocumentLog::Memory(MemoryLog::new(recovery.is_some()));
        let mut loading: Option<Box<Loading>> = opener.is_some().then(Box::default);
        let left = left.filter(|LeftRoom { saved, .. }| match &mut loading {
            Some(loading) => {
                loading.resumes = Some((saved.log_position, saved.last));
                true
            }
            None => log.resume(saved.log_position, saved.last),
        });
        let recovery = recovery.clone().map(|settings| match left {
            Some(left) => left.restore(settings, shard.now()),
            None => RoomRecovery::new(settings),
        });
        let history_bytes = recovery.as_ref().map_or(0, |recovery| recovery.history.bytes());
        let recovery = recovery.map(|recovery| Box::new(Mutex::new(recovery)));
        let state = State {
            gathered: BatchBuilder::default(),
            scheduled: false,
            clients: HashMap::new(),
            latest: Latest::default(),
            log,
            pending: None,
            elsewhere: None,
            joining: 0,
            loading,
            is_saved: false,
        };
        Self {
            document,
            shard,
            registry,
            max_pending_bytes: *max_pending_bytes,
            state: Mutex::new(state),
            members: Mutex::default(),
            count: AtomicUsize::new(0),
            recovery,
            history_bytes: AtomicUsize::new(history_bytes),
            is_late: AtomicBool::new(false),
        }
    }

    /// The document's id.
    pub fn document(&self) -> &Id {
        &self.document
    }

    /// Members there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The thread on which it lives.
    pub(crate) fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    /// Publications that were given to the log so far.
    fn submitted_count(&self) -> u64 {
        lock(&self.state).pending.as_ref().map_or(0, |pending| pending.submitted_count())
    }

    /// Whether the log has answered as many.
    fn has_settled(&self, count: u64) -> bool {
        lock(&self.state).pending.as_ref().is_none_or(|pending| pending.has_settled(count))
    }

    /// Publishes a route handler's message to every member, or to those of one client; from any thread. Returns how many
    /// that are. Those who are away get it when they come back.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing of it was sent.
    pub(crate) fn publish(
        self: &Arc<Self>,
        draft: &Draft<'_>,
        answer: Option<Answer>,
    ) -> Result<usize, PublishError> {
        let mut state = lock(&self.state);
        if state.is_saved && draft.is_ordered() {
            return Err(PublishError::Closed);
        }
        let receivers = match draft.to {
            Some(client) => state.clients.get(client).copied().unwrap_or(0),
            None => self.count(),
        };
        if let Some(loading) = &mut state.loading {
            let held = loading.hold(draft, answer, self.max_pending_bytes);
            return if held { Ok(receivers) } else { Err(PublishError::Overloaded) };
        }
        if receivers == 0 && self.recovery.is_none() && state.log.is_memory() {
            return Ok(0);
        }
        let waiting = state.pending.as_ref().map_or(0, |pending| pending.bytes());
        if state.gathered.len() + waiting > self.max_pending_bytes {
            return Err(PublishError::Overloaded);
        }
        match self.submit(&mut state, draft, answer) {
            Submitted::Now | Submitted::Later => Ok(receivers),
            Submitted::Refused(refusal) => Err(PublishError::Refused(refusal)),
        }
    }

    /// The last offset that the members were sent, where publications have one. On the room's thread.
    pub(crate) fn sent_up_to(&self) -> Option<u64> {
        Some(lock(self.recovery.as_ref()?).history.last())
    }

    /// Gives a publication to the log, where it takes a place in it, and to the members once it has that.
    fn submit(self: &Arc<Self>, state: &mut State, draft: &Draft<'_>, answer: Option<Answer>) -> Submitted {
        let offset = match &mut state.log {
            _ if !draft.is_ordered() => None,
            DocumentLog::Memory(log) => match log.place(draft.after) {
                Ok(offset) => offset,
                Err(refusal) => return refused(answer, refusal),
            },
            DocumentLog::Other(log) => {
                let (author, number, bytes) = (draft.author, draft.number, draft.bytes());
                let room = Arc::clone(self);
                return match log.append(draft.into_publication(answer), room) {
                    Append::Later => {
                        state.pending.get_or_insert_default().submitted(author, number, bytes);
                        self.is_late.store(true, Ordering::Relaxed);
                        Submitted::Later
                    }
                    Append::Refused(publication, refusal) => refused(publication.answer, refusal),
                };
            }
        };
        self.encode(state, draft, offset);
        self.schedule(state);
        if let Some((answer, offset)) = answer.zip(offset) {
            answer.tell(Ok(offset));
        }
        Submitted::Now
    }

    /// Encodes a publication for the members, who are sent it once the room's thread has time for it.
    #[inline]
    fn encode(&self, state: &mut State, draft: &Draft<'_>, offset: Option<u64>) {
        let meta = FrameMeta {
            from: draft.left_out().map(|author| author.connection),
            client_session: draft.left_out().map(|author| author.client_session),
            to: draft.to.cloned(),
            policy: draft.policy(),
            offset,
        };
        state.gathered.push(meta, |out| draft.put(out, &self.document, offset));
    }

    fn schedule(self: &Arc<Self>, state: &mut State) {
        if !std::mem::replace(&mut state.scheduled, true) {
            let room = Arc::clone(self);
            self.shard.push(Work::Flush(room));
        }
    }

    /// Sends a batch to every member. After a panic in the middle of it nobody can say who got what, so all are closed:
    /// they come back and are given what they missed, or told to reload where the history may not have it.
    fn send(&self, members: &[Member], batch: &Batch) {
        let sent = guarded("sending to a room, whose members are closed", || {
            if let Some(recovery) = &self.recovery
                && batch.history_bytes > 0
            {
                self.append(&mut lock(recovery).history, batch);
            }
            for member in members {
                let is_for = |frame: &BatchFrame| frame.is_for(member.id, &member.client);
                member.connection.send_batch(batch, is_for);
            }
            batch.count(members.len(), EndpointKind::Fabric, self.shard.counters());
        });
        if sent.is_none() {
            if let Some((recovery, offset)) = self.recovery.as_ref().zip(batch.last_offset()) {
                lock(recovery).history.lost(offset);
            }
            for member in members {
                member.connection.close(&Close::internal());
            }
        }
    }

    fn append(&self, history: &mut History, batch: &Batch) {
        history.append(batch, self.shard.now());
        self.grew(history);
    }

    /// Notes how large the history is, which is larger than before: all together may be too large now.
    fn grew(&self, history: &History) {
        self.history_bytes.store(history.bytes(), Ordering::Relaxed);
        if let Some(relief) = history.relief()
            && let Some(registry) = self.registry.upgrade()
        {
            registry.relieve(relief);
        }
    }

    /// Bytes of its history, as of the last change; from any thread.
    pub(crate) fn history_bytes(&self) -> usize {
        self.history_bytes.load(Ordering::Relaxed)
    }

    /// Forgets the oldest of its history until that takes `bytes` at most. On the room's thread.
    pub(crate) fn trim(&self, bytes: usize) {
        if let Some(recovery) = &self.recovery {
            let mut recovery = lock(recovery);
            recovery.history.trim(bytes);
            self.history_bytes.store(recovery.history.bytes(), Ordering::Relaxed);
        }
    }

    /// Has a room without members forgotten that remembers nothing. On the room's thread, with nothing locked: the map of
    /// rooms is locked before their members, never behind them.
    fn forget_if_idle(&self) {
        if self.recovery.is_none()
            && !lock(&self.state).is_busy()
            && let Some(registry) = self.registry.upgrade()
        {
            registry.remove(&self.document);
        }
    }

    /// Forgets what is too old; returns whether that is the room itself. On the room's thread.
    pub(crate) fn forget(&self) -> bool {
        let is_idle = {
            let members = lock(&self.members);
            let mut state = lock(&self.state);
            if !state.log.is_memory() {
                let here = members.iter().map(|member| member.client_session);
                let here: Vec<_> = here.filter(|here| *here != NO_CLIENT_SESSION).collect();
                if let Some(log) = state.log.other() {
                    log.keep(&here);
                }
            }
            let is_needed = state.log.other().is_some_and(|log| log.is_needed());
            members.is_empty() && !state.is_busy() && !is_needed
        };
        let Some(recovery) = &self.recovery else { return false };
        let mut recovery = lock(recovery);
        let forgotten = recovery.forget(self.shard.now());
        self.history_bytes.store(recovery.history.bytes(), Ordering::Relaxed);
        forgotten && is_idle
    }
}

impl State {
    /// Whether something is under way that needs the room, also without members.
    fn is_busy(&self) -> bool {
        self.joining > 0
            || self.loading.is_some()
            || self.pending.as_ref().is_some_and(|pending| pending.count() > 0)
    }
}

/// Why a route handler's message was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// More waits to be sent than the hub may hold.
    Overloaded,
    /// The document's log has no place for it.
    Refused(Refusal),
    /// The hub has ended.
    Closed,
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Closed => Self::Closed,
            // Whoever calls a hub is told the same either way: to try again later. No call of it has a condition yet that
            // could be stale.
            PublishError::Overloaded | PublishError::Refused(_) => Self::Overloaded,
        }
    }
}

/// A publication has no place, and whoever wants to know is told so.
fn refused(answer: Option<Answer>, refusal: Refusal) -> Submitted {
    if let Some(answer) = answer {
        answer.tell(Err(refusal));
    }
    Submitted::Refused(refusal)
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Submitted {
    /// It has its place, and goes out.
    Now,
    /// The log has it and will answer.
    Later,
    /// It has none.
    Refused(Refusal),
}

impl Flush for Room {
    fn flush(&self) {
        let mut members = lock(&self.members);
        let (batch, settled) = {
            let mut state = lock(&self.state);
            state.scheduled = false;
            let settled = if state.pending.is_some() { self.settle(&mut state, &mut members) } else { None };
            (state.gathered.take(), settled)
        };
        if !batch.frames.is_empty() {
            // What belongs to another log than the members were sent is only remembered: their client would take it for more of
            // the one that it knows.
            let knows_it = settled.as_ref().is_none_or(|settled| !settled.restarted);
            self.send(if knows_it { &members } else { &[] }, &batch);
        }
        // Behind what the answers of the log have brought.
        if let Some(settled) = settled {
            settled.tell(self, members);
        }
    }
}
