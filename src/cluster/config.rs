//! What a hub can be told about its Redis.

use std::{fmt, time::Duration};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, io::tcp::TcpSettings};

use super::error::StartError;

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
}

/// Where a Redis is. More kinds will follow (Sentinel, Cluster), so match it with a wildcard.
#[derive(Clone)]
#[non_exhaustive]
pub enum RedisServer {
    /// One server, by TCP or by a unix socket.
    Single(ConnectionInfo),
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl RedisServer {
    /// The server at a URL: `redis://[user:password@]host[:port][/database]`, or `unix:///path/to/socket`.
    ///
    /// # Errors
    ///
    /// [`StartError::Unsupported`] for what is not there yet, [`StartError::BadUrl`] for what is none.
    pub fn of_url(url: &str) -> Result<Self, StartError> {
        let scheme = url.split(':').next().unwrap_or_default();
        let unsupported = |what| Err(StartError::Unsupported { what });
        match scheme {
            "redis" | "redis+unix" | "unix" => {}
            "rediss" | "valkeys" => return unsupported("TLS (rediss://)"),
            "redis-sentinel" | "redis+sentinel" | "sentinel" => return unsupported("Sentinel"),
            "redis-cluster" | "redis+cluster" => return unsupported("Redis Cluster"),
            _ => {
                return Err(StartError::BadUrl {
                    reason: "it must begin with redis:// or unix://".to_owned(),
                });
            }
        }
        // The library's words have no password in them.
        let info =
            url.into_connection_info().map_err(|error| StartError::BadUrl { reason: error.to_string() })?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(Self::Single(info.set_redis_settings(settings).set_tcp_settings(tcp)))
    }

    /// Its address, without credentials.
    pub fn name(&self) -> String {
        let Self::Single(info) = self;
        match info.addr() {
            ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
            other => format!("redis://{other}"),
        }
    }
}

impl ClusterConfig {
    /// The defaults for the server at a URL.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::of_url`].
    pub fn of_url(url: &str) -> Result<Self, StartError> {
        Ok(Self {
            server: RedisServer::of_url(url)?,
            prefix: "hub:".to_owned(),
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(2),
            wait: Duration::from_secs(5),
            probe_interval: Duration::from_secs(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{RedisServer, StartError};

    #[test]
    fn a_url_names_one_server_and_its_secret_is_not_printed() {
        let server = RedisServer::of_url("redis://somebody:hunter2@example.org:6380/3").unwrap();
        assert_eq!(format!("{server:?}"), "redis://example.org:6380");
        assert_eq!(RedisServer::of_url("unix:///run/redis.sock").unwrap().name(), "unix:///run/redis.sock");
    }

    #[test]
    fn what_is_not_there_yet_is_refused_by_its_name() {
        for (url, what) in
            [("rediss://h", "TLS"), ("redis+sentinel://h/m", "Sentinel"), ("redis-cluster://h", "Cluster")]
        {
            let error = RedisServer::of_url(url).unwrap_err();
            assert!(
                matches!(error, StartError::Unsupported { .. }) && error.to_string().contains(what),
                "{error}"
            );
        }
        for url in ["", "http://h", "localhost:6379", "redis://"] {
            assert!(matches!(RedisServer::of_url(url), Err(StartError::BadUrl { .. })), "{url}");
        }
    }
}
