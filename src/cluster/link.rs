//! The two connections to a Redis: one for commands, one for what is pushed. Both are lost together.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Cmd, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::sync::Notify;

use super::{
    config::ClusterConfig,
    dial::{Dialled, Manner, dial},
    place::Place,
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
    /// Where the server is.
    pub(super) place: Place,
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
    /// Dropping them ends both connections.
    _dialled: [Dialled; 2],
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
    /// Connects to the server at a place, and puts the scripts there.
    pub(super) async fn open(config: &ClusterConfig, place: Place, heard: Heard) -> RedisResult<Self> {
        let manner = Manner {
            login: &config.server.login,
            tls: config.server.tls.as_ref(),
            protocol: ProtocolVersion::RESP3,
            within: config.connect_timeout,
        };
        let loss = Arc::new(Loss::default());
        let of_commands = dial(&place, manner, connection(config, &loss, Arc::new(|_, _| ()))).await?;
        let of_pushes = dial(&place, manner, connection(config, &loss, heard)).await?;
        let mut commands = of_commands.connection.clone();
        let server = ServerInfo::ask(&mut commands).await?;
        let mut load = async |script: &str| -> RedisResult<String> {
            redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut commands).await
        };
        let (append, read) = (load(APPEND).await?, load(READ).await?);
        let pushes = tokio::sync::Mutex::new(of_pushes.connection.clone());
        Ok(Self {
            place,
            commands,
            pushes,
            server,
            append,
            read,
            loss,
            probed: AtomicU64::new(0),
            probed_at: Mutex::default(),
            _dialled: [of_commands, of_pushes],
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
        if called.is_ok() && self.loss.is_lost() {
            // Who asks again asks the server that it is now, which knows what was done.
            return Err(
                io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up").into()
            );
        }
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
            // It may come of a server that another has taken over from.
            PushKind::Message if loss.is_lost() => {}
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
    AsyncConnectionConfig::new()
        .set_response_timeout(Some(config.command_timeout))
        .set_pipeline_buffer_size(COMMANDS_WAITING)
        .set_push_sender(push)
}
