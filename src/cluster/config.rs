//! What a hub can be told about its Redis.

use std::time::Duration;

use super::{error::StartError, place::RedisServer};

/// How a hub reaches its Redis, and what it does there.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Where it is.
    pub server: RedisServer,
    /// What every key and channel begins with, so that several hubs can share a Redis. Default `hub:`.
    pub prefix: String,
    /// Longest time for a connection to be made. Default 2 s.
    pub connect_timeout: Duration,
    /// Longest time for an answer; more is taken for a lost connection. Default 2 s.
    pub command_timeout: Duration,
    /// How long a publication waits for Redis before it is refused. Default 5 s.
    pub wait: Duration,
    /// How often it is tried whether what is published comes back. Silence for twice as long is taken for a lost
    /// connection. Default 1 s.
    pub probe_interval: Duration,
    /// How often sentinels are asked whether the primary is still the same, and a cluster who has what. Default 5 s.
    pub look_interval: Duration,
}

impl ClusterConfig {
    /// The defaults for the server at a URL.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::of_url`].
    pub fn of_url(url: &str) -> Result<Self, StartError> {
        RedisServer::of_url(url).map(Self::of)
    }

    /// The defaults for a server.
    pub fn of(server: RedisServer) -> Self {
        Self {
            server,
            prefix: "hub:".to_owned(),
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(2),
            wait: Duration::from_secs(5),
            probe_interval: Duration::from_secs(1),
            look_interval: Duration::from_secs(5),
        }
    }
}
