//! What a run is to do, as the caller writes it: one JSON object.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::{dialect::Dialect, modes};

/// One run of the load generator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The server under test.
    pub server: Server,
    /// Processor this process keeps to; any, where there is none.
    pub pin: Option<usize>,
    /// What to do.
    pub run: Run,
}

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

/// The modes, one file each.
#[derive(Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Run {
    /// One document, a fixed number of messages under way.
    Fanout(modes::fanout::Fanout),
    /// Every connection gets its own messages back.
    Echo(modes::echo::Echo),
    /// Many documents at a fixed rate.
    Steady(modes::steady::Steady),
    /// Connections that do nothing.
    Idle(modes::idle::Idle),
    /// Everyone comes at once.
    Storm(modes::storm::Storm),
    /// A route handler sends steps to a whole document.
    Broadcast(modes::broadcast::Broadcast),
    /// Agents' answers without end.
    Streams(modes::streams::Streams),
    /// Pages asked for one after the other.
    Pages(modes::pages::Pages),
}
