//! A thread with its own runtime, and what runs on it once for all its connections.
//!
//! All connections of a document live on one shard. So a room's fan-out crosses no thread, takes no contended lock, and
//! what came for the room while its thread was busy leaves in one write a member: rooms with something to send are
//! noted, and sent from by a task that runs after the connections which could be read.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{runtime, sync::Notify, time::Instant};

use crate::{
    Config, Error,
    close::Close,
    connection::{Connection, ConnectionId},
    decoder::Codec,
    history::Relief,
    hub::{Broadcast, Rooms},
    panics::guarded,
    room::Room,
    scheduling::await_turns,
    sync::lock,
    visitors::Visitors,
};

/// Connections that the clock looks at before those with something to read have their turn: some 20 µs.
const TICKS_PER_TURN: usize = 256;

/// Bytes read at once; shared by all connections of the thread.
const INPUT_BYTES: usize = 64 << 10;

/// What a shard runs once for all its connections.
pub(crate) struct Shard {
    handle: runtime::Handle,
    visitors: Arc<Visitors>,
    work: Mutex<Vec<Work>>,
    /// Something is in `work`.
    wake: Notify,
    /// The hub has ended.
    stop: Notify,
    /// In an order, so that the clock can go on where it stopped.
    connections: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
    scratch: Mutex<Scratch>,
    /// Milliseconds of [`ObservedTime`], as of the last tick.
    now: AtomicU32,
    /// The rooms that are to forget in time.
    rooms: OnceLock<Weak<Rooms>>,
}

/// Something to do after the connections that could be read.
pub(crate) enum Work {
    /// A room has something to send.
    Flush(Arc<Room>),
    /// For every connection of an endpoint.
    Broadcast(Arc<Broadcast>),
    /// More is remembered than may be.
    Relieve(Arc<Rooms>, Relief),
    /// A room is to forget the oldest of its history.
    Trim {
        /// The room.
        room: Arc<Room>,
        /// What its history may take.
        bytes: usize,
        /// Until the last room is done, nobody looks for others.
        relief: Arc<Relief>,
    },
    /// For the end: after everything before it, closes every connection.
    CloseAll(Close),
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

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("connections", &lock(&self.connections).len()).finish_non_exhaustive()
    }
}

impl Shard {
    /// Starts the thread. It ends at [`Shard::stop`].
    pub(crate) fn start(index: usize, config: &Config, visitors: Arc<Visitors>) -> Result<Arc<Self>, Error> {
        let runtime =
            runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(Error::Start)?;
        let shard = Arc::new(Self {
            handle: runtime.handle().clone(),
            visitors,
            work: Mutex::default(),
            wake: Notify::new(),
            stop: Notify::new(),
            connections: Mutex::default(),
            scratch: Mutex::new(Scratch {
                input: Vec::new(),
                codec: Codec::new(config.max_message_bytes),
                replies: Vec::new(),
            }),
            now: AtomicU32::new(0),
            rooms: OnceLock::new(),
        });
        let (of_thread, of_worker, of_clock) = (Arc::clone(&shard), Arc::clone(&shard), Arc::clone(&shard));
        let clock = Clock::of(config);
        thread::Builder::new()
            .name(format!("hub-{index}"))
            .spawn(move || {
                await_turns();
                runtime.spawn(async move { of_worker.work().await });
                runtime.spawn(async move { of_clock.tick(clock).await });
                runtime.block_on(of_thread.stop.notified());
                // Dropping the runtime drops every task: sockets are closed, rooms left.
            })
            .map_err(Error::Start)?;
        Ok(shard)
    }

    /// Ends the thread and drops what is left.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// The runtime, to spawn on from any thread.
    pub(crate) fn handle(&self) -> &runtime::Handle {
        &self.handle
    }

    /// Who is there, and how much they may do; the same for all shards.
    pub(crate) fn visitors(&self) -> &Visitors {
        &self.visitors
    }

    pub(crate) fn scratch(&self) -> &Mutex<Scratch> {
        &self.scratch
    }

    /// Sees to it that the rooms of this shard forget what is too old.
    pub(crate) fn remember(&self, rooms: Weak<Rooms>) {
        // A shard has the rooms of one hub.
        let _ = self.rooms.set(rooms);
    }

    /// Milliseconds since the shard began, less its pauses, as of the last tick.
    pub(crate) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, connection: Arc<Connection>) {
        lock(&self.connections).insert(connection.id(), connection);
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        lock(&self.connections).remove(&id);
    }

    /// Terminates every connection; answers how many there were.
    pub(crate) fn terminate_all(&self) -> usize {
        let connections: Vec<_> = lock(&self.connections).values().cloned().collect();
        for connection in &connections {
            connection.terminate();
        }
        connections.len()
    }

    /// Terminates every closing connection for which as many bytes have waited for as long as `patience`; answers how
    /// many. `waits` has how many wait, and since when. One that was not told yet, because this thread is late, is left
    /// alone.
    pub(crate) fn terminate_stuck(
        &self,
        waits: &mut HashMap<ConnectionId, (usize, Instant)>,
        patience: Duration,
    ) -> usize {
        let connections: Vec<_> = lock(&self.connections).values().cloned().collect();
        let mut terminated = 0;
        for connection in connections.iter().filter(|connection| !connection.is_open()) {
            let bytes = connection.buffered_bytes();
            let waiting = waits.entry(connection.id()).or_insert_with(|| (bytes, Instant::now()));
            if waiting.0 != bytes {
                *waiting = (bytes, Instant::now());
            } else if waiting.1.elapsed() >= patience {
                connection.terminate();
                terminated += 1;
                // Until its task has dropped it, it is not counted again.
                waiting.1 = Instant::now();
            }
        }
        terminated
    }

    /// Leaves something to do; from any thread.
    pub(crate) fn push(&self, work: Work) {
        lock(&self.work).push(work);
        self.wake.notify_one();
    }

    async fn work(&self) {
        loop {
            self.wake.notified().await;
            let mut work = std::mem::take(&mut *lock(&self.work));
            // What was published before anybody is closed leaves before that: some of it may be acknowledged already.
            work.sort_by_key(|work| matches!(work, Work::CloseAll(_)));
            for work in work {
                guarded(work.name(), || self.perform(work));
            }
        }
    }

    fn perform(&self, work: Work) {
        let name = work.name();
        match work {
            Work::Flush(room) => room.flush(),
            Work::Broadcast(broadcast) => {
                for connection in lock(&self.connections).values() {
                    let send = || connection.send_batch(&broadcast.batch, |_| true);
                    if connection.endpoint() == Some(broadcast.endpoint()) && guarded(name, send).is_none() {
                        connection.close(&Close::internal());
                    }
                }
            }
            Work::Relieve(rooms, relief) => rooms.relieve(&Arc::new(relief)),
            Work::Trim { room, bytes, relief } => {
                room.trim(bytes);
                drop(relief);
            }
            Work::CloseAll(close) => {
                for connection in lock(&self.connections).values() {
                    if guarded(name, || connection.close(&close)).is_none() {
                        connection.terminate();
                    }
                }
            }
        }
    }

    /// One timer for the heartbeats and the closing handshakes of all connections, and for what rooms forget.
    async fn tick(&self, clock: Clock) {
        let mut time = ObservedTime { passed: Duration::ZERO, last: Instant::now() };
        let mut interval = tokio::time::interval(clock.step);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut forgotten = 0;
        loop {
            interval.tick().await;
            let paused = time.advance(Instant::now(), clock.step);
            let now = milliseconds(time.passed);
            self.now.store(now, Ordering::Relaxed);
            if paused {
                log::debug!("this thread was paused, so nobody's silence counts from before");
            }
            let mut after = Bound::Unbounded;
            while let Some(last) = self.tick_some(after, now, clock, paused) {
                after = Bound::Excluded(last);
                // Those with something to read have their turn between two slices.
                tokio::task::yield_now().await;
            }
            if clock.forget.is_some_and(|every| now.wrapping_sub(forgotten) >= every) {
                forgotten = now;
                guarded("forgetting", || {
                    if let Some(rooms) = self.rooms.get().and_then(Weak::upgrade) {
                        rooms.forget(self);
                    }
                });
            }
        }
    }

    /// Ticks the next connections behind one; answers the last of them, `None` where there was none.
    fn tick_some(
        &self,
        after: Bound<ConnectionId>,
        now: u32,
        clock: Clock,
        paused: bool,
    ) -> Option<ConnectionId> {
        let connections = lock(&self.connections);
        let mut last = None;
        for (id, connection) in connections.range((after, Bound::Unbounded)).take(TICKS_PER_TURN) {
            last = Some(*id);
            let tick = || {
                if paused {
                    connection.forgive(now);
                } else {
                    connection.tick(now, clock.heartbeat, clock.close_timeout);
                }
            };
            if guarded("watching over a connection", tick).is_none() {
                connection.terminate();
            }
        }
        last
    }
}

impl Work {
    fn name(&self) -> &'static str {
        match self {
            Self::Flush(_) => "sending to a room",
            Self::Broadcast(_) => "sending to an endpoint",
            Self::Relieve(..) | Self::Trim { .. } => "making room",
            Self::CloseAll(_) => "closing connections",
        }
    }
}

/// The times of [`Connection::tick`], in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Clock {
    step: Duration,
    heartbeat: Option<u32>,
    close_timeout: u32,
    /// How often rooms forget; `None` where they remember nothing.
    forget: Option<u32>,
}

/// Rooms forget this often in their window, so what they hold outlives it by no more than that.
const FORGETS_PER_WINDOW: u32 = 8;

impl Clock {
    fn of(config: &Config) -> Self {
        let times = [config.heartbeat, Some(config.close_timeout), config.recovery_window];
        let shortest = times.into_iter().flatten().min().unwrap_or_default();
        Self {
            // Fine enough for a quarter of the shortest time, and never busy.
            step: (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1)),
            heartbeat: config.heartbeat.map(milliseconds),
            close_timeout: milliseconds(config.close_timeout),
            forget: config.recovery_window.map(|window| milliseconds(window / FORGETS_PER_WINDOW)),
        }
    }
}

/// The time in which a thread could see what its peers did. Pauses of the whole process (a stopped container, a suspended
/// machine) are no part of it: pongs that came meanwhile lie unread, or are still to be sent again by the peer's TCP.
#[derive(Debug)]
struct ObservedTime {
    passed: Duration,
    last: Instant,
}

impl ObservedTime {
    /// The clock ticks, every `step` unless the thread is kept from it. Answers whether there was a pause.
    fn advance(&mut self, now: Instant, step: Duration) -> bool {
        let since = now.saturating_duration_since(std::mem::replace(&mut self.last, now));
        // A step is at most a quarter of a heartbeat: whoever did not answer a ping has then had half of one to do so.
        let paused = since > 2 * step;
        self.passed += if paused { step } else { since };
        paused
    }
}

/// Milliseconds, wrapping after 49 days: only differences of them are of use.
#[expect(clippy::cast_possible_truncation, reason = "wrapping is meant")]
fn milliseconds(duration: Duration) -> u32 {
    duration.as_millis() as u32
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::time::Instant;

    use super::{Bound, Clock, ObservedTime, TICKS_PER_TURN, Work};
    use crate::{
        Config, Hub,
        close::Close,
        connection::{Connection, ConnectionId},
        test_clients::{join, read_to},
    };

    #[test]
    fn what_was_published_before_everybody_is_closed_leaves_before_that() {
        let hub = Arc::new(Hub::start(Config { threads: 1, ..Config::default() }).unwrap());
        let (_, client) = join(&hub, "a");

        // On the shard's thread, so that it finds both at once.
        let shard = Arc::clone(&hub.shared.shards[0]);
        let publisher = Arc::clone(&hub);
        shard.handle().clone().spawn(async move {
            shard.push(Work::CloseAll(Close::restart()));
            publisher.publish("doc", None, r#"{"type":"last"}"#).unwrap();
        });
        let last = read_to(&client, b"Service restart");
        assert!(last.contains(r#"{"type":"last","offset":1}"#), "{last:?}");
    }

    #[test]
    fn the_clock_looks_at_every_connection_in_slices() {
        let hub = Hub::start(Config { threads: 1, heartbeat: None, ..Config::default() }).unwrap();
        let shard = &hub.shared.shards[0];
        let connections: Vec<_> = (0..=2 * TICKS_PER_TURN as u64)
            .map(|number| Arc::new(Connection::new(ConnectionId::new(number), None, Vec::new(), 1024, 0)))
            .collect();
        for connection in &connections {
            shard.add(Arc::clone(connection));
        }
        let clock = Clock { heartbeat: Some(1), ..Clock::of(hub.config()) };
        let pinged = || connections.iter().filter(|connection| connection.buffered_bytes() > 0).count();
        let (mut after, mut turns) = (Bound::Unbounded, Vec::new());
        while let Some(last) = shard.tick_some(after, 5, clock, false) {
            after = Bound::Excluded(last);
            turns.push(pinged());
        }
        assert_eq!(turns, [TICKS_PER_TURN, 2 * TICKS_PER_TURN, 2 * TICKS_PER_TURN + 1]);
    }

    #[test]
    fn a_pause_is_no_time_in_which_a_peer_was_silent() {
        let step = Duration::from_secs(1);
        let begin = Instant::now();
        let mut time = ObservedTime { passed: Duration::ZERO, last: begin };
        for (at, passed, paused) in
            [(1.0, 1.0, false), (3.0, 3.0, false), (5.1, 4.0, true), (63.0, 5.0, true), (64.0, 6.0, false)]
        {
            let at = begin + Duration::from_secs_f64(at);
            assert_eq!(time.advance(at, step), paused, "{at:?}");
            assert_eq!(time.passed, Duration::from_secs_f64(passed));
        }
    }
}
