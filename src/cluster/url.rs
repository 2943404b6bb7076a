//! URLs of a Redis.

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::{
    error::StartError,
    place::{Endpoint, Found, Login, Place, RedisServer, Tls},
};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl RedisServer {
    /// The server at a URL:
    ///
    /// - `redis://[user:password@]host[:port][/database]`, or `unix:///path/to/socket`
    /// - `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name[/database]`
    /// - `redis+cluster://[user:password@]host[:port][,host[:port]…]`
    ///
    /// `rediss` in the place of `redis` speaks TLS, `valkey` is `redis`, and `redis-sentinel` is `redis+sentinel`.
    ///
    /// # Errors
    ///
    /// [`StartError::BadUrl`] for what is none.
    pub fn of_url(url: &str) -> Result<Self, StartError> {
        let bad = |reason: &str| StartError::BadUrl { reason: reason.to_owned() };
        let wanted =
            || bad("it must begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://");
        let (scheme, rest) = url.split_once("://").ok_or_else(wanted)?;
        let scheme = scheme.replacen("valkey", "redis", 1).replacen('-', "+", 1);
        let (kind, is_encrypted) = match scheme.strip_prefix("rediss") {
            Some(kind) => (kind, true),
            None => (scheme.strip_prefix("redis").unwrap_or(&scheme), false),
        };
        let tls = is_encrypted.then(Tls::default);
        match (kind, is_encrypted) {
            ("", _) => Ok(Self { tls, ..plain(&format!("redis://{rest}"))? }),
            ("unix" | "+unix", false) => plain(&format!("unix://{rest}")),
            ("+sentinel", _) => Ok(Self { tls, ..by_sentinel(rest)? }),
            ("+cluster", _) => Ok(Self { tls, ..in_cluster(rest)? }),
            _ => Err(wanted()),
        }
    }
}

/// One server, in the library's way of reading it.
fn plain(url: &str) -> Result<RedisServer, StartError> {
    // The library's words have no password in them.
    let info =
        url.into_connection_info().map_err(|error| StartError::BadUrl { reason: error.to_string() })?;
    let settings = info.redis_settings();
    let login = Login {
        username: settings.username().map(str::to_owned),
        password: settings.password().map(str::to_owned),
        database: settings.db(),
    };
    let place = match info.addr() {
        ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Place::Tcp(Endpoint { host, port: *port })
        }
        _ => return Err(StartError::BadUrl { reason: "it names no address".to_owned() }),
    };
    Ok(RedisServer { found: Found::At(place), login, tls: None })
}

fn by_sentinel(rest: &str) -> Result<RedisServer, StartError> {
    let (user, hosts, path) = parts(rest);
    let mut path = path.splitn(2, '/');
    let name = path.next().unwrap_or_default();
    if name.is_empty() {
        let reason =
            "behind its sentinels it must name the primary: redis+sentinel://host:port,host:port/name";
        return Err(StartError::BadUrl { reason: reason.to_owned() });
    }
    let sentinels = endpoints(hosts.split(','), SENTINEL_PORT)?;
    let login = plain(&format!("redis://{user}h/{}", path.next().unwrap_or_default()))?.login;
    let found = Found::BySentinel { sentinels, name: name.to_owned(), login: Login::default() };
    Ok(RedisServer { found, login, tls: None })
}

fn in_cluster(rest: &str) -> Result<RedisServer, StartError> {
    let (user, hosts, path) = parts(rest);
    if !matches!(path, "" | "0") {
        return Err(StartError::BadUrl { reason: "a cluster has no database but 0".to_owned() });
    }
    let nodes = endpoints(hosts.split(','), PORT)?;
    let login = plain(&format!("redis://{user}h"))?.login;
    Ok(RedisServer { found: Found::InCluster(nodes), login, tls: None })
}

/// What stands before the hosts, with its `@`; the hosts; and what stands behind them.
fn parts(rest: &str) -> (&str, &str, &str) {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    (user, hosts, path)
}

/// Reads a list of servers.
///
/// # Errors
///
/// [`StartError::BadUrl`], which says which of them is none.
pub(super) fn endpoints<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    port: u16,
) -> Result<Vec<Endpoint>, StartError> {
    let read = |(index, text)| {
        // Not the text: it may be a password whose `@` is missing.
        let reason = format!("server {} of it is no host:port", index + 1);
        Endpoint::parse(text, port).ok_or(StartError::BadUrl { reason })
    };
    texts.into_iter().enumerate().map(read).collect()
}

impl RedisServer {
    /// The primary that sentinels at `host:port` call by a name.
    ///
    /// # Errors
    ///
    /// [`StartError::BadUrl`] where one is no `host:port`.
    pub fn of_sentinels(sentinels: &[String], name: &str) -> Result<Self, StartError> {
        let sentinels = endpoints(sentinels.iter().map(String::as_str), SENTINEL_PORT)?;
        let found = Found::BySentinel { sentinels, name: name.to_owned(), login: Login::default() };
        Ok(Self { found, login: Login::default(), tls: None })
    }

    /// The cluster that servers at `host:port` are of.
    ///
    /// # Errors
    ///
    /// [`StartError::BadUrl`] where one is no `host:port`.
    pub fn of_cluster(nodes: &[String]) -> Result<Self, StartError> {
        let nodes = endpoints(nodes.iter().map(String::as_str), PORT)?;
        Ok(Self { found: Found::InCluster(nodes), login: Login::default(), tls: None })
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, RedisServer, StartError};

    fn name(url: &str) -> String {
        RedisServer::of_url(url).unwrap().name()
    }

    #[test]
    fn a_url_names_a_server_and_its_secret_is_not_printed() {
        let server = RedisServer::of_url("redis://somebody:hunter2@example.org:6380/3").unwrap();
        assert_eq!(format!("{server:?} {:?}", server.login).find("hunter2"), None);
        assert_eq!(server.name(), "redis://example.org:6380");
        assert_eq!((server.login.password.as_deref(), server.login.database), (Some("hunter2"), 3));
        assert_eq!(name("unix:///run/redis.sock"), "unix:///run/redis.sock");
        assert_eq!(name("valkey://[::1]"), "redis://[::1]:6379");
        assert_eq!(name("rediss://h"), "rediss://h:6379");
        assert_eq!(name("valkeys://h:1"), "rediss://h:1");
    }

    #[test]
    fn a_url_names_sentinels_and_what_they_call_the_primary() {
        let server = RedisServer::of_url("redis+sentinel://u:p%40ss@a,b:26380,[::1]/mymaster/2").unwrap();
        assert_eq!(server.name(), "redis+sentinel://a:26379,b:26380,[::1]:26379/mymaster");
        assert_eq!(server.login.username.as_deref(), Some("u"));
        assert_eq!((server.login.password.as_deref(), server.login.database), (Some("p@ss"), 2));
        assert_eq!(name("rediss-sentinel://a/m"), "rediss+sentinel://a:26379/m");
        let Found::BySentinel { login, .. } = server.found else { panic!("{server:?}") };
        assert_eq!(login.password, None, "they have one of their own");
    }

    #[test]
    fn a_url_names_some_nodes_of_a_cluster() {
        let server = RedisServer::of_url("redis+cluster://:secret@a,b:7000").unwrap();
        assert_eq!(server.name(), "redis+cluster://a:6379,b:7000");
        assert_eq!(server.login.password.as_deref(), Some("secret"));
        assert_eq!(name("rediss-cluster://a/"), "rediss+cluster://a:6379");
    }

    #[test]
    fn what_is_no_url_is_refused_without_a_word_of_its_secret() {
        for url in [
            "",
            "http://h",
            "localhost:6379",
            "redis://",
            "redis+sentinel://h",
            "redis+sentinel:///m",
            "redis+sentinel://u:hunter2@h:x/m",
            "redis+sentinel://h,/m",
            "redis+unix+x://h",
            "rediss+unix:///p",
            "redis+sentinel://u:hunter2@h/m/x",
            "redis+cluster://u:hunter2@h/1",
            "redis+cluster://u:hunter2@/",
        ] {
            let refused = RedisServer::of_url(url).unwrap_err();
            assert!(matches!(refused, StartError::BadUrl { .. }), "{url}");
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }
}
