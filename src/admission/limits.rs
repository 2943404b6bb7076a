//! How much clients may do. 0 is no limit, in every field.

use std::time::Duration;

use crate::admission::rate::Rate;

/// Limits of a hub. The defaults are many times what a person at a keyboard needs.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Messages of one connection, pings included. Default 200 a second, 2,000 at once.
    pub messages: Rate,
    /// Bytes of one connection, as they are read. Default 4 MiB a second, 64 MiB at once: as much as the longest message.
    pub bytes: Rate,
    /// Messages of all connections of one user. Default 800 a second, 8,000 at once.
    pub user_messages: Rate,
    /// Bytes of all connections of one user. Default 16 MiB a second, 256 MiB at once.
    pub user_bytes: Rate,
    /// Steps of all connections of one user in documents with an authority; a connection without a user is one of its own.
    /// Default 1,000 a second, 20,000 at once.
    pub user_steps: Rate,
    /// How long a client may go on over its rate, held back meanwhile, before it is closed with 1013. Default 10 s.
    pub patience: Duration,
    /// Connections in all. Default 50,000.
    pub connections: usize,
    /// Connections of one user. Default 100.
    pub connections_per_user: usize,
    /// Connections of one document. Default 1,000.
    pub connections_per_document: usize,
    /// Connections of one address, or of one /64 where it is IPv6. Default 500. A private or loopback address counts
    /// only where a trusted proxy named it: otherwise it is most likely a proxy's own, which everybody shares.
    pub connections_per_address: usize,
    /// Documents that one user has open. Default 100.
    pub documents_per_user: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: Rate::new(200, 2000),
            bytes: Rate::new(4 << 20, 64 << 20),
            user_messages: Rate::new(800, 8000),
            user_bytes: Rate::new(16 << 20, 256 << 20),
            user_steps: Rate::new(1000, 20_000),
            patience: Duration::from_secs(10),
            connections: 50_000,
            connections_per_user: 100,
            connections_per_document: 1000,
            connections_per_address: 500,
            documents_per_user: 100,
        }
    }
}

impl Limits {
    /// No limits at all.
    pub fn none() -> Self {
        Self {
            messages: Rate::NONE,
            bytes: Rate::NONE,
            user_messages: Rate::NONE,
            user_bytes: Rate::NONE,
            user_steps: Rate::NONE,
            patience: Duration::ZERO,
            connections: 0,
            connections_per_user: 0,
            connections_per_document: 0,
            connections_per_address: 0,
            documents_per_user: 0,
        }
    }

    /// Whether anything a connection sends is counted.
    pub(crate) fn has_rates(&self) -> bool {
        [self.messages, self.bytes, self.user_messages, self.user_bytes, self.user_steps]
            .iter()
            .any(|rate| *rate != Rate::NONE)
    }
}

/// Whether `count` has reached `limit`, where 0 is no limit.
pub(crate) fn is_reached(count: usize, limit: usize) -> bool {
    limit > 0 && count >= limit
}
