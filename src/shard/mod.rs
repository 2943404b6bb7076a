//! A thread with its own runtime, and what runs on it once for all its connections.
//!
//! All connections of a document live on one shard. So a room's fan-out crosses no thread, takes no contended lock, and
//! what came for the room while its thread was busy leaves in one write a member: rooms with something to send are
//! noted, and sent from by a task that runs after the connections which could be read.

mod clock;
mod scheduling;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, OnceLock, Weak},
    thread,
};

use tokio::{runtime, sync::Notify, time::Instant};

use self::{
    clock::{Clock, ObservedTime, milliseconds},
    scheduling::use_batch_scheduling,
};
use crate::{
    Config, Error,
    admission::users::Users,
    connection::thread::Thread,
    metrics::{ThreadCounters, thread::Waiting},
    panics::guarded,
    sync::lock,
};

/// A thread and its runtime.
pub(crate) struct Shard {
    handle: runtime::Handle,
    thread: Arc<Thread>,
    work: Mutex<Vec<Work>>,
    /// Something is in `work`.
    wake: Notify,
    /// The hub has ended.
    stop: Notify,
    /// What is to forget in time.
    memory: OnceLock<Weak<dyn Forget>>,
}

thread_local! {
    /// The shard whose thread this is.
    static CURRENT: RefCell<Weak<Shard>> = const { RefCell::new(Weak::new()) };
}

/// Something to do after the connections that could be read.
pub(crate) enum Work {
    /// Something was gathered and is to be sent.
    Flush(Arc<dyn Flush>),
    /// Anything else, with words for what it is.
    Do(&'static str, Box<dyn FnOnce() + Send>),
    /// For the end: closes connections, after everything that was there before it.
    Close(Box<dyn FnOnce() + Send>),
}

/// What gathers messages until its thread has time for them.
pub(crate) trait Flush: Send + Sync {
    /// Sends what was gathered. On the shard's thread.
    fn flush(&self);
}

/// What remembers things that are to be forgotten in time.
pub(crate) trait Forget: Send + Sync {
    /// Forgets what is too old. On the shard's thread, several times in a recovery window.
    fn forget(&self);
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl Shard {
    /// Starts the thread. It ends at [`Shard::stop`].
    pub(crate) fn start(index: usize, config: &Config, users: Arc<Users>) -> Result<Arc<Self>, Error> {
        let runtime =
            runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(Error::Start)?;
        let shard = Arc::new(Self {
            handle: runtime.handle().clone(),
            thread: Arc::new(Thread::new(users, config.max_message_bytes)),
            work: Mutex::default(),
            wake: Notify::new(),
            stop: Notify::new(),
            memory: OnceLock::new(),
        });
        let (of_thread, of_worker, of_clock) = (Arc::clone(&shard), Arc::clone(&shard), Arc::clone(&shard));
        let clock = Clock::of(config);
        thread::Builder::new()
            .name(format!("hub-{index}"))
            .spawn(move || {
                use_batch_scheduling();
                CURRENT.set(Arc::downgrade(&of_thread));
                runtime.spawn(async move { of_worker.work().await });
                runtime.spawn(async move { of_clock.tick(clock).await });
                runtime.block_on(of_thread.stop.notified());
                // Dropping the runtime drops every task: sockets are closed, rooms left.
                drop(runtime);
                // What was still to be done may hold the shard, which holds it.
                let undone = std::mem::take(&mut *lock(&of_thread.work));
                drop(undone);
            })
            .map_err(Error::Start)?;
        Ok(shard)
    }

    /// The shard whose thread this is: for what begins with a connection, on its thread, and has more to do there later.
    /// On any other thread it is the one of nobody.
    pub(crate) fn current() -> Weak<Self> {
        CURRENT.with_borrow(Weak::clone)
    }

    /// Ends the thread and drops what is left.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// The runtime, to spawn on from any thread.
    pub(crate) fn handle(&self) -> &runtime::Handle {
        &self.handle
    }

    /// What its connections share.
    pub(crate) fn thread(&self) -> &Arc<Thread> {
        &self.thread
    }

    /// What its thread counts.
    pub(crate) fn counters(&self) -> &ThreadCounters {
        self.thread.counters()
    }

    /// See [`Thread::now`].
    pub(crate) fn now(&self) -> u32 {
        self.thread.now()
    }

    /// Sees to it that `memory` forgets what is too old. A shard has one, which is given once.
    pub(crate) fn watch_over(&self, memory: Weak<dyn Forget>) {
        let _ = self.memory.set(memory);
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
            work.sort_by_key(|work| matches!(work, Work::Close(_)));
            for work in work {
                match work {
                    Work::Flush(gathered) => drop(guarded("sending to a room", || gathered.flush())),
                    Work::Do(what, work) => drop(guarded(what, work)),
                    Work::Close(close) => drop(guarded("closing connections", close)),
                }
            }
        }
    }

    /// One timer for the heartbeats and the closing handshakes of all connections, and for what is forgotten.
    async fn tick(&self, clock: Clock) {
        let mut time = ObservedTime::since(Instant::now());
        let mut interval = tokio::time::interval(clock.step);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut forgotten = 0;
        loop {
            let due = interval.tick().await;
            self.thread.counters().delay.observe_time(due.elapsed());
            self.thread.counters().tick();
            let paused = time.advance(Instant::now(), clock.step);
            let now = milliseconds(time.passed());
            self.thread.set_now(now);
            if paused {
                log::debug!("this thread was paused, so nobody's silence counts from before");
            }
            let (mut after, mut waiting) = (Bound::Unbounded, Waiting::default());
            while let Some(last) = self.thread.tick_some(after, clock.deadlines, paused, &mut waiting) {
                after = Bound::Excluded(last);
                // Those with something to read have their turn between two slices.
                tokio::task::yield_now().await;
            }
            self.thread.counters().set_waiting(waiting);
            if clock.forget.is_some_and(|every| now.wrapping_sub(forgotten) >= every) {
                forgotten = now;
                guarded("forgetting", || {
                    if let Some(memory) = self.memory.get().and_then(Weak::upgrade) {
                        memory.forget();
                    }
                });
            }
        }
    }
}
