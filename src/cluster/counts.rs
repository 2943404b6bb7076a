//! What is counted of Redis.

use std::time::Duration;

use crate::metrics::{Counter, histogram::Times};

/// What the thread of Redis counts, which alone writes here.
#[derive(Debug)]
pub(super) struct Counts {
    /// Connections that were lost.
    pub(super) losses: Counter,
    /// How long the command of a probe took, once a second.
    pub(super) round_trip: Times,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self { losses: Counter::default(), round_trip: Times::of_times() }
    }
}

/// How it stands with Redis.
#[derive(Debug)]
pub struct Glance<'a> {
    /// Whether it is there, and everything has caught up.
    pub is_ready: bool,
    /// Processes that were heard lately, this one included.
    pub processes: usize,
    /// Documents whose order is followed.
    pub documents: usize,
    /// Publications that wait to be sent, or for an answer.
    pub waiting: usize,
    /// Time since a probe came back; `None` where none has, over the connection there is.
    pub probed: Option<Duration>,
    /// Connections that were lost.
    pub losses: u64,
    /// How long commands take.
    pub round_trip: &'a Times,
}
