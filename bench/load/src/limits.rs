//! What the kernel allows this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Raises the number of descriptors to the most that is allowed, and says where that is too few.
///
/// # Errors
///
/// Where fewer than `needed` are allowed.
pub fn allow_descriptors(needed: u64) -> Result<(), String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => {
            Err(format!("{needed} descriptors are needed, {allowed} allowed (ulimit -n)"))
        }
        _ => Ok(()),
    }
}

/// Keeps this process on one processor.
///
/// # Errors
///
/// Where there is no such processor.
pub fn pin(processor: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}
