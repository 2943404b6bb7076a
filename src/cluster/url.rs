//! URLs of a Redis. They are read here: the library would read them by a crate that knows of the names of hosts all that Unicode
//! says, which was 160 KB of the binary.

use percent_encoding::percent_decode_str;

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
            ("", _) => Ok(Self { tls, ..plain(rest)? }),
            ("unix" | "+unix", false) => unix(rest),
            ("+sentinel", _) => Ok(Self { tls, ..by_sentinel(rest)? }),
            ("+cluster", _) => Ok(Self { tls, ..in_cluster(rest)? }),
            _ => Err(wanted()),
        }
    }
}

fn bad(reason: &str) -> StartError {
    StartError::BadUrl { reason: reason.to_owned() }
}

/// What is written with `%`; no message has any of it, which may be a password.
fn decoded(text: &str) -> Result<String, StartError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| bad("what it writes with % is no UTF-8"))
}

/// What it is where it is something.
fn given(text: &str) -> Result<Option<String>, StartError> {
    if text.is_empty() { Ok(None) } else { decoded(text).map(Some) }
}

fn database(text: &str) -> Result<i64, StartError> {
    let number = if text.is_empty() { Some(0) } else { text.parse().ok().filter(|number| *number >= 0) };
    number.ok_or_else(|| bad("its database is no number"))
}

/// Who logs in by what stands before the hosts, and to which database.
fn login(user: &str, path: &str) -> Result<Login, StartError> {
    let user = user.strip_suffix('@').unwrap_or(user);
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    Ok(Login { username: given(username)?, password: given(password)?, database: database(path)? })
}

/// One server.
fn plain(rest: &str) -> Result<RedisServer, StartError> {
    let (rest, _) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let (user, host, path) = parts(rest);
    let endpoint = Endpoint::parse(host, PORT).ok_or_else(|| bad("it names no host, or no port"))?;
    let login = login(user, path.trim_matches('/'))?;
    Ok(RedisServer { found: Found::At(Place::Tcp(endpoint)), login, tls: None })
}

/// One on this machine: `/path`, or `/path?user=…&pass=…&db=…`.
fn unix(rest: &str) -> Result<RedisServer, StartError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') {
        return Err(bad("the path of a unix socket is a whole one: unix:///path"));
    }
    let mut login = Login::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "user" => login.username = Some(value.into_owned()),
            "pass" => login.password = Some(value.into_owned()),
            "db" => login.database = database(&value)?,
            _ => {}
        }
    }
    Ok(RedisServer { found: Found::At(Place::Unix(decoded(path)?.into())), login, tls: None })
}

fn by_sentinel(rest: &str) -> Result<RedisServer, StartError> {
    let (user, hosts, path) = parts(rest);
    let mut path = path.splitn(2, '/');
    let name = path.next().unwrap_or_default();
    if name.is_empty() {
        return Err(bad(
            "behind its sentinels it must name the primary: redis+sentinel://host:port,host:port/name",
        ));
    }
    let sentinels = endpoints(hosts.split(','), SENTINEL_PORT)?;
    let login = login(user, path.next().unwrap_or_default())?;
    let found = Found::BySentinel { sentinels, name: name.to_owned(), login: Login::default() };
    Ok(RedisServer { found, login, tls: None })
}

fn in_cluster(rest: &str) -> Result<RedisServer, StartError> {
    let (user, hosts, path) = parts(rest);
    if !matches!(path, "" | "0") {
        return Err(bad("a cluster has no database but 0"));
    }
    let nodes = endpoints(hosts.split(','), PORT)?;
    let login = login(user, "")?;
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
        assert_eq!(name("redis://h/?protocol=resp3#x"), "redis://h:6379");
        assert_eq!(name("rediss://h"), "rediss://h:6379");
        assert_eq!(name("valkeys://h:1"), "rediss://h:1");
    }

    #[test]
    fn what_is_written_with_a_percent_sign_is_what_it_says() {
        let login = |url: &str| {
            let login = RedisServer::of_url(url).unwrap().login;
            (login.username.unwrap_or_default(), login.password.unwrap_or_default(), login.database)
        };
        let is = |user: &str, password: &str, database| (user.to_owned(), password.to_owned(), database);
        assert_eq!(login("redis://%C3%BC:a%40b%3A%2F%3F%23@h/7/"), is("ü", "a@b:/?#", 7));
        assert_eq!(login("redis://:x+y:z@[::1]:1"), is("", "x+y:z", 0));
        assert_eq!(login("redis://:@h"), is("", "", 0));
        assert_eq!(login("unix:///a%20b?user=u&pass=p%26q&db=2&more=x"), is("u", "p&q", 2));
        assert_eq!(name("unix:///a%20b?db=2"), "unix:///a b");
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
            "redis://:hunter2@",
            "redis://:hunter2@h:x",
            "redis://:hunter2@h/x",
            "redis://:hunter2@h/-1",
            "redis://:hunter2%FF@h",
            "unix://hunter2",
            "unix:///x?pass=hunter2&db=x",
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
