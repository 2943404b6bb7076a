//! The hub as JavaScript sees it; `js/` checks arguments and gives errors their class.

use std::{
    fmt,
    net::TcpStream,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use napi::{
    Env,
    bindgen_prelude::{Function, Object, ToNapiValue, Uint8Array},
};
use napi_derive::napi;

use super::{
    admission::{NativeAdmission, NativeLimits, milliseconds, upgrade},
    hooks::{NativeDocuments, NodeHooks, start_store},
    log_line::Format,
    notifier::NodeNotifier,
    numbers::{Taken, number},
    redis::{self, CallQueue, NativeRedis},
};
use crate::{
    Config, Error, Hub,
    admission::{Access, limits::Limits},
    config::{HistoryLimits, Secret},
    document::hooks::Hooks,
    handlers::EventQueue,
    server::accept::Incoming,
    server::{
        loopback::{Loopback, TICKET_BYTES},
        users::{ConnectionInfo, Sessions},
    },
    sync::lock,
    websocket::close::Close,
};

pub(super) type Result<T> = std::result::Result<T, napi::Error<&'static str>>;

impl From<Error> for napi::Error<&'static str> {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

pub(super) fn invalid(reason: &str) -> napi::Error<&'static str> {
    napi::Error::new("HUB_INVALID_ARGUMENT", reason.to_owned())
}

/// How often it is looked how long Node's thread takes to come.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// Options as `js/hub/options.js` has checked them.
#[napi(object)]
pub struct NativeOptions {
    /// See [`Config::threads`].
    pub threads: Option<u32>,
    /// See [`Config::max_message_bytes`].
    pub max_message_bytes: Option<u32>,
    /// See [`Config::max_outbox_bytes`].
    pub max_outbox_bytes: Option<u32>,
    /// See [`Config::max_inbox_bytes`].
    pub max_inbox_bytes: Option<u32>,
    /// See [`Config::heartbeat`]; 0 is off.
    pub heartbeat_interval_ms: Option<u32>,
    /// See [`Config::max_depth`].
    pub max_depth: Option<u32>,
    /// See [`Config::recovery_window`]; 0 is off.
    pub recovery_window_ms: Option<u32>,
    /// See [`HistoryLimits::messages`].
    pub history_max_messages: Option<u32>,
    /// See [`HistoryLimits::bytes`].
    pub history_max_bytes: Option<u32>,
    /// See [`HistoryLimits::total_bytes`].
    pub history_total_bytes: Option<u32>,
    /// See [`Config::token_secret`].
    pub token_secret: Option<String>,
    /// See [`Config::state_dir`].
    pub state_dir: Option<String>,
    /// See [`Config::drain`].
    pub drain_ms: Option<u32>,
    /// Least severe message written to stderr.
    pub log_level: String,
    /// `json` for lines that machines read.
    pub log_format: Option<String>,
    /// See [`Config::session_warning`].
    pub session_warning_ms: Option<u32>,
    /// `None` where there are no limits.
    pub limits: Option<NativeLimits>,
    /// `None` where all documents are relays.
    pub documents: Option<NativeDocuments>,
    /// `None` where this process orders by itself.
    pub redis: Option<NativeRedis>,
}

impl fmt::Debug for NativeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What there is beside a secret, which no log may hold.
        f.debug_tuple("NativeOptions").field(&Config::from(self)).finish()
    }
}

impl From<&NativeOptions> for Config {
    fn from(options: &NativeOptions) -> Self {
        let default = Self::default();
        let size = |value: Option<u32>, default| value.map_or(default, |value| value as usize);
        // 0 turns off what takes a time.
        let time = |value: Option<u32>, default| match value {
            None => default,
            Some(0) => None,
            Some(value) => Some(Duration::from_millis(value.into())),
        };
        Self {
            threads: size(options.threads, default.threads),
            max_message_bytes: size(options.max_message_bytes, default.max_message_bytes),
            max_outbox_bytes: size(options.max_outbox_bytes, default.max_outbox_bytes),
            max_inbox_bytes: size(options.max_inbox_bytes, default.max_inbox_bytes),
            heartbeat: time(options.heartbeat_interval_ms, default.heartbeat),
            max_depth: size(options.max_depth, default.max_depth),
            recovery_window: time(options.recovery_window_ms, default.recovery_window),
            history: HistoryLimits {
                messages: size(options.history_max_messages, default.history.messages),
                bytes: size(options.history_max_bytes, default.history.bytes),
                total_bytes: size(options.history_total_bytes, default.history.total_bytes),
            },
            token_secret: options.token_secret.as_deref().map(Secret::new),
            state_dir: options.state_dir.as_ref().map(Into::into),
            drain: milliseconds_or(options.drain_ms, default.drain),
            limits: options.limits.as_ref().map_or_else(Limits::none, Limits::from),
            session_warning: milliseconds_or(options.session_warning_ms, default.session_warning),
            ..default
        }
    }
}

/// See [`ConnectionInfo`].
#[napi(object)]
#[derive(Debug)]
pub struct NativeConnectionInfo {
    /// See [`ConnectionInfo::user`].
    pub user: String,
    /// See [`ConnectionInfo::serial`].
    pub serial: i64,
    /// See [`ConnectionInfo::profile`].
    pub profile: Option<String>,
    /// See [`ConnectionInfo::client`].
    pub client: Option<String>,
}

/// See [`NativeHub::stats`].
#[napi(object)]
#[derive(Debug)]
pub struct NativeStats {
    /// Open connections of all endpoints.
    pub connections: u32,
    /// Documents that somebody has open.
    pub documents: u32,
    /// Users with an open connection.
    pub users: u32,
}

/// A running hub.
#[napi]
#[derive(Debug)]
pub struct NativeHub {
    /// `None` once it is closed.
    hub: Mutex<Option<Arc<Hub>>>,
    /// Listens from the first socket that needs it.
    loopback: OnceLock<Loopback>,
    /// What happens on connections that JavaScript serves.
    pub(super) queue: Arc<EventQueue>,
    /// The app's hooks; `None` where all documents are relays.
    pub(super) hooks: Option<Arc<NodeHooks>>,
    /// What other processes want done.
    pub(super) calls: Arc<CallQueue>,
    /// What [`NativeHub::take`] has taken and not given out.
    pub(super) taken: Mutex<Taken>,
}

#[napi]
impl NativeHub {
    /// The version of this binary, which the loader compares with the package's.
    #[napi]
    pub fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Starts the hub's threads. `notify` is called, on this thread, when there is something to [`take`](Self::take).
    #[napi(constructor, catch_unwind)]
    pub fn new(options: NativeOptions, notify: Function<'_, (), ()>) -> Result<Self> {
        let format = if options.log_format.as_deref() == Some("json") { Format::Json } else { Format::Text };
        if !super::log::set_level(&options.log_level, format) {
            return Err(invalid("option logLevel must be 'off', 'error', 'warn', 'info' or 'debug'"));
        }
        let notifier = NodeNotifier::new(&notify)
            .map_err(|error| Error::Start(std::io::Error::other(error.to_string())))?;
        let config = Config::from(&options);
        let calls = Arc::<CallQueue>::default();
        let another = || {
            NodeNotifier::new(&notify).map_err(|error| Error::Start(std::io::Error::other(error.to_string())))
        };
        let hooks = match &options.documents {
            None => None,
            Some(_) => Some(Arc::new(NodeHooks::new(another()?))),
        };
        let of_hub = hooks.clone().map(|hooks| -> Arc<dyn Hooks> { hooks });
        let documents = of_hub.zip(options.documents.as_ref());
        let hub = match (&options.redis, documents) {
            (None, None) => Hub::start(config)?,
            (None, Some((of_hub, documents))) => {
                Hub::start_documents(config, of_hub, start_store(documents)?, documents.into())?
            }
            (Some(over), documents) => {
                let documents = documents.map(|(of_hub, documents)| (of_hub, documents.into()));
                redis::start(config, over, Arc::clone(&calls), another()?, documents)?
            }
        };
        let queue = Arc::new(EventQueue::new(Box::new(notifier), hub.config()));
        #[cfg(feature = "redis")]
        hub.share_rooms(&queue);
        let probed = Arc::downgrade(&queue);
        hub.every(PROBE_INTERVAL, move || probed.upgrade().map(|queue| queue.probe()).is_some());
        Ok(Self {
            hub: Mutex::new(Some(Arc::new(hub))),
            loopback: OnceLock::new(),
            queue,
            hooks,
            calls,
            taken: Mutex::default(),
        })
    }

    pub(super) fn hub(&self) -> Result<Arc<Hub>> {
        lock(&self.hub).clone().ok_or_else(|| Error::Closed.into())
    }

    /// Takes over the socket behind a descriptor of this process, which stays open and is the caller's to close.
    /// Returns the connection's number, or nothing where the peer is gone already.
    #[napi(catch_unwind)]
    pub fn accept(
        &self,
        descriptor: i32,
        lines: String,
        early: Option<Uint8Array>,
        admission: Option<NativeAdmission>,
    ) -> Result<Option<f64>> {
        let hub = self.hub()?;
        let stream = duplicate(descriptor)?;
        let early = early.map(|bytes| bytes.to_vec()).unwrap_or_default();
        match hub.accept(Incoming { stream, upgrade: upgrade(&lines, admission), early }) {
            Ok(id) => Ok(Some(number(id))),
            Err(Error::Gone) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Announces an upgrade that will come over the loopback listener; returns its port and the connection's number.
    #[napi(catch_unwind)]
    pub fn expect(
        &self,
        ticket: String,
        lines: String,
        admission: Option<NativeAdmission>,
    ) -> Result<Vec<f64>> {
        let hub = self.hub()?;
        let ticket: [u8; TICKET_BYTES] =
            ticket.into_bytes().try_into().map_err(|_| invalid("a ticket has 32 characters"))?;
        if self.loopback.get().is_none() {
            let _ = self.loopback.set(Loopback::start(&hub)?);
        }
        let loopback = self.loopback.get().ok_or(Error::Closed)?;
        let (port, id) = loopback.expect(ticket, upgrade(&lines, admission))?;
        Ok(vec![port.into(), number(id)])
    }

    /// See [`Hub::publish`].
    #[napi(catch_unwind)]
    pub fn publish(&self, document: String, client: Option<String>, message: String) -> Result<u32> {
        Ok(count(self.hub()?.publish(&document, client.as_deref(), &message)?))
    }

    /// See [`Hub::broadcast`].
    #[napi(catch_unwind)]
    pub fn broadcast(&self, path: String, message: String) -> Result<u32> {
        Ok(count(self.hub()?.broadcast(&path, &message)?))
    }

    /// See [`Hub::set_access`]; an access without that name is none.
    #[napi(catch_unwind)]
    pub fn set_access(&self, user: String, document: String, access: String) -> Result<u32> {
        Ok(count(self.hub()?.set_access(&user, &document, Access::named(&access))))
    }

    /// See [`Hub::set_connection_access`].
    #[napi(catch_unwind)]
    pub fn set_connection_access(&self, user: String, serial: i64, access: String) -> Result<bool> {
        Ok(self.hub()?.set_connection_access(&user, serial.unsigned_abs(), Access::named(&access)))
    }

    /// Closes one connection, whose access could not be decided.
    #[napi(catch_unwind)]
    pub fn disconnect_connection(
        &self,
        user: String,
        serial: i64,
        code: u16,
        reason: String,
    ) -> Result<bool> {
        Ok(self.hub()?.disconnect_connection(&user, serial.unsigned_abs(), &Close::new(code, reason)))
    }

    /// See [`Hub::disconnect_user`].
    #[napi(catch_unwind)]
    pub fn disconnect_user(&self, user: String, code: u16, reason: String) -> Result<u32> {
        Ok(count(self.hub()?.disconnect_user(&user, &Close::new(code, reason))))
    }

    /// See [`Hub::renew_session`].
    #[napi(catch_unwind)]
    pub fn renew_session(&self, user: Option<String>, session: Option<String>, left_ms: f64) -> Result<u32> {
        let sessions = match (user.as_deref(), session.as_deref()) {
            (Some(user), Some(session)) => Sessions::Session(user, session),
            (Some(user), None) => Sessions::User(user),
            (None, Some(session)) => Sessions::Any(session),
            (None, None) => return Ok(0),
        };
        Ok(count(self.hub()?.renew_session(sessions, milliseconds(left_ms))))
    }

    /// See [`Hub::connections_of`].
    #[napi(catch_unwind)]
    pub fn connections_of(&self, document: String) -> Result<Vec<NativeConnectionInfo>> {
        let connections = self.hub()?.connections_of(&document).into_iter();
        Ok(connections
            .map(|ConnectionInfo { user, serial, profile, client }| NativeConnectionInfo {
                user,
                serial: i64::try_from(serial).unwrap_or(i64::MAX),
                profile,
                client,
            })
            .collect())
    }

    /// Connections, documents and users.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> NativeStats {
        let hub = lock(&self.hub).clone();
        let of_hub = |measure: fn(&Hub) -> usize| hub.as_deref().map_or(0, |hub| count(measure(hub)));
        NativeStats {
            connections: of_hub(Hub::total_count),
            documents: of_hub(Hub::document_count),
            users: of_hub(Hub::user_count),
        }
    }

    /// See [`Hub::connection_count`].
    #[napi(catch_unwind)]
    pub fn connection_count(&self, name: String) -> u32 {
        lock(&self.hub).as_ref().map_or(0, |hub| count(hub.connection_count(&name)))
    }

    /// See [`Hub::endpoint_count`].
    #[napi(catch_unwind)]
    pub fn endpoint_count(&self, path: String) -> u32 {
        lock(&self.hub).as_ref().map_or(0, |hub| count(hub.endpoint_count(&path)))
    }

    /// See [`Hub::documents`].
    #[napi(catch_unwind)]
    pub fn documents(&self) -> Vec<String> {
        lock(&self.hub).as_ref().map(|hub| hub.documents()).unwrap_or_default()
    }

    /// See [`Hub::paths`].
    #[napi(catch_unwind)]
    pub fn paths(&self) -> Vec<String> {
        lock(&self.hub).as_ref().map(|hub| hub.paths()).unwrap_or_default()
    }

    /// See [`Hub::wait_for_state`], which a thread of its own waits for. Resolves with whether the state is this process's.
    #[napi(catch_unwind)]
    pub fn wait_for_state<'env>(&self, env: &'env Env, patience_ms: u32) -> napi::Result<Object<'env>> {
        let hub = lock(&self.hub).clone();
        aside(env, "hub-waiting", move || {
            hub.is_some_and(|hub| hub.wait_for_state(Duration::from_millis(patience_ms.into())))
        })
    }

    /// Ends the hub; see [`Hub::close_for`], which a thread of its own waits for. Resolves with what had to be cut off.
    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env, timeout_ms: u32, away_ms: u32) -> napi::Result<Object<'env>> {
        // What this turn has published leaves before anybody is closed.
        self.queue.flush();
        let hub = lock(&self.hub).clone();
        aside(env, "hub-close", move || {
            let time = |milliseconds: u32| Duration::from_millis(milliseconds.into());
            let terminated = hub.map_or(0, |hub| hub.close_for(time(timeout_ms), time(away_ms)));
            log::logger().flush();
            count(terminated)
        })
    }

    /// Drops the hub: after `close` has resolved, or to end it without a word.
    #[napi(catch_unwind)]
    pub fn discard(&self) {
        drop(lock(&self.hub).take());
    }
}

/// Does what blocks on a thread of its own; resolves with what came of it.
fn aside<'env, T: ToNapiValue + Send + 'static>(
    env: &'env Env,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> napi::Result<Object<'env>> {
    let (deferred, promise) = env.create_deferred()?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let done = work();
        deferred.resolve(move |_| Ok(done));
    });
    thread.map_err(|error| napi::Error::from_reason(error.to_string()))?;
    Ok(promise)
}

fn milliseconds_or(given: Option<u32>, default: Duration) -> Duration {
    given.map_or(default, |given| Duration::from_millis(given.into()))
}

pub(super) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Duplicates a descriptor, closed on exec.
#[cfg(unix)]
fn duplicate(descriptor: i32) -> Result<TcpStream> {
    use std::os::fd::BorrowedFd;

    if descriptor < 0 {
        return Err(invalid("a descriptor is not negative"));
    }
    #[expect(unsafe_code, reason = "Node hands over a socket as a number; nothing else says what it is")]
    // SAFETY: the caller, js/hub/upgrade.js, passes the descriptor of a socket that it holds open until this call has
    // returned, so it cannot be closed or reused meanwhile. Duplicating leaves it as it is.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(borrowed.try_clone_to_owned().map_err(Error::Socket)?.into())
}

/// There are no descriptors here: js/hub/upgrade.js always takes the loopback.
#[cfg(not(unix))]
fn duplicate(_: i32) -> Result<TcpStream> {
    Err(Error::Socket(std::io::ErrorKind::Unsupported.into()).into())
}
