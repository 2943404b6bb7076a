//! The option `redis`. `js/hub/redis-options.js` is the other side.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use napi_derive::napi;

use super::notifier::NodeNotifier;
use crate::{
    Config, Error, Hub,
    document::{Options, hooks::Hooks},
    sync::lock,
};
#[cfg(feature = "redis")]
use crate::{
    cluster::{
        StartError,
        config::ClusterConfig,
        place::{Pem, RedisServer, Tls},
    },
    handlers::Notifier,
};

/// How the hub reaches its Redis, as `js/hub/redis-options.js` has checked it.
#[napi(object)]
pub struct NativeRedis {
    /// Where it is; may hold a password. `None` where there are `sentinels` or a `cluster`.
    pub url: Option<String>,
    /// Who says where it is.
    pub sentinels: Option<Vec<String>>,
    /// What they call it.
    pub name: Option<String>,
    /// Some of the servers of a cluster.
    pub cluster: Option<Vec<String>>,
    /// As whom sentinels are spoken to.
    pub sentinel_username: Option<String>,
    /// The password for that.
    pub sentinel_password: Option<String>,
    /// As whom it is spoken to, instead of what the URL says.
    pub username: Option<String>,
    /// The password for that.
    pub password: Option<String>,
    /// Which of its databases.
    pub database: Option<u32>,
    /// `None`: as the URL says.
    pub tls: Option<NativeTls>,
    /// What every key and channel begins with.
    pub prefix: Option<String>,
    /// Longest time for a connection to be made.
    pub connect_timeout_ms: Option<u32>,
    /// Longest time for an answer.
    pub command_timeout_ms: Option<u32>,
    /// How long a publication waits for Redis.
    pub wait_ms: Option<u32>,
}

/// How what is said to it is encrypted. Certificates and the key are PEM, or the path of a file with it.
#[napi(object)]
pub struct NativeTls {
    /// Who may vouch for it.
    pub ca: Option<String>,
    /// What is shown to it.
    pub cert: Option<String>,
    /// The key of that.
    pub key: Option<String>,
    /// Whose certificate it has to show.
    pub servername: Option<String>,
}

impl fmt::Debug for NativeTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeTls").field("servername", &self.servername).finish_non_exhaustive()
    }
}

impl fmt::Debug for NativeRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeRedis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What other processes want done, until JavaScript takes it.
#[derive(Default)]
pub(super) struct CallQueue(Mutex<Vec<String>>);

impl CallQueue {
    #[cfg(feature = "redis")]
    fn push(&self, call: String) {
        lock(&self.0).push(call);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl fmt::Debug for CallQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallQueue(…)")
    }
}

#[cfg(feature = "redis")]
fn server(redis: &NativeRedis) -> std::result::Result<RedisServer, StartError> {
    let mut server = match (&redis.url, &redis.cluster, &redis.sentinels) {
        (Some(url), _, _) => RedisServer::of_url(url)?,
        (None, Some(nodes), _) => RedisServer::of_cluster(nodes)?,
        (None, None, sentinels) => RedisServer::of_sentinels(
            sentinels.as_deref().unwrap_or_default(),
            redis.name.as_deref().unwrap_or_default(),
        )?,
    };
    server.set_sentinel_login(redis.sentinel_username.clone(), redis.sentinel_password.clone())?;
    let login = &mut server.login;
    for (given, held) in [(&redis.username, &mut login.username), (&redis.password, &mut login.password)] {
        if given.is_some() {
            held.clone_from(given);
        }
    }
    if let Some(database) = redis.database {
        login.database = database.into();
    }
    if let Some(NativeTls { ca, cert, key, servername }) = &redis.tls {
        let pem = |given: &Option<String>| given.clone().map(Pem::from);
        server.tls =
            Some(Tls { ca: pem(ca), cert: pem(cert), key: pem(key), servername: servername.clone() });
    }
    Ok(server)
}

#[cfg(feature = "redis")]
pub(super) fn start(
    config: Config,
    redis: &NativeRedis,
    calls: Arc<CallQueue>,
    notifier: NodeNotifier,
    documents: Option<(Arc<dyn Hooks>, Options)>,
) -> std::result::Result<Hub, Error> {
    use std::time::Duration;

    let server = server(redis).map_err(|error| Error::Redis(error.to_string()))?;
    let mut over = ClusterConfig::of(server);
    if let Some(prefix) = &redis.prefix {
        over.prefix.clone_from(prefix);
    }
    let times = [
        (redis.connect_timeout_ms, &mut over.connect_timeout),
        (redis.command_timeout_ms, &mut over.command_timeout),
        (redis.wait_ms, &mut over.wait),
    ];
    for (given, time) in times {
        if let Some(given) = given {
            *time = Duration::from_millis(given.into());
        }
    }
    let hear = move |call| {
        calls.push(call);
        notifier.notify();
    };
    match documents {
        None => Hub::start_cluster(config, &over, Box::new(hear)),
        Some((hooks, options)) => Hub::start_cluster_documents(config, &over, Box::new(hear), hooks, options),
    }
}

#[cfg(not(feature = "redis"))]
pub(super) fn start(
    _: Config,
    _: &NativeRedis,
    _: Arc<CallQueue>,
    _: NodeNotifier,
    _: Option<(Arc<dyn Hooks>, Options)>,
) -> std::result::Result<Hub, Error> {
    Err(Error::Redis("option redis: this binary was built without the feature redis".to_owned()))
}
