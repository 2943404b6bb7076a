//! Where a Redis is, and as whom it is spoken to.

use std::{fmt, path::PathBuf};

use super::error::StartError;

/// A server on a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host`, `host:port` or `[::1]:port`; without a port it is `default`.
    pub(super) fn parse(text: &str, default: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(default), |port| port.parse().ok())?;
        let may_be = |letter: char| letter.is_alphanumeric() || "-._:%".contains(letter);
        let is_name = !host.is_empty() && host.chars().all(may_be);
        is_name.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Where one server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// On a network.
    Tcp(Endpoint),
    /// On a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => endpoint.fmt(f),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// As whom a server is spoken to.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// `None`: its default user.
    pub username: Option<String>,
    /// `None`: nobody asks for one.
    pub password: Option<String>,
    /// Which of its numbered databases; a cluster has only 0.
    pub database: i64,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A certificate or a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// As text.
    Text(String),
    /// In a file, which is read for each connection: what is renewed there is used from then on.
    File(PathBuf),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl From<String> for Pem {
    fn from(text: String) -> Self {
        if text.contains("-----BEGIN") { Self::Text(text) } else { Self::File(text.into()) }
    }
}

/// How what is said to a server is encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who may vouch for the server. `None`: whom the system trusts, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    pub ca: Option<Pem>,
    /// The certificate that is shown to the server, with those behind it; together with its key.
    pub cert: Option<Pem>,
    /// The key of that certificate.
    pub key: Option<Pem>,
    /// Whose certificate the server has to show. `None`: the host that was connected to.
    pub servername: Option<String>,
}

/// How the server that orders is found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// It is known where it is.
    At(Place),
    /// Sentinels say who is the primary now.
    BySentinel {
        /// Where they are; those that cannot be reached are passed over.
        sentinels: Vec<Endpoint>,
        /// What they call the primary.
        name: String,
        /// As whom they are spoken to.
        login: Login,
    },
    /// Several servers share the documents; some of them, of whom each knows the others.
    InCluster(Vec<Endpoint>),
}

/// A Redis: where it is, as whom and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisServer {
    /// How it is found.
    pub found: Found,
    /// As whom it is spoken to.
    pub login: Login,
    /// `None`: in the clear.
    pub tls: Option<Tls>,
}

impl RedisServer {
    /// Whether several servers share the documents.
    pub(super) fn is_in_cluster(&self) -> bool {
        matches!(self.found, Found::InCluster(_))
    }

    /// Whether another server may take over from the one that orders now.
    pub(super) fn is_one_of_many(&self) -> bool {
        !matches!(self.found, Found::At(_))
    }

    /// Whether sentinels have a replica take over from the one that orders now.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self.found, Found::BySentinel { .. })
    }

    /// As whom sentinels are spoken to, where they ask for it.
    ///
    /// # Errors
    ///
    /// [`StartError::BadOption`] where there are none.
    pub fn set_sentinel_login(
        &mut self,
        username: Option<String>,
        password: Option<String>,
    ) -> Result<(), StartError> {
        match &mut self.found {
            Found::BySentinel { login, .. } => *login = Login { username, password, database: 0 },
            _ if username.is_none() && password.is_none() => {}
            _ => return Err(bad("redis.sentinelUsername and redis.sentinelPassword: it names no sentinels")),
        }
        Ok(())
    }

    /// Whether all that it says has an effect.
    ///
    /// # Errors
    ///
    /// [`StartError::BadOption`], which says what has none.
    pub(super) fn check(&self) -> Result<(), StartError> {
        let is_nameless = |login: &Login| login.username.is_some() && login.password.is_none();
        match &self.found {
            _ if is_nameless(&self.login) => Err(bad(
                "redis: a username without a password says nothing; where the password was meant, write it as redis://:password@host",
            )),
            Found::BySentinel { login, .. } if is_nameless(login) => {
                Err(bad("redis.sentinelUsername: without redis.sentinelPassword it says nothing"))
            }
            Found::At(Place::Unix(_)) if self.tls.is_some() => Err(bad("redis.tls: a unix socket has none")),
            Found::InCluster(_) if self.login.database != 0 => {
                Err(bad("redis.database: a cluster has none but 0"))
            }
            _ => Ok(()),
        }
    }

    /// Where it is, without credentials.
    pub fn name(&self) -> String {
        let s = if self.tls.is_some() { "s" } else { "" };
        match &self.found {
            Found::At(Place::Tcp(endpoint)) => format!("redis{s}://{endpoint}"),
            Found::At(Place::Unix(path)) => format!("unix://{}", path.display()),
            Found::BySentinel { sentinels, name, .. } => {
                format!("redis{s}+sentinel://{}/{name}", list(sentinels))
            }
            Found::InCluster(nodes) => format!("redis{s}+cluster://{}", list(nodes)),
        }
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

fn bad(reason: &str) -> StartError {
    StartError::BadOption { reason: reason.to_owned() }
}

fn list(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, Found, Login, RedisServer, StartError, Tls};

    #[test]
    fn an_endpoint_is_read_as_it_is_written() {
        for (text, written) in [
            ("localhost", "localhost:6379"),
            ("10.0.0.1:7000", "10.0.0.1:7000"),
            ("[::1]:7000", "[::1]:7000"),
            ("[::1]", "[::1]:6379"),
            ("redis_1.internal:6380", "redis_1.internal:6380"),
        ] {
            assert_eq!(
                Endpoint::parse(text, 6379).map(|endpoint| endpoint.to_string()).as_deref(),
                Some(written)
            );
        }
        for wrong in ["", ":1", "h:", "h:x", "h:70000", "[::1", "[::1]7", "a b", "a/b", "u@h"] {
            assert_eq!(Endpoint::parse(wrong, 6379), None, "{wrong}");
        }
    }

    fn at(url: &str) -> RedisServer {
        RedisServer::of_url(url).unwrap()
    }

    #[test]
    fn what_would_be_without_effect_is_refused_by_its_name() {
        let by_tls = |url| RedisServer { tls: Some(Tls::default()), ..at(url) };
        let mut numbered = at("redis+cluster://h");
        numbered.login.database = 1;
        let mut nameless = at("redis+sentinel://h/m");
        let Found::BySentinel { login, .. } = &mut nameless.found else { panic!("{nameless:?}") };
        *login = Login { username: Some("u".to_owned()), ..Login::default() };
        for (server, named) in [
            (at("redis://user@h"), "a username without a password"),
            (at("rediss+sentinel://user@h/m"), "a username without a password"),
            (by_tls("unix:///x"), "redis.tls: a unix socket"),
            (by_tls("valkey+unix:///x"), "redis.tls: a unix socket"),
            (numbered, "redis.database: a cluster"),
            (nameless, "redis.sentinelUsername"),
        ] {
            let said = server.check().unwrap_err().to_string();
            assert!(said.starts_with("option redis") && said.contains(named), "{said}");
        }
        for url in ["redis://:p@h", "rediss://u:p@h", "unix:///x", "redis+cluster://u:p@h/0"] {
            assert_eq!(at(url).check(), Ok(()), "{url}");
        }
        assert_eq!(by_tls("valkey://h").check(), Ok(()), "the same as valkeys");
    }

    #[test]
    fn a_login_of_sentinels_is_refused_where_there_are_none() {
        let secret = || Some("s".to_owned());
        assert_eq!(at("redis+sentinel://h/m").set_sentinel_login(None, secret()), Ok(()));
        for url in ["redis://h", "redis+cluster://h", "unix:///x"] {
            assert_eq!(at(url).set_sentinel_login(None, None), Ok(()));
            for (username, password) in [(secret(), None), (None, secret())] {
                let refused = at(url).set_sentinel_login(username, password);
                assert!(
                    matches!(&refused, Err(StartError::BadOption { reason }) if reason.contains("no sentinels"))
                );
            }
        }
    }
}
