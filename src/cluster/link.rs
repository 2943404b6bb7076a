//! The two connections to a Redis: one for commands, one for what is pushed. Both are lost together.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, RedisError, RedisResult, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::sync::Notify;

use super::{
    config::{ClusterConfig, RedisServer},
    server_info::ServerInfo,
};
use crate::sync::lock;

/// Commands of this process that may wait for their turn on a connection.
const COMMANDS_WAITING: usize = 1024;

const APPEND: &str = include_str!("append.lua");
const READ: &str = include_str!("read.lua");

/// Where what is pushed goes: channel and message, on the thread of Redis.
pub(super) type Heard = Arc<dyn Fn(&[u8], Vec<u8>) + Send + Sync>;

/// Two connections to a Redis, until one of them is lost.
pub(super) struct Link {
    pub(super) commands: MultiplexedConnection,
    /// Locked while it subscribes or unsubscribes, so that one is behind the other.
    pub(super) pushes: tokio::sync::Mutex<MultiplexedConnection>,
    pub(super) server: ServerInfo,
    append: String,
    read: String,
    pub(super) loss: Arc<Loss>,
    /// The last probe that has come back.
    pub(super) probed: AtomicU64,
    probed_at: Mutex<Option<Instant>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

/// That a link is lost, and why.
#[derive(Debug, Default)]
pub(super) struct Loss {
    is_lost: AtomicBool,
    reason: Mutex<String>,
    notify: Notify,
}

impl Loss {
    /// It is lost; only the first reason counts.
    pub(super) fn declare(&self, reason: impl Into<String>) {
        if !self.is_lost.swap(true, Ordering::SeqCst) {
            *lock(&self.reason) = reason.into();
            self.notify.notify_one();
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::SeqCst)
    }

    /// Waits until it is lost; for one who waits. Returns why.
    pub(super) async fn wait(&self) -> String {
        while !self.is_lost() {
            self.notify.notified().await;
        }
        lock(&self.reason).clone()
    }
}

impl Link {
    /// Connects, and puts the scripts there.
    pub(super) async fn open(config: &ClusterConfig, heard: Heard) -> RedisResult<Self> {
        let RedisServer::Single(info) = &config.server;
        let client = Client::open(info.clone())?;
        let loss = Arc::new(Loss::default());
        let mut commands = client
            .get_multiplexed_async_connection_with_config(&connection(config, &loss, Arc::new(|_, _| ())))
            .await?;
        let pushes =
            client.get_multiplexed_async_connection_with_config(&connection(config, &loss, heard)).await?;
        let server = ServerInfo::ask(&mut commands).await?;
        let mut load = async |script: &str| -> RedisResult<String> {
            redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut commands).await
        };
        let (append, read) = (load(APPEND).await?, load(READ).await?);
        let pushes = tokio::sync::Mutex::new(pushes);
        Ok(Self {
            commands,
            pushes,
            server,
            append,
            read,
            loss,
            probed: AtomicU64::new(0),
            probed_at: Mutex::default(),
        })
    }

    /// Puts the scripts there again, after somebody has flushed them.
    pub(super) async fn load_scripts(&self) -> RedisResult<()> {
        for script in [APPEND, READ] {
            self.call(redis::cmd("SCRIPT").arg("LOAD").arg(script)).await?;
        }
        Ok(())
    }

    /// A call of the script that appends, without its keys and arguments.
    pub(super) fn append(&self, keys: usize) -> Cmd {
        script(&self.append, keys)
    }

    /// A call of the script that reads, without its keys and arguments.
    pub(super) fn read(&self, keys: usize) -> Cmd {
        script(&self.read, keys)
    }

    /// Sends a command. Where the connection does not do, the link is lost.
    pub(super) async fn call(&self, command: &Cmd) -> RedisResult<Value> {
        let called = command.query_async(&mut self.commands.clone()).await;
        called.inspect_err(|error| self.judge(error))
    }

    /// Declares the link lost where an error says so.
    pub(super) fn judge(&self, error: &RedisError) {
        // These are answers, but of a server that is none to us now.
        let is_no_use = matches!(error.code(), Some("READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH"));
        if error.code().is_none() || is_no_use {
            self.loss.declare(error.to_string());
        }
    }

    /// Subscribes to channels, where `wanted` still says so once it is its turn.
    pub(super) async fn subscribe(
        &self,
        channels: &[String],
        wanted: impl Fn(&str) -> bool,
    ) -> RedisResult<()> {
        let mut pushes = self.pushes.lock().await;
        let channels: Vec<_> = channels.iter().filter(|channel| wanted(channel)).collect();
        if channels.is_empty() {
            return Ok(());
        }
        // Without a subscription nothing is heard, and nothing would say so.
        let subscribed = pushes.subscribe(&channels).await;
        subscribed.inspect_err(|error| self.loss.declare(format!("subscribing failed: {error}")))
    }

    /// Unsubscribes from a channel, unless `wanted` says once it is its turn that it is needed.
    pub(super) async fn unsubscribe(&self, channel: &str, wanted: impl Fn(&str) -> bool) {
        let mut pushes = self.pushes.lock().await;
        if !wanted(channel)
            && let Err(error) = pushes.unsubscribe(channel).await
        {
            self.judge(&error);
        }
    }

    /// A probe has come back.
    pub(super) fn heard_probe(&self, message: &[u8]) {
        if let Some(number) = std::str::from_utf8(message).ok().and_then(|text| text.parse().ok()) {
            self.probed.fetch_max(number, Ordering::SeqCst);
            *lock(&self.probed_at) = Some(Instant::now());
        }
    }

    /// Time since a probe came back; `None` before the first.
    pub(super) fn since_probe(&self) -> Option<Duration> {
        lock(&self.probed_at).map(|at| at.elapsed())
    }
}

fn script(sha: &str, keys: usize) -> Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(sha).arg(keys);
    call
}

/// How a connection is made that hands on what is pushed.
fn connection(config: &ClusterConfig, loss: &Arc<Loss>, heard: Heard) -> AsyncConnectionConfig {
    let loss = Arc::clone(loss);
    let push = move |PushInfo { kind, data }: PushInfo| -> Result<(), SendError> {
        match kind {
            PushKind::Disconnection => loss.declare("the connection was closed"),
            PushKind::Message => {
                if let Ok([Value::BulkString(channel), Value::BulkString(message)]) =
                    <[Value; 2]>::try_from(data)
                {
                    heard(&channel, message);
                }
            }
            _ => {}
        }
        Ok(())
    };
    let some = |time: Duration| Some(time);
    AsyncConnectionConfig::new()
        .set_connection_timeout(some(config.connect_timeout))
        .set_response_timeout(some(config.command_timeout))
        .set_pipeline_buffer_size(COMMANDS_WAITING)
        .set_push_sender(push)
}
