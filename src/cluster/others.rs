//! The other processes, and whether they are still there.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// Silence after which a process is taken for gone, with all that its members show.
const SILENCE: Duration = Duration::from_secs(7);

/// When each of the others was heard last.
#[derive(Debug, Default)]
pub(super) struct Others(HashMap<u64, Instant>);

impl Others {
    /// A process is there.
    pub(super) fn heard(&mut self, process: u64) {
        self.0.insert(process, Instant::now());
    }

    /// Whether a process is there.
    pub(super) fn is_there(&self, process: u64) -> bool {
        self.0.get(&process).is_some_and(|at| at.elapsed() <= SILENCE)
    }

    /// Those that are there.
    pub(super) fn there(&self) -> impl Iterator<Item = u64> {
        self.0.iter().filter(|(_, at)| at.elapsed() <= SILENCE).map(|(process, _)| *process)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.there().count()
    }

    /// Those that are gone, each once.
    pub(super) fn take_silent(&mut self) -> Vec<u64> {
        let silent: Vec<_> =
            self.0.iter().filter(|(_, at)| at.elapsed() > SILENCE).map(|(process, _)| *process).collect();
        for process in &silent {
            self.0.remove(process);
        }
        silent
    }
}
