//! What a run is to do, as the caller writes it: one JSON object.

use serde::Deserialize;

use crate::{modes, server::Server};

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
    /// Agents' answers that many watch.
    Watchers(modes::watchers::Watchers),
    /// Pages asked for one after the other.
    Pages(modes::pages::Pages),
}
