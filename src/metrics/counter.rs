//! A number that one thread writes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread writes and any thread reads.
///
/// Writing is a load and a store, without the lock that an addition of several writers takes. Two writers at a time would
/// lose what one of them adds, and nothing else.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// 0.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to it. By its one writer.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Takes away from it. By its one writer.
    #[inline]
    pub fn sub(&self, less: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(less), Relaxed);
    }

    /// Replaces it. By its one writer.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// As of now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
