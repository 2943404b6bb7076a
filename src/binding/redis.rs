//! The option `redis`. `js/hub/redis-options.js` is the other side.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use napi_derive::napi;

use super::notifier::NodeNotifier;
#[cfg(feature = "redis")]
use crate::handlers::Notifier;
use crate::{Config, Error, Hub, sync::lock};

/// How the hub reaches its Redis, as `js/hub/redis-options.js` has checked it.
#[napi(object)]
pub struct NativeRedis {
    /// Where it is; may hold a password.
    pub url: String,
    /// What every key and channel begins with.
    pub prefix: Option<String>,
    /// Longest time for a connection to be made.
    pub connect_timeout_ms: Option<u32>,
    /// Longest time for an answer.
    pub command_timeout_ms: Option<u32>,
    /// How long a publication waits for Redis.
    pub wait_ms: Option<u32>,
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
pub(super) fn start(
    config: Config,
    redis: &NativeRedis,
    calls: Arc<CallQueue>,
    notifier: NodeNotifier,
) -> std::result::Result<Hub, Error> {
    use std::time::Duration;

    use crate::cluster::config::ClusterConfig;

    let mut over = ClusterConfig::of_url(&redis.url).map_err(|error| Error::Redis(error.to_string()))?;
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
    Hub::start_cluster(config, &over, Box::new(hear))
}

#[cfg(not(feature = "redis"))]
pub(super) fn start(
    _: Config,
    _: &NativeRedis,
    _: Arc<CallQueue>,
    _: NodeNotifier,
) -> std::result::Result<Hub, Error> {
    Err(Error::Redis("option redis: this binary was built without the feature redis".to_owned()))
}
