//! The two connections to a Redis: one for commands, one for what is pushed and for what pushes it. Both are lost together.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult,
    ServerErrorKind, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::{sync::Notify, task::JoinSet, time::timeout};

use super::{
    age::ServerClock,
    config::ClusterConfig,
    dial::{Dialled, Manner, dial},
    place::Place,
    replicas::Replicas,
    server_info::ServerInfo,
    wire::text,
};
use crate::sync::lock;

/// Commands of this process that may wait for their turn on a connection.
const COMMANDS_WAITING: usize = 1024;

const APPEND: &str = include_str!("append.lua");
const READ: &str = include_str!("read.lua");
const LEASE: &str = include_str!("lease.lua");
const KEEP: &str = include_str!("keep.lua");
const RESTORE: &str = include_str!("restore.lua");

/// What is pushed.
#[derive(Debug)]
pub(super) enum Pushed {
    /// Something was published on a channel.
    Message(Vec<u8>),
    /// Nothing comes over this channel any more: it was asked for, or its slot went to another server.
    Ended,
}

/// Where what is pushed goes, with its channel; on the thread of Redis.
pub(super) type Heard = Arc<dyn Fn(&[u8], Pushed) + Send + Sync>;

/// What a cluster wants of a connection.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    /// Told when the server says that it has not, or not yet, what it was asked for.
    pub(super) strayed: Arc<Notify>,
}

/// Two connections to a Redis, until one of them is lost.
pub(super) struct Link {
    /// Where the server is.
    pub(super) place: Place,
    /// When it was there.
    pub(super) since: Instant,
    pub(super) commands: MultiplexedConnection,
    /// For calls with a short answer that push something to this process, too: both come in one. Long answers would count as
    /// what a subscriber has not read, of which a server allows little.
    answers: MultiplexedConnection,
    /// Locked while it subscribes or unsubscribes, so that one is behind the other.
    pub(super) pushes: tokio::sync::Mutex<MultiplexedConnection>,
    pub(super) server: ServerInfo,
    pub(super) clock: ServerClock,
    replicas: Replicas,
    /// `None`: the server has everything.
    sharing: Option<Sharing>,
    /// In a cluster: channels of which the server has said that they are subscribed to.
    subscribed: Arc<Subscribed>,
    /// The channel on which the process hears from itself over this link.
    pub(super) probe_channel: String,
    append: String,
    read: String,
    lease: String,
    keep: String,
    restore: String,
    pub(super) loss: Arc<Loss>,
    /// Whether this process hears over it the rooms that had members here when it was made.
    pub(super) hears_rooms: AtomicBool,
    /// The last probe that has come back.
    pub(super) probed: AtomicU64,
    probed_at: Mutex<Option<Instant>>,
    /// How long the server may take to say that a channel is subscribed to.
    patience: Duration,
    /// Dropping them ends both connections.
    _dialled: [Dialled; 2],
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Channels of a cluster that are subscribed to.
#[derive(Debug, Default)]
struct Subscribed {
    channels: Mutex<HashSet<Vec<u8>>>,
    /// There are more.
    more: Notify,
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
    pub(super) async fn open(
        config: &ClusterConfig,
        place: Place,
        sharing: Option<Sharing>,
        probe_channel: String,
        heard: Heard,
    ) -> RedisResult<Self> {
        let manner = Manner {
            login: &config.server.login,
            tls: config.server.tls.as_ref(),
            protocol: ProtocolVersion::RESP3,
            within: config.connect_timeout,
        };
        let (loss, subscribed) = (Arc::new(Loss::default()), Arc::<Subscribed>::default());
        let nobody: Heard = Arc::new(|_, _| ());
        let of_commands = dial(&place, manner, connection(config, &loss, &subscribed, nobody)).await?;
        let of_pushes = dial(&place, manner, connection(config, &loss, &subscribed, heard)).await?;
        let mut commands = of_commands.connection.clone();
        let server = ServerInfo::ask(&mut commands).await?;
        let asked = Instant::now();
        let (seconds, microseconds): (u64, u64) = redis::cmd("TIME").query_async(&mut commands).await?;
        let clock = ServerClock::of(asked, seconds * 1000 + microseconds / 1000);
        let in_cluster = sharing.is_some();
        let mut load = async |script: &'static str| -> RedisResult<String> {
            let script = in_words_of(script, in_cluster);
            redis::cmd("SCRIPT").arg("LOAD").arg(&*script).query_async(&mut commands).await
        };
        let (append, read) = (load(APPEND).await?, load(READ).await?);
        let (lease, keep, restore) = (load(LEASE).await?, load(KEEP).await?, load(RESTORE).await?);
        // In a cluster the library may take for an answer what is pushed there: see `subscribe_each`.
        let answers = if in_cluster { &of_commands } else { &of_pushes }.connection.clone();
        let pushes = tokio::sync::Mutex::new(of_pushes.connection.clone());
        Ok(Self {
            place,
            since: Instant::now(),
            commands,
            answers,
            pushes,
            server,
            clock,
            replicas: Replicas::default(),
            sharing,
            subscribed,
            probe_channel,
            append,
            read,
            lease,
            keep,
            restore,
            loss,
            hears_rooms: AtomicBool::new(false),
            probed: AtomicU64::new(0),
            probed_at: Mutex::default(),
            patience: config.command_timeout,
            _dialled: [of_commands, of_pushes],
        })
    }

    /// Puts the scripts there again, after somebody has flushed them.
    pub(super) async fn load_scripts(&self) -> RedisResult<()> {
        for script in [APPEND, READ, LEASE, KEEP, RESTORE] {
            let script = in_words_of(script, self.sharing.is_some());
            self.call(redis::cmd("SCRIPT").arg("LOAD").arg(&*script)).await?;
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

    /// A call that publishes on a channel, without what is published.
    pub(super) fn publish(&self, channel: &str) -> Cmd {
        let mut call = redis::cmd(if self.sharing.is_some() { "SPUBLISH" } else { "PUBLISH" });
        call.arg(channel);
        call
    }

    /// A call of the script by which a process looks after a document, without its keys and arguments.
    pub(super) fn lease(&self, keys: usize) -> Cmd {
        script(&self.lease, keys)
    }

    /// A call of the script that changes what is kept, without its keys and arguments.
    pub(super) fn keep(&self, keys: usize) -> Cmd {
        script(&self.keep, keys)
    }

    /// A call of the script that puts a document there again, without its keys and arguments.
    pub(super) fn restore(&self, keys: usize) -> Cmd {
        script(&self.restore, keys)
    }

    /// Sends a command. Where the connection does not do, the link is lost.
    pub(super) async fn call(&self, command: &Cmd) -> RedisResult<Value> {
        self.call_over(self.commands.clone(), command).await
    }

    /// Sends one with a short answer, which publishes something that this process hears.
    pub(super) async fn tell(&self, command: &Cmd) -> RedisResult<Value> {
        self.call_over(self.answers.clone(), command).await
    }

    async fn call_over(&self, mut connection: MultiplexedConnection, command: &Cmd) -> RedisResult<Value> {
        let called = command.query_async(&mut connection).await;
        if called.is_ok() && self.loss.is_lost() {
            // Who asks again asks the server that it is now, which knows what was done.
            return Err(
                io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up").into()
            );
        }
        called.inspect_err(|error| self.judge(error))
    }

    /// Whether what was written by now would outlive the server: all of its replicas have it, at least one where `needs_one`.
    /// `None` where it cannot be asked.
    pub(super) async fn is_replicated(&self, needs_one: bool) -> Option<bool> {
        let ask = async || {
            let said = self.call(redis::cmd("INFO").arg("replication")).await.ok()?;
            redis::from_redis_value(said).ok()
        };
        self.replicas.have_all(needs_one, ask).await
    }

    /// Deletes a key that has this value. It must last for longer than this takes: nobody else gets it between the look and that.
    /// Where it fails the key expires.
    pub(super) async fn let_go(&self, key: &str, value: &str) {
        let found = self.call(redis::cmd("GET").arg(key)).await;
        if found.is_ok_and(|found| text(&found) == Some(value)) {
            let _ = self.call(redis::cmd("DEL").arg(key)).await;
        }
    }

    /// Declares the link lost where an error says so.
    pub(super) fn judge(&self, error: &RedisError) {
        if let Some(sharing) = &self.sharing
            && is_elsewhere(error)
        {
            sharing.strayed.notify_one();
        }
        // These are answers, but of a server that is none to us now.
        let is_no_use =
            matches!(error.code(), Some("READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH" | "CLUSTERDOWN"));
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
        if let Some(sharing) = &self.sharing {
            let subscribed = self.subscribe_each(&pushes, &channels).await;
            return subscribed.inspect_err(|error| {
                if is_elsewhere(error) {
                    sharing.strayed.notify_one();
                } else {
                    self.loss.declare(format!("subscribing failed: {error}"));
                }
            });
        }
        // Without a subscription nothing is heard, and nothing would say so.
        let subscribed = pushes.subscribe(&channels).await;
        subscribed.inspect_err(|error| self.loss.declare(format!("subscribing failed: {error}")))
    }

    /// Subscribes to channels of a cluster, one by one: they need not be of one slot.
    async fn subscribe_each(&self, pushes: &MultiplexedConnection, channels: &[&String]) -> RedisResult<()> {
        let mut asking = JoinSet::new();
        for channel in channels {
            lock(&self.subscribed.channels).remove(channel.as_bytes());
            let (mut pushes, call) = (pushes.clone(), redis::cmd("SSUBSCRIBE").arg(channel).to_owned());
            asking.spawn(async move { call.exec_async(&mut pushes).await });
        }
        let mut failed = Ok(());
        while let Some(asked) = asking.join_next().await {
            failed = failed.and(asked.unwrap_or(Ok(())));
        }
        failed?;
        // The library takes for an answer what is pushed unasked when a slot moves, and is then one behind. So only that
        // counts which names the channel.
        let all = async {
            loop {
                let more = self.subscribed.more.notified();
                let is_missing =
                    |channel: &&&String| !lock(&self.subscribed.channels).contains(channel.as_bytes());
                if !channels.iter().any(|channel| is_missing(&channel)) {
                    return;
                }
                more.await;
            }
        };
        let moved = |_| RedisError::from((ErrorKind::Server(ServerErrorKind::TryAgain), "not confirmed"));
        timeout(self.patience, all).await.map_err(moved)
    }

    /// Unsubscribes from a channel, unless `wanted` says once it is its turn that it is needed.
    pub(super) async fn unsubscribe(&self, channel: &str, wanted: impl Fn(&str) -> bool) {
        let mut pushes = self.pushes.lock().await;
        if wanted(channel) {
            return;
        }
        let done = match &self.sharing {
            Some(_) => redis::cmd("SUNSUBSCRIBE").arg(channel).exec_async(&mut *pushes).await,
            None => pushes.unsubscribe(channel).await,
        };
        if let Err(error) = done {
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

/// Whether an error says that another server has it, or that it is just being moved.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(error.code(), Some("MOVED" | "ASK" | "TRYAGAIN"))
}

/// In a cluster a channel belongs to a slot, as a key does.
fn in_words_of(script: &'static str, in_cluster: bool) -> Cow<'static, str> {
    if in_cluster { script.replace("'PUBLISH'", "'SPUBLISH'").into() } else { script.into() }
}

/// How a connection is made that hands on what is pushed.
fn connection(
    config: &ClusterConfig,
    loss: &Arc<Loss>,
    subscribed: &Arc<Subscribed>,
    heard: Heard,
) -> AsyncConnectionConfig {
    let (loss, subscribed) = (Arc::clone(loss), Arc::clone(subscribed));
    let push = move |PushInfo { kind, data }: PushInfo| -> Result<(), SendError> {
        match kind {
            PushKind::Disconnection => loss.declare("the connection was closed"),
            // It may come of a server that another has taken over from.
            PushKind::Message | PushKind::SMessage if loss.is_lost() => {}
            PushKind::Message | PushKind::SMessage => {
                if let Ok([Value::BulkString(channel), Value::BulkString(message)]) =
                    <[Value; 2]>::try_from(data)
                {
                    heard(&channel, Pushed::Message(message));
                }
            }
            PushKind::SSubscribe => {
                if let Some(Value::BulkString(channel)) = data.into_iter().next() {
                    lock(&subscribed.channels).insert(channel);
                    subscribed.more.notify_waiters();
                }
            }
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = data.into_iter().next() {
                    lock(&subscribed.channels).remove(&channel);
                    heard(&channel, Pushed::Ended);
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
