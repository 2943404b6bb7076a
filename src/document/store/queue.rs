//! What waits for a store, and the turns in which it is done.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use super::{Outcomes, Store, StoreError, Write};
use crate::{
    ids::Id,
    metrics::{Counter, histogram::Times},
    panics::guarded,
    sync::lock,
};

/// Bytes of writes of one commit, but for a single one that is larger: they are in memory twice meanwhile.
const MAX_COMMIT_BYTES: usize = 16 << 20;

/// What is told how writes went, and is given them back.
pub(super) type Written = Box<dyn FnOnce(Vec<Write>, Result<(), Arc<StoreError>>) + Send>;

/// What handles and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    /// Something was asked, or the phase is another.
    pub(super) changed: Condvar,
    pub(super) max_waiting_bytes: usize,
    pub(super) file_bytes: AtomicU64,
    /// The queue's bytes, for who counts without waiting for its lock. Written under it.
    pub(super) waiting_bytes: Counter,
    pub(super) counts: StoreCounts,
    /// Why nothing can be stored now; `None` where it can.
    pub(super) problem: Mutex<Option<String>>,
}

/// What the thread of a store counts.
#[derive(Debug)]
pub(crate) struct StoreCounts {
    /// Commits that were made durable.
    pub commits: Counter,
    /// Commits that failed.
    pub failed: Counter,
    /// How long commits took.
    pub seconds: Times,
    /// Bytes that were asked to be stored, and were.
    pub bytes: Counter,
}

impl Default for StoreCounts {
    fn default() -> Self {
        let [commits, failed, bytes] = [const { Counter::new() }; 3];
        Self { commits, failed, seconds: Times::of_times(), bytes }
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) jobs: VecDeque<Job>,
    /// Of the writes that wait, and of those that are being committed.
    pub(super) bytes: usize,
    pub(super) phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Takes nothing more.
    Closing,
    /// All is answered, and the file is closed.
    Ended,
}

pub(super) enum Job {
    Write(WriteJob),
    Read(ReadJob),
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(job) => write!(f, "Write({} bytes)", job.bytes),
            Self::Read(job) => write!(f, "Read({:?})", job.document),
        }
    }
}

pub(super) struct WriteJob {
    pub(super) writes: Vec<Write>,
    pub(super) bytes: usize,
    pub(super) done: Written,
}

pub(super) struct ReadJob {
    /// The document that it is about; `None` where it is about all.
    pub(super) document: Option<Id>,
    pub(super) work: Box<dyn FnOnce(&mut OpenedStore) + Send>,
}

/// The store, or why there is none.
pub(super) type OpenedStore = Result<Box<dyn Store>, Arc<StoreError>>;

/// What is done next: reads, then one commit.
#[derive(Default)]
pub(super) struct Turn {
    reads: Vec<ReadJob>,
    writes: Vec<WriteJob>,
}

impl Turn {
    /// Takes what may be done in one turn off the front of `jobs`.
    ///
    /// A read does not wait for the commit, unless that has something of its document: then it is of the next turn, and so
    /// is all behind it.
    fn of(jobs: &mut VecDeque<Job>) -> Self {
        let (mut turn, mut bytes) = (Self::default(), 0);
        while let Some(job) = jobs.pop_front() {
            match job {
                Job::Read(read) if turn.may_come_first(&read) => turn.reads.push(read),
                Job::Write(write) if turn.writes.is_empty() || bytes + write.bytes <= MAX_COMMIT_BYTES => {
                    bytes += write.bytes;
                    turn.writes.push(write);
                }
                later => {
                    jobs.push_front(later);
                    break;
                }
            }
        }
        turn
    }

    fn may_come_first(&self, read: &ReadJob) -> bool {
        let mut writes = self.writes.iter().flat_map(|job| &job.writes);
        match &read.document {
            Some(document) => writes.all(|write| write.document() != Some(document)),
            None => self.writes.is_empty(),
        }
    }
}

impl Shared {
    pub(super) fn close(&self) {
        let mut queue = lock(&self.queue);
        if queue.phase == Phase::Open {
            queue.phase = Phase::Closing;
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// Waits for something to do; `None` when the store was closed and all is done.
    pub(super) fn next_turn(&self) -> Option<Turn> {
        let mut queue = lock(&self.queue);
        while queue.jobs.is_empty() {
            if queue.phase != Phase::Open {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Some(Turn::of(&mut queue.jobs))
    }

    /// Counts a commit, and notes whether there can be others.
    fn committed(&self, error: Option<&Arc<StoreError>>, bytes: usize) {
        if error.is_some() {
            self.counts.failed.add(1);
        } else {
            self.counts.commits.add(1);
            self.counts.bytes.add(bytes as u64);
        }
        *lock(&self.problem) = error.map(|error| format!("the store of documents has failed: {error}"));
    }

    /// Does a turn, and answers. Where there is no store, everything is answered with why.
    pub(super) fn take(&self, turn: Turn, store: &mut OpenedStore) {
        for read in turn.reads {
            guarded("answering a read of the store", || (read.work)(store));
        }
        if turn.writes.is_empty() {
            return;
        }
        let bytes: usize = turn.writes.iter().map(|job| job.bytes).sum();
        let (lists, answers): (Vec<_>, Vec<_>) =
            turn.writes.into_iter().map(|job| (job.writes, job.done)).unzip();
        let outcomes: Result<Outcomes, _> = match store {
            // Whoever only wants its turn between the others' need not wait for the disk.
            Ok(_) if lists.iter().all(Vec::is_empty) => Ok(lists.iter().map(|_| Ok(())).collect()),
            Ok(store) => {
                let begin = Instant::now();
                let outcome = guarded("committing documents", || store.commit(&lists));
                self.counts.seconds.observe_time(begin.elapsed());
                self.file_bytes.store(store.bytes(), Relaxed);
                let outcome = outcome.unwrap_or(Err(StoreError::Panicked)).map_err(Arc::new);
                self.committed(outcome.as_ref().err(), bytes);
                outcome
            }
            Err(error) => Err(Arc::clone(error)),
        };
        {
            let mut queue = lock(&self.queue);
            queue.bytes -= bytes;
            self.waiting_bytes.set(queue.bytes as u64);
        }
        let mut outcomes = outcomes.map(Vec::into_iter);
        for (writes, done) in lists.into_iter().zip(answers) {
            let outcome = match &mut outcomes {
                Ok(outcomes) => outcomes.next().unwrap_or(Err(StoreError::Panicked)).map_err(Arc::new),
                Err(error) => Err(Arc::clone(error)),
            };
            guarded("answering a write of the store", || done(writes, outcome));
        }
    }
}
