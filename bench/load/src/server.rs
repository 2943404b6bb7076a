//! The server that is measured, as the caller names it.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::dialect::Dialect;

/// The server under test.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where it listens.
    pub host: SocketAddr,
    /// Its process, for processor time and memory.
    pub pid: u32,
    /// What it speaks.
    #[serde(default)]
    pub dialect: Dialect,
}
