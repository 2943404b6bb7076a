//! What the handlers' thread has for the connections of one shard, in the order in which it was asked for.
//!
//! A connection that is in no room is written to by the handlers' thread itself. A publication to a room is written by the
//! shards of its members, so that hundreds of writes hold up no handler; and what a member is sent beside it goes the same
//! way, so that nothing overtakes. All steps of a turn are handed over as one piece of work a shard.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::BytesMut;

use super::{
    events::{Event, NO_CONNECTION, UnseenEvents},
    members::{Publication, ShardMembers},
};
use crate::{
    connection::{Connection, batch::QueuePolicy, outbox::Watch, thread::Thread},
    ids::ConnectionId,
    panics::guarded,
    shard::{Flush, Shard, Work},
    sync::lock,
    websocket::close::Close,
};

/// Bytes of steps that are handed over without waiting for the end of the turn.
const HANDED_OVER_BYTES: usize = 64 << 10;

/// Bytes of publications to one room that are sent as one batch.
const BATCH_BYTES: usize = 64 << 10;

/// A connection that is sent to by way of its shard.
#[derive(Debug)]
pub(super) struct Recipient {
    connection: Arc<Connection>,
    /// Bytes that were sent to it, by itself, and have not reached its socket or its outbox.
    on_way: AtomicUsize,
    /// The number of the last [`Step::Send`] to it; 0 before the first.
    last_send: AtomicU64,
}

impl Recipient {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, on_way: AtomicUsize::new(0), last_send: AtomicU64::new(0) }
    }

    pub(super) fn on_way(&self) -> usize {
        self.on_way.load(Ordering::Relaxed)
    }
}

/// Something to do for connections of a shard.
#[derive(Debug)]
pub(super) enum Step {
    /// A connection becomes a member of a room.
    Join { members: Arc<ShardMembers>, connection: Arc<Connection>, slow_above: usize },
    /// A connection is no member any more.
    Leave { members: Arc<ShardMembers>, connection: ConnectionId },
    /// A message for the members of a room.
    Publish(Publication),
    /// Frames for one connection.
    Send { to: Arc<Recipient>, frames: BytesMut },
    /// Somebody waits for what was sent to a connection so far.
    Watch { connection: Arc<Connection>, watch: Watch },
    /// Somebody waits for what was published so far.
    Told(Arc<Told>),
    /// The closing handshake of a connection begins.
    Close { connection: Arc<Connection>, close: Close },
}

/// Posts [`Event::Sent`] once the last shard has dropped it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) unseen: Arc<UnseenEvents>,
    pub(super) number: u32,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.unseen.post(NO_CONNECTION, Event::Sent(self.number));
    }
}

/// The steps for one shard.
pub(super) struct Outgoing {
    shard: Weak<Shard>,
    /// Set where steps wait to be handed over; shared by all shards.
    has_steps: Arc<AtomicBool>,
    max_pending_bytes: usize,
    turn: Mutex<Turn>,
}

struct Turn {
    steps: Vec<Step>,
    bytes: usize,
    /// The number of the first step. They are numbered as they come, from 1.
    first: u64,
    /// Before the step with this number nothing may be put any more: something came between.
    fence: u64,
    /// Whether the shard knows of them.
    is_handed_over: bool,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("steps", &lock(&self.turn).steps.len()).finish_non_exhaustive()
    }
}

impl Outgoing {
    pub(super) fn new(shard: Weak<Shard>, has_steps: Arc<AtomicBool>, max_pending_bytes: usize) -> Self {
        let turn = Turn { steps: Vec::new(), bytes: 0, first: 1, fence: 1, is_handed_over: false };
        Self { shard, has_steps, max_pending_bytes, turn: Mutex::new(turn) }
    }

    /// The thread of the shard; `None` where it has ended.
    pub(super) fn thread(&self) -> Option<Arc<Thread>> {
        Some(Arc::clone(self.shard.upgrade()?.thread()))
    }

    /// Whether it is the one for this shard.
    pub(super) fn is_for(&self, shard: &Weak<Shard>) -> bool {
        self.shard.ptr_eq(shard)
    }

    /// Bytes of publications that may be on their way to the members that a room has here.
    pub(super) fn max_pending_bytes(&self) -> usize {
        self.max_pending_bytes
    }

    /// Appends a step. [`Outgoing::hand_over`] must follow, and does by itself where much has come together.
    pub(super) fn push(self: &Arc<Self>, step: Step) {
        let mut turn = lock(&self.turn);
        if let Step::Publish(publication) = &step {
            turn.bytes += publication.bytes();
        }
        turn.steps.push(step);
        turn.fence = turn.first + turn.steps.len() as u64;
        self.pushed(turn);
    }

    /// Appends a frame for one connection, to those of this turn before it where nothing came between.
    pub(super) fn send(self: &Arc<Self>, to: &Arc<Recipient>, put: impl FnOnce(&mut BytesMut)) {
        let mut turn = lock(&self.turn);
        let last = to.last_send.load(Ordering::Relaxed);
        if last < turn.fence.max(turn.first) {
            let number = turn.first + turn.steps.len() as u64;
            to.last_send.store(number, Ordering::Relaxed);
            turn.steps.push(Step::Send { to: Arc::clone(to), frames: BytesMut::new() });
        }
        let index = to.last_send.load(Ordering::Relaxed) - turn.first;
        // The index of a step in memory.
        let Some(Step::Send { frames, .. }) =
            turn.steps.get_mut(usize::try_from(index).unwrap_or(usize::MAX))
        else {
            return;
        };
        let before = frames.len();
        put(frames);
        let more = frames.len() - before;
        turn.bytes += more;
        let on_way = to.on_way.fetch_add(more, Ordering::Relaxed);
        self.pushed(turn);
        if on_way > self.max_pending_bytes {
            log::warn!(
                connection = to.connection.id().number();
                "connection {} is sent more than its thread can take: closed with 1013",
                to.connection.id()
            );
            to.connection.close(&Close::slow());
        }
    }

    fn pushed(self: &Arc<Self>, turn: MutexGuard<'_, Turn>) {
        self.has_steps.store(true, Ordering::Relaxed);
        let is_much = turn.bytes > HANDED_OVER_BYTES;
        drop(turn);
        if is_much {
            self.hand_over();
        }
    }

    /// Has the shard do what was appended.
    pub(super) fn hand_over(self: &Arc<Self>) {
        let mut turn = lock(&self.turn);
        if turn.steps.is_empty() || turn.is_handed_over {
            return;
        }
        if let Some(shard) = self.shard.upgrade() {
            turn.is_handed_over = true;
            drop(turn);
            let is_done = AtomicBool::new(false);
            shard.push(Work::Flush(Arc::new(HandedOver { outgoing: Arc::clone(self), is_done })));
        } else {
            drop(turn);
            self.discard();
        }
    }

    /// Forgets all steps. Who waits for them is told.
    pub(super) fn discard(&self) {
        drop(self.take());
    }

    fn take(&self) -> Vec<Step> {
        let mut turn = lock(&self.turn);
        turn.first += turn.steps.len() as u64;
        turn.is_handed_over = false;
        turn.bytes = 0;
        mem::take(&mut turn.steps)
    }
}

/// Steps as the shard has them. Where it ends before it has done them, they are forgotten.
struct HandedOver {
    outgoing: Arc<Outgoing>,
    is_done: AtomicBool,
}

impl Flush for HandedOver {
    fn flush(&self) {
        self.is_done.store(true, Ordering::Relaxed);
        self.outgoing.do_steps();
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        if !*self.is_done.get_mut() {
            self.outgoing.discard();
        }
    }
}

impl Outgoing {
    /// Does all steps, in their order. On the shard's thread.
    pub(super) fn do_steps(&self) {
        let mut steps = self.take().into_iter().peekable();
        while let Some(step) = steps.next() {
            let Step::Publish(publication) = step else {
                guarded("doing what a handler asked for", || do_step(step));
                continue;
            };
            let members = Arc::clone(publication.members());
            let mut bytes = publication.bytes();
            let mut publications = vec![publication];
            while let Some(Step::Publish(next)) = steps.next_if(|step| {
                matches!(step, Step::Publish(next)
                    if Arc::ptr_eq(next.members(), &members) && bytes + next.bytes() <= BATCH_BYTES)
            }) {
                bytes += next.bytes();
                publications.push(next);
            }
            members.send(&publications);
        }
    }
}

fn do_step(step: Step) {
    match step {
        Step::Join { members, connection, slow_above } => members.add(connection, slow_above),
        Step::Leave { members, connection } => members.remove(connection),
        Step::Publish(publication) => publication.members().send(std::slice::from_ref(&publication)),
        Step::Send { to, frames } => {
            let bytes = frames.len();
            to.connection.send(frames.freeze(), None, QueuePolicy::Reliable);
            to.on_way.fetch_sub(bytes, Ordering::Relaxed);
        }
        Step::Watch { connection, watch } => connection.watch(watch),
        Step::Told(told) => drop(told),
        Step::Close { connection, close } => connection.close(&close),
    }
}
