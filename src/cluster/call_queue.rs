//! What every process has to do, until it is said and until it is done.

use std::{fmt, sync::Mutex};

/// Calls that stay at most, and that may wait for a Redis that is away.
pub(super) const MOST: usize = 10_000;

/// Is given what another process wants done, on the thread of Redis.
pub type Do = Box<dyn Fn(String) + Send + Sync>;

/// The calls of all processes.
pub(super) struct Calls {
    pub(super) hear: Do,
    /// Up to where they were done; `None` before the first look. Locked while somebody reads, so that each is done once.
    pub(super) done: tokio::sync::Mutex<Option<String>>,
    /// What is to be said.
    pub(super) saying: Mutex<Saying>,
}

/// What is to be said to the other processes.
#[derive(Default)]
pub(super) struct Saying {
    pub(super) waiting: Vec<String>,
    /// Whether somebody says it.
    pub(super) is_saying: bool,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl Calls {
    pub(super) fn new(hear: Do) -> Self {
        Self { hear, done: tokio::sync::Mutex::default(), saying: Mutex::default() }
    }
}
