//! Documents with an authority: one order of `ProseMirror` steps, kept on disk, loaded from the app and saved to it.
//!
//! A room's log gives every batch to the [authority], which says whether it is the next one; what it accepts goes to the
//! [store] and from there, once it is on disk, to the members. A document outlives its room: as long as something of it is
//! not saved it stays, and is saved.

mod asking;
pub mod authority;
pub mod batches;
mod context;
pub mod documents;
mod edits;
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "no document is shared without it"))]
mod following;
#[cfg(feature = "redis")]
mod from_redis;
mod history;
pub mod hooks;
#[cfg(feature = "redis")]
mod in_redis;
pub mod live;
mod log;
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "no document is shared without it"))]
mod lost;
mod offsets;
mod opening;
#[cfg(feature = "redis")]
pub(crate) mod over;
#[cfg(feature = "redis")]
mod over_redis;
mod reading;
mod saving;
pub mod steps;
pub mod store;
mod together;
mod turns;

#[cfg(test)]
mod tests;

use std::time::Duration;

use self::{authority::Turns, batches::BatchLimits, steps::StepLimits};

/// What documents with an authority keep to.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether the app is asked to save documents, or to merge them. Where not, the store has all there is.
    pub saves: bool,
    /// Whether the app keeps documents, so that it may be said that they are saved.
    pub has_copy: bool,
    /// Whether the app makes documents out of their steps or updates. Where not, writers are asked for the whole document
    /// once in a while.
    pub merges: bool,
    /// How long nobody must have edited a document before it is saved. Default 2 s.
    pub save_after: Duration,
    /// How long after the first edit a document is saved at the latest. Default 10 s.
    pub save_within: Duration,
    /// How long a document stays in memory that nobody has open and that is saved. Default 60 s.
    pub idle: Duration,
    /// How large a batch may be. Default 1,000 steps and 1 MiB.
    pub batch: StepLimits,
    /// How large a document may be, as the JSON of its newest snapshot, before it takes only what makes it smaller. Default
    /// 16 MiB.
    pub document_bytes: usize,
    /// What may stand behind the snapshot of a document. Default 20,000 batches and 16 MiB.
    pub unmerged: BatchLimits,
    /// What is kept before the snapshot for who was away, where there is as much. Default 1,000 batches and 1 MiB.
    pub kept: BatchLimits,
    /// Whether writers take turns.
    pub turns: Turns,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            saves: true,
            has_copy: true,
            merges: true,
            save_after: Duration::from_secs(2),
            save_within: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            batch: StepLimits { steps: 1000, bytes: 1 << 20 },
            document_bytes: 16 << 20,
            unmerged: BatchLimits { batches: 20_000, bytes: 16 << 20 },
            kept: BatchLimits { batches: 1000, bytes: 1 << 20 },
            turns: Turns::Fair,
        }
    }
}
