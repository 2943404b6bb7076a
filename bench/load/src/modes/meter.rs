//! Processor time of both sides over a window.

use std::time::Instant;

use serde::Serialize;

use crate::{
    Outcome,
    usage::{Spent, Usage},
};

/// A window that has begun.
#[derive(Debug)]
pub struct Meter {
    begun: Instant,
    server: (u32, Usage),
    load: Usage,
}

/// What was used in a window.
#[derive(Debug, Serialize)]
pub struct Reading {
    /// How long it was.
    pub seconds: f64,
    /// Processor time of the server's process.
    pub server: Spent,
    /// Processor time of this process: near `seconds`, it may have been what held the run up.
    pub load: Spent,
}

impl Meter {
    /// Begins a window.
    ///
    /// # Errors
    ///
    /// Where the server's process is gone.
    pub fn begin(server: u32) -> Outcome<Self> {
        let load = Usage::of(std::process::id())?;
        Ok(Self { server: (server, Usage::of(server)?), load, begun: Instant::now() })
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// Where the server's process is gone.
    pub fn end(self) -> Outcome<Reading> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let (pid, earlier) = self.server;
        let server = Usage::of(pid)?.since(earlier);
        Ok(Reading { seconds, server, load: Usage::of(std::process::id())?.since(self.load) })
    }
}
