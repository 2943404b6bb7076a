//! The server that is measured, as the caller names it.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::dialect::Dialect;

/// The server under test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where it listens.
    pub host: SocketAddr,
    /// Its process, for processor time and memory.
    pub pid: u32,
    /// What it speaks.
    #[serde(default)]
    pub dialect: Dialect,
    /// Further processes that serve the same documents. The members of each are spread over all of them.
    #[serde(default)]
    pub others: Vec<Process>,
    /// A process that all of them use, whose processor time is counted apart.
    pub shared: Option<u32>,
}

/// A further process of the server.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Where it listens.
    pub host: SocketAddr,
    /// Its number.
    pub pid: u32,
}

impl Server {
    /// Where its processes listen.
    pub fn hosts(&self) -> Vec<SocketAddr> {
        std::iter::once(self.host).chain(self.others.iter().map(|other| other.host)).collect()
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        std::iter::once(self.pid).chain(self.others.iter().map(|other| other.pid)).collect()
    }
}
