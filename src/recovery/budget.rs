//! How much memory all rooms of a hub together may take to remember.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Bytes that something may take in all rooms of a hub together. Nobody is refused any: above the limit somebody makes
/// room, so that one document's bytes never cost another what it remembers.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
    /// Somebody is making room.
    relieving: AtomicBool,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit, relieving: AtomicBool::new(false) }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Uses `bytes` more.
    pub fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back.
    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What is left of an age where more is used than may be: half as much of it for twice the bytes.
    pub fn shortened(&self, age: u32) -> u32 {
        let (used, limit) = (self.used() as u128, self.limit as u128);
        if used <= limit {
            return age;
        }
        u32::try_from(u128::from(age) * limit / used).unwrap_or(age)
    }

    /// The task of making room, where more is used than may be and nobody has it already.
    pub(crate) fn relief(self: &Arc<Self>) -> Option<Relief> {
        let is_mine = self.used() > self.limit && !self.relieving.swap(true, Ordering::AcqRel);
        is_mine.then(|| Relief(Arc::clone(self)))
    }
}

/// The task of making room in a [`Budget`]; until it is dropped nobody else has it.
#[derive(Debug)]
pub(crate) struct Relief(Arc<Budget>);

impl Relief {
    /// The most that one may keep of its `sizes`, so that an eighth of the limit is free again: the largest give way, each
    /// down to the same size, and whoever has less keeps all.
    pub(crate) fn level(&self, mut sizes: Vec<usize>) -> usize {
        sizes.sort_unstable();
        let mut left = self.0.limit - self.0.limit / 8;
        for (index, size) in sizes.iter().enumerate() {
            let share = left / (sizes.len() - index);
            if *size > share {
                return share;
            }
            left -= size;
        }
        usize::MAX
    }
}

impl Drop for Relief {
    fn drop(&mut self) {
        self.0.relieving.store(false, Ordering::Release);
    }
}
