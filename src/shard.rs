//! A thread with its own runtime, and what runs on it once for all its connections.
//!
//! All connections of a document live on one shard. So a room's fan-out crosses no thread, takes no contended lock, and
//! what came for the room while its thread was busy leaves in one write a member: rooms with something to send are
//! noted, and sent from by a task that runs after the connections which could be read.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
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
    batch::Batch,
    connection::{Connection, ConnectionId},
    decoder::Codec,
    hub::Rooms,
    room::Room,
    scheduling::await_turns,
    sync::lock,
    visitors::Visitors,
};

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
    connections: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
    scratch: Mutex<Scratch>,
    /// Milliseconds since the shard began, as of the last tick.
    now: AtomicU32,
    /// The rooms that are to forget in time.
    rooms: OnceLock<Weak<Rooms>>,
}

/// Something to do after the connections that could be read.
pub(crate) enum Work {
    /// A room has something to send.
    Flush(Arc<Room>),
    /// For every connection of an endpoint.
    Broadcast {
        /// What to send.
        batch: Arc<Batch>,
        /// The endpoint's number.
        endpoint: usize,
    },
    /// For the end: after everything before it, closes every connection.
    CloseAll(crate::close::Close),
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

    /// Milliseconds since the shard began, as of the last tick.
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
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.perform(&work))) {
                    log::error!("panic while {}: {}", work.name(), panic_text(&*panic));
                }
            }
        }
    }

    fn perform(&self, work: &Work) {
        match work {
            Work::Flush(room) => room.flush(),
            Work::Broadcast { batch, endpoint } => {
                for connection in lock(&self.connections).values() {
                    if connection.endpoint() == Some(*endpoint) {
                        connection.send_batch(batch, |_| true);
                    }
                }
            }
            Work::CloseAll(close) => {
                for connection in lock(&self.connections).values() {
                    connection.close(close);
                }
            }
        }
    }

    /// One timer for the heartbeats and the closing handshakes of all connections, and for what rooms forget.
    async fn tick(&self, clock: Clock) {
        let begin = Instant::now();
        let mut interval = tokio::time::interval(clock.step);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut forgotten = 0;
        loop {
            interval.tick().await;
            let now = milliseconds(begin.elapsed());
            self.now.store(now, Ordering::Relaxed);
            for connection in lock(&self.connections).values() {
                connection.tick(now, clock.heartbeat, clock.close_timeout);
            }
            if clock.forget.is_some_and(|every| now.wrapping_sub(forgotten) >= every) {
                forgotten = now;
                if let Some(rooms) = self.rooms.get().and_then(Weak::upgrade) {
                    rooms.forget(self);
                }
            }
        }
    }
}

impl Work {
    fn name(&self) -> &'static str {
        match self {
            Self::Flush(_) => "sending to a room",
            Self::Broadcast { .. } => "sending to an endpoint",
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

/// Milliseconds, wrapping after 49 days: only differences of them are of use.
#[expect(clippy::cast_possible_truncation, reason = "wrapping is meant")]
fn milliseconds(duration: Duration) -> u32 {
    duration.as_millis() as u32
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{Ipv4Addr, TcpListener, TcpStream},
        sync::Arc,
        time::Duration,
    };

    use super::Work;
    use crate::{Config, Hub, accept::Incoming, close::Close, handshake::Upgrade};

    const UPGRADE: &str = "GET\n/ws/fabric?documentId=doc&clientID=a\n1.1\nConnection\nUpgrade\nUpgrade\nwebsocket\n\
                           Sec-WebSocket-Version\n13\nSec-WebSocket-Key\ndGhlIHNhbXBsZSBub25jZQ==";

    /// Reads until `end` has come; answers all that came.
    fn read_to(socket: &mut TcpStream, end: &[u8]) -> Vec<u8> {
        let (mut all, mut byte) = (Vec::new(), [0]);
        while !all.ends_with(end) {
            socket.read_exact(&mut byte).unwrap();
            all.push(byte[0]);
        }
        all
    }

    #[test]
    fn what_was_published_before_everybody_is_closed_leaves_before_that() {
        let hub = Arc::new(Hub::start(Config { threads: 1, ..Config::default() }).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let upgrade = Upgrade::from_lines(UPGRADE);
        hub.accept(Incoming { stream, upgrade, early: Vec::new() }).unwrap();
        read_to(&mut client, b"\"offset\":0}");

        // On the shard's thread, so that it finds both at once.
        let shard = Arc::clone(&hub.shared.shards[0]);
        let publisher = Arc::clone(&hub);
        shard.handle().clone().spawn(async move {
            shard.push(Work::CloseAll(Close::restart()));
            publisher.publish("doc", None, r#"{"type":"last"}"#).unwrap();
        });
        let last = read_to(&mut client, b"Service restart");
        assert!(String::from_utf8_lossy(&last).contains(r#"{"type":"last","offset":1}"#), "{last:?}");
    }
}
