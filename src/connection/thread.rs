//! What the connections of one thread share: its clock, memory for reading, and the list of them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{Connection, batch::Batch};
use crate::{
    admission::users::Users,
    ids::ConnectionId,
    metrics::{ThreadCounters, labels::EndpointKind, thread::Waiting},
    panics::guarded,
    sync::lock,
    websocket::{close::Close, decoder::Codec},
};

/// Connections that the clock looks at before those with something to read have their turn: some 20 µs.
pub(crate) const TICKS_PER_TURN: usize = 256;

/// Bytes read at once; shared by all connections of the thread.
const INPUT_BYTES: usize = 64 << 10;

/// What the connections of one thread share.
pub(crate) struct Thread {
    users: Arc<Users>,
    /// In an order, so that the clock can go on where it stopped.
    connections: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
    scratch: Mutex<Scratch>,
    /// Milliseconds, as of the last tick.
    now: AtomicU32,
    counters: ThreadCounters,
}

/// Memory that one connection at a time uses.
pub(crate) struct Scratch {
    input: Vec<u8>,
    pub(crate) codec: Codec,
    pub(crate) replies: Vec<u8>,
}

impl Scratch {
    /// The read buffer; to be put back. A panic may have kept it from that, and then there is a new one.
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.input);
        input.resize(INPUT_BYTES, 0);
        input
    }

    pub(crate) fn put_input(&mut self, input: Vec<u8>) {
        self.input = input;
    }
}

/// The times of [`Thread::tick_some`], in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// `None` never pings.
    pub(crate) heartbeat: Option<u32>,
    pub(crate) close_timeout: u32,
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").field("connections", &lock(&self.connections).len()).finish_non_exhaustive()
    }
}

impl Thread {
    pub(crate) fn new(users: Arc<Users>, max_message_bytes: usize) -> Self {
        let codec = Codec::new(max_message_bytes);
        Self {
            users,
            connections: Mutex::default(),
            scratch: Mutex::new(Scratch { input: Vec::new(), codec, replies: Vec::new() }),
            now: AtomicU32::new(0),
            counters: ThreadCounters::default(),
        }
    }

    /// What it counts; written on this thread.
    pub(crate) fn counters(&self) -> &ThreadCounters {
        &self.counters
    }

    /// Who is there, and how much they may do; the same for all threads.
    pub(crate) fn users(&self) -> &Users {
        &self.users
    }

    pub(crate) fn scratch(&self) -> &Mutex<Scratch> {
        &self.scratch
    }

    /// Milliseconds since the thread began, less its pauses, as of the last tick. Wraps after 49 days.
    pub(crate) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn set_now(&self, now: u32) {
        self.now.store(now, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, connection: Arc<Connection>) {
        lock(&self.connections).insert(connection.id(), connection);
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        lock(&self.connections).remove(&id);
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.connections).values().cloned().collect()
    }

    /// Terminates every connection; returns how many there were.
    pub(crate) fn terminate_all(&self) -> usize {
        let connections = self.all();
        for connection in &connections {
            connection.terminate();
        }
        connections.len()
    }

    /// Terminates every closing connection for which as many bytes have waited over `patience` calls of this; returns how
    /// many. `waits` has how many wait, and over how many calls: while the process stands still nobody calls, and that is
    /// nobody's silence. One that was not told yet, because this thread is late, is left alone.
    pub(crate) fn terminate_stuck(
        &self,
        waits: &mut HashMap<ConnectionId, (usize, u32)>,
        patience: u32,
    ) -> usize {
        let mut terminated = 0;
        for connection in self.all().iter().filter(|connection| !connection.is_open()) {
            let bytes = connection.buffered_bytes();
            match waits.get_mut(&connection.id()) {
                Some((before, looks)) if *before == bytes => {
                    *looks += 1;
                    if *looks >= patience {
                        connection.terminate();
                        terminated += 1;
                        // Until its task has dropped it, it is not counted again.
                        *looks = 0;
                    }
                }
                _ => drop(waits.insert(connection.id(), (bytes, 0))),
            }
        }
        terminated
    }

    /// Sends a batch to every connection of an endpoint. On this thread.
    pub(crate) fn broadcast(&self, endpoint: usize, batch: &Batch) {
        let (mut count, mut kind) = (0, EndpointKind::default());
        for connection in lock(&self.connections).values() {
            let send = || {
                (count, kind) = (count + 1, connection.kind());
                connection.send_batch(batch, |_| true)
            };
            if connection.endpoint() == Some(endpoint)
                && connection.has_begun()
                && guarded("sending to an endpoint, whose connection is closed", send).is_none()
            {
                connection.close(&Close::internal());
            }
        }
        if count > 0 {
            batch.count(count, kind, &self.counters);
        }
    }

    /// Connections there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.connections).len()
    }

    /// Closes the next `count` connections behind one, each as `close` says; returns the last of them, `None` where there
    /// was none. On this thread.
    pub(crate) fn close_some(
        &self,
        after: Bound<ConnectionId>,
        count: usize,
        mut close: impl FnMut() -> Close,
    ) -> Option<ConnectionId> {
        let mut last = None;
        for (id, connection) in lock(&self.connections).range((after, Bound::Unbounded)).take(count) {
            last = Some(*id);
            let close = close();
            if guarded("closing a connection", || connection.close(&close)).is_none() {
                connection.terminate();
            }
        }
        last
    }

    /// Ticks the next connections behind one; returns the last of them, `None` where there was none. After a pause of the
    /// whole process nobody's silence counts.
    pub(crate) fn tick_some(
        &self,
        after: Bound<ConnectionId>,
        deadlines: Deadlines,
        paused: bool,
        waiting: &mut Waiting,
    ) -> Option<ConnectionId> {
        let (connections, now) = (lock(&self.connections), self.now());
        let mut last = None;
        for (id, connection) in connections.range((after, Bound::Unbounded)).take(TICKS_PER_TURN) {
            last = Some(*id);
            let bytes = connection.buffered_bytes() as u64;
            waiting.bytes += bytes;
            waiting.connections += u64::from(bytes > 0);
            let tick = || {
                if paused {
                    connection.forgive(now);
                } else {
                    connection.tick(now, deadlines.heartbeat, deadlines.close_timeout);
                }
            };
            if guarded("watching over a connection", tick).is_none() {
                connection.terminate();
            }
        }
        last
    }

    /// Shows `visit` the next connections behind one; returns the last of them, `None` where there was none. On this thread.
    pub(crate) fn visit_some(
        &self,
        after: Bound<ConnectionId>,
        mut visit: impl FnMut(&Arc<Connection>),
    ) -> Option<ConnectionId> {
        let connections = lock(&self.connections);
        let mut last = None;
        for (id, connection) in connections.range((after, Bound::Unbounded)).take(TICKS_PER_TURN) {
            last = Some(*id);
            visit(connection);
        }
        last
    }

    /// The connection of this name.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        lock(&self.connections).get(&id).cloned()
    }
}
