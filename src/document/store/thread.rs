//! The thread that a store lives on, and what it is asked.
//!
//! Whatever comes while a commit runs goes into the next one together: a disk that needs a millisecond to make something
//! durable needs hardly more for a thousand documents. No time is waited for others to come; see [`StoreHandle::write`].

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    SetAside, Store, StoreError, Stored, Write,
    queue::{Job, OpenedStore, Phase, Queue, ReadJob, Shared, StoreCounts, WriteJob},
};
use crate::{ids::Id, metrics::Counter, panics::guarded, sync::lock};

/// What is told how a call went. Is called once, on the store's thread, with no lock held and in the order of the calls
/// about one document.
pub type Done<T> = Box<dyn FnOnce(Result<T, Arc<StoreError>>) + Send>;

/// Writes that were not taken, and of which nobody is told.
#[derive(Debug)]
pub struct Rejected {
    /// The writes.
    pub writes: Vec<Write>,
    /// [`StoreError::Overloaded`] or [`StoreError::Closed`].
    pub error: StoreError,
}

/// Asks the thread of a store. To be cloned and used from any thread; nothing here waits for the disk but
/// [`close`](Self::close). When the last one is dropped, the store is closed behind what was asked.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    owner: Arc<Owner>,
}

impl StoreHandle {
    /// Starts a thread on which `open` is called, which may take long, and then `opened`. What is asked meanwhile waits; if
    /// `open` fails, it is answered with the same error, and so is all that is asked later.
    ///
    /// `max_waiting_bytes` of writes may wait for the disk.
    ///
    /// # Errors
    ///
    /// The system gave no thread.
    pub fn start<S: Store + 'static>(
        max_waiting_bytes: usize,
        open: impl FnOnce() -> Result<S, StoreError> + Send + 'static,
        opened: impl FnOnce(Result<(), Arc<StoreError>>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
            max_waiting_bytes,
            file_bytes: AtomicU64::new(0),
            waiting_bytes: Counter::new(),
            counts: StoreCounts::default(),
            problem: Mutex::new(Some("the store of documents is being opened".to_owned())),
        });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("hub-store".to_owned()).spawn(move || {
            let shared = of_thread;
            let mut store: OpenedStore = match guarded("opening the store of documents", open) {
                Some(Ok(store)) => Ok(Box::new(store)),
                Some(Err(error)) => Err(Arc::new(error)),
                None => Err(Arc::new(StoreError::Panicked)),
            };
            let outcome = match &store {
                Ok(store) => {
                    shared.file_bytes.store(store.bytes(), Relaxed);
                    *lock(&shared.problem) = None;
                    Ok(())
                }
                Err(error) => {
                    let problem = format!("the store of documents could not be opened: {error}");
                    *lock(&shared.problem) = Some(problem);
                    Err(Arc::clone(error))
                }
            };
            guarded("telling that the store is open", || opened(outcome));
            while let Some(turn) = shared.next_turn() {
                shared.take(turn, &mut store);
            }
            // Closes the file, so that another process can have it.
            guarded("closing the store of documents", || drop(store));
            lock(&shared.queue).phase = Phase::Ended;
            shared.changed.notify_all();
        })?;
        Ok(Self { owner: Arc::new(Owner { shared }) })
    }

    /// Makes writes durable, all of them or none, and then calls `done`.
    ///
    /// Writes go to the disk in the order of these calls. What is committed together with others fails together with
    /// them; one that does not fit is refused alone. Whoever is told of a failure goes back to what was stored before: what
    /// was asked behind it about the same document does not fit any more, and is refused as [`StoreError::OutOfOrder`].
    ///
    /// # Errors
    ///
    /// [`Rejected`], and `done` is not called.
    pub fn write(
        &self,
        writes: Vec<Write>,
        done: impl FnOnce(Vec<Write>, Result<(), Arc<StoreError>>) + Send + 'static,
    ) -> Result<(), Rejected> {
        let bytes = writes.iter().map(Write::bytes).sum();
        let mut queue = lock(&self.owner.shared.queue);
        if queue.phase != Phase::Open {
            return Err(Rejected { writes, error: StoreError::Closed });
        }
        // A single one may be larger: it goes to a store for which nothing waits.
        if queue.bytes > 0 && queue.bytes + bytes > self.owner.shared.max_waiting_bytes {
            return Err(Rejected { writes, error: StoreError::Overloaded });
        }
        queue.bytes += bytes;
        self.owner.shared.waiting_bytes.set(queue.bytes as u64);
        queue.jobs.push_back(Job::Write(WriteJob { writes, bytes, done: Box::new(done) }));
        drop(queue);
        self.owner.shared.changed.notify_all();
        Ok(())
    }

    /// Reads what is kept of a document, with all writes about it that were asked before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], and `done` is not called.
    pub fn load(
        &self,
        document: Id,
        done: impl FnOnce(Result<Option<Stored>, Arc<StoreError>>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.ask(Some(document.clone()), move |store| store.load(&document), Box::new(done))
    }

    /// Reads which documents have more than the app has saved.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], and `done` is not called.
    pub fn unsaved(
        &self,
        done: impl FnOnce(Result<Vec<Id>, Arc<StoreError>>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.ask(None, |store| store.unsaved(), Box::new(done))
    }

    /// Reads what was put aside of one document, or of all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], and `done` is not called.
    pub fn set_aside(
        &self,
        document: Option<Id>,
        done: impl FnOnce(Result<Vec<SetAside>, Arc<StoreError>>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.ask(document.clone(), move |store| store.set_aside(document.as_ref()), Box::new(done))
    }

    /// Reads the bytes that are kept under a name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], and `done` is not called.
    pub fn meta(
        &self,
        name: String,
        done: impl FnOnce(Result<Option<Vec<u8>>, Arc<StoreError>>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.ask(None, move |store| store.meta(&name), Box::new(done))
    }

    /// Gives back to the disk what is not used. All else waits meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], and `done` is not called.
    pub fn compact(
        &self,
        done: impl FnOnce(Result<bool, Arc<StoreError>>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.ask(None, |store| store.compact(), Box::new(done))
    }

    /// Calls `done` when all that was asked before has been answered.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], and `done` is not called.
    pub fn flush(
        &self,
        done: impl FnOnce(Result<(), Arc<StoreError>>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.ask(None, |_| Ok(()), Box::new(done))
    }

    fn ask<T: 'static>(
        &self,
        document: Option<Id>,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
        done: Done<T>,
    ) -> Result<(), StoreError> {
        let work = Box::new(move |store: &mut OpenedStore| {
            done(match store {
                Ok(store) => guarded("reading the store of documents", || work(&mut **store))
                    .unwrap_or(Err(StoreError::Panicked))
                    .map_err(Arc::new),
                Err(error) => Err(Arc::clone(error)),
            });
        });
        let mut queue = lock(&self.owner.shared.queue);
        if queue.phase != Phase::Open {
            return Err(StoreError::Closed);
        }
        queue.jobs.push_back(Job::Read(ReadJob { document, work }));
        drop(queue);
        self.owner.shared.changed.notify_all();
        Ok(())
    }

    /// Bytes that the store takes of the disk, as of the last commit.
    pub fn file_bytes(&self) -> u64 {
        self.owner.shared.file_bytes.load(Relaxed)
    }

    /// What its thread counts.
    pub(crate) fn counts(&self) -> &StoreCounts {
        &self.owner.shared.counts
    }

    /// Why nothing can be stored now; `None` where it can.
    pub fn problem(&self) -> Option<String> {
        lock(&self.owner.shared.problem).clone()
    }

    /// Bytes of writes that wait for the disk.
    pub fn waiting_bytes(&self) -> u64 {
        self.owner.shared.waiting_bytes.get()
    }

    /// Takes nothing more, and waits for as long as `within` until all that was asked is answered and the file closed.
    /// Whether it is; where not, it goes on being closed.
    pub fn close(&self, within: Duration) -> bool {
        self.owner.shared.close();
        let deadline = Instant::now() + within;
        let mut queue = lock(&self.owner.shared.queue);
        while queue.phase != Phase::Ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.owner.shared.changed.wait_timeout(queue, left);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Closes the store when the last handle is dropped.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}
