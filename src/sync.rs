//! Locking without poison.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a panic under the lock.
///
/// A panic is caught where the work of one connection or room begins and ends that connection alone, so the others
/// must be able to go on with what the lock protects. No code here leaves it half changed across a call that may panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
