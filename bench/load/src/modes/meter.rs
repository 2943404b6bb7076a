//! Processor time of both sides over a window.

use std::time::Instant;

use serde::Serialize;

use crate::{
    Outcome,
    server::Server,
    usage::{Spent, Usage},
};

/// A window that has begun.
#[derive(Debug)]
pub struct Meter {
    begun: Instant,
    server: Vec<(u32, Usage)>,
    shared: Option<(u32, Usage)>,
    load: Usage,
}

/// What was used in a window.
#[derive(Debug, Serialize)]
pub struct Reading {
    /// How long it was.
    pub seconds: f64,
    /// Processor time of the server's processes.
    pub server: Spent,
    /// Processor time of what they share, where there is such a process.
    pub shared: Option<Spent>,
    /// Processor time of this process: near `seconds`, it may have been what held the run up.
    pub load: Spent,
}

impl Meter {
    /// Begins a window.
    ///
    /// # Errors
    ///
    /// Where the server's process is gone.
    pub fn begin(server: &Server) -> Outcome<Self> {
        let load = Usage::of(std::process::id())?;
        let usage = |pid: u32| Usage::of(pid).map(|usage| (pid, usage));
        let shared = server.shared.map(usage).transpose()?;
        let server = server.pids().into_iter().map(usage).collect::<Result<_, _>>()?;
        Ok(Self { server, shared, load, begun: Instant::now() })
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// Where the server's process is gone.
    pub fn end(self) -> Outcome<Reading> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let spent = |(pid, earlier): (u32, Usage)| Usage::of(pid).map(|usage| usage.since(earlier));
        let mut server = Spent::default();
        for process in self.server {
            server = server + spent(process)?;
        }
        let shared = self.shared.map(spent).transpose()?;
        Ok(Reading { seconds, server, shared, load: Usage::of(std::process::id())?.since(self.load) })
    }
}
