//! What a Redis says of itself.

use redis::{RedisResult, aio::MultiplexedConnection};

use super::error::StartError;

/// Oldest version that will do: with `LPOS`-era scripts, streams that are trimmed exactly, and RESP3 pushes that are sound.
const OLDEST: (u32, u32, &str) = (6, 2, "6.2");

/// The oldest in a cluster: the first whose channels belong to slots.
const OLDEST_OF_CLUSTERS: (u32, u32, &str) = (7, 0, "7.0, in a cluster,");

/// What a Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerInfo {
    version: String,
    /// Changes whenever it may have lost something: when it starts, and when it becomes a primary.
    pub(super) run: String,
    is_primary: bool,
    /// Whether it is one of a cluster.
    is_node: bool,
    eviction: String,
}

impl ServerInfo {
    pub(super) async fn ask(commands: &mut MultiplexedConnection) -> RedisResult<Self> {
        let text: String = redis::cmd("INFO").query_async(commands).await?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let value = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
            text.lines().find_map(value).unwrap_or_default()
        };
        Self {
            version: field("redis_version"),
            run: format!("{}:{}", field("run_id"), field("master_replid")),
            is_primary: field("role") != "slave",
            is_node: field("cluster_enabled") == "1",
            eviction: field("maxmemory_policy"),
        }
    }

    /// Whether a hub can work over it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn check(&self, in_cluster: bool) -> Result<(), StartError> {
        let mut parts = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        let (major, minor, oldest) = if in_cluster { OLDEST_OF_CLUSTERS } else { OLDEST };
        if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (major, minor) {
            return Err(StartError::TooOld { version: self.version.clone(), oldest });
        }
        if self.is_node && !in_cluster {
            return Err(StartError::Node);
        }
        if !self.is_primary {
            return Err(StartError::Replica);
        }
        // Where it is not told nothing is known against it.
        if !self.eviction.is_empty() && self.eviction != "noeviction" {
            return Err(StartError::Evicts { policy: self.eviction.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ServerInfo, StartError};

    fn check(version: &str, role: &str, policy: &str) -> Result<(), StartError> {
        let text = format!(
            "# Server\r\nredis_version:{version}\r\nrun_id:aa\r\nrole:{role}\r\nmaster_replid:bb\r\n\
             maxmemory_policy:{policy}\r\n"
        );
        let info = ServerInfo::parse(&text);
        assert_eq!(info.run, "aa:bb");
        info.check(false)
    }

    #[test]
    fn a_server_that_will_not_do_is_refused_for_what_is_wrong_with_it() {
        assert_eq!(check("7.0.15", "master", "noeviction"), Ok(()));
        assert_eq!(check("6.2.0", "master", ""), Ok(()));
        for version in ["6.0.16", "5.0.7", "", "x"] {
            assert_eq!(
                check(version, "master", "noeviction"),
                Err(StartError::TooOld { version: version.to_owned(), oldest: "6.2" })
            );
        }
        assert_eq!(check("10.0.0", "slave", "noeviction"), Err(StartError::Replica));
        let policy = "allkeys-lru".to_owned();
        assert_eq!(check("7.2.4", "master", &policy), Err(StartError::Evicts { policy }));
    }
}
