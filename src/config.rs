//! What a hub can be told.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{admission::limits::Limits, error::Error};

/// Largest value of [`Config::max_message_bytes`]: a message is held whole before it is handed on.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Shortest [`Config::token_secret`]: as many bytes as the hash has.
pub const MIN_SECRET_BYTES: usize = 32;

/// Options of a [`Hub`](crate::Hub). [`Config::check`] refuses bad values with the option's name.
#[derive(Debug, Clone)]
pub struct Config {
    /// Threads that serve connections. All connections of one document live on one of them, so more threads help
    /// many documents and not one. Default: the processors less Node's own, 1 to 8.
    pub threads: usize,
    /// Longest message a client may send, in bytes. More closes it with 1009. Default 1 MiB, 1 KiB to 64 MiB.
    pub max_message_bytes: usize,
    /// Bytes that may wait for one connection. More closes it with 1013, because updates and steps are never dropped.
    /// A single message may be larger: it goes to a connection for which nothing waits. Default 4 MiB, at least 64 KiB.
    pub max_outbox_bytes: usize,
    /// Bytes that route handlers may have queued for one document, endpoint or room of a handler before its thread has sent
    /// them; more is refused with `HUB_OVERLOADED`. What a handler sends to one member of its rooms has the same bound;
    /// more closes the member with 1013. Default 64 MiB.
    pub max_pending_bytes: usize,
    /// Bytes of messages to an endpoint written in TypeScript that may wait for its handler, a connection. Above it the
    /// connection is not read until some were taken, so that its client waits. A single message may be larger.
    /// Default 1 MiB, at least 4 KiB.
    pub max_inbox_bytes: usize,
    /// Silence after which a client is pinged, and silence after the ping after which it is cut off. A client that still
    /// takes what waits for it is not silent, and is not pinged on top.
    /// `None` never pings: dead peers then count until the kernel gives up on them. Default 30 s.
    pub heartbeat: Option<Duration>,
    /// Longest time the closing handshake of one connection may take. Default 10 s.
    pub close_timeout: Duration,
    /// How long a connection waits for its document to be opened, where its log comes from elsewhere. More closes it with
    /// 1013. Default 10 s.
    pub open_timeout: Duration,
    /// Deepest nesting of a client's message. More is answered with `TOO_DEEP`. Default 20,000, at least 8.
    pub max_depth: usize,
    /// How long a client may be away and still be given what it missed; a document is remembered for this long after
    /// its last member left. `None` remembers nothing: messages then carry no offset. Default 2 min.
    pub recovery_window: Option<Duration>,
    /// Bounds of what is remembered.
    pub history: HistoryLimits,
    /// What tokens are signed with, at least 32 bytes. `None` makes a key for this process, or takes that of `state_dir`.
    /// Default `None`.
    pub token_secret: Option<Secret>,
    /// The folder through which a hub that ends by [`Hub::close`](crate::Hub::close) leaves what it remembers to the next one,
    /// so that clients are recovered there. Made where there is none. Where it cannot be used the log says so, and clients
    /// reload. `None` leaves nothing, as does `recovery_window` with `None`. Default `None`.
    pub state_dir: Option<PathBuf>,
    /// Longest time over which the end of a hub spreads the closing of its clients. Few are closed sooner: one a millisecond.
    /// Zero closes all at once. Default 2 s.
    pub drain: Duration,
    /// How much clients may do.
    pub limits: Limits,
    /// How long before its end a session's client is told so. Default 60 s.
    pub session_warning: Duration,
}

/// Bounds of what is remembered for clients that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Publications of one document. Default 10,000.
    pub messages: usize,
    /// Bytes of one document's publications. Default 8 MiB: a client that is closed as slow has missed as much as may wait
    /// for one connection, and that must be there when it comes back.
    pub bytes: usize,
    /// Bytes of all documents together. Default 64 MiB; 0 remembers none. Above it the largest histories give way.
    pub total_bytes: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { messages: 10_000, bytes: 8 << 20, total_bytes: 64 << 20 }
    }
}

/// Bytes that never get into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps `bytes`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Default for Config {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads: processors.saturating_sub(1).clamp(1, 8),
            max_message_bytes: 1 << 20,
            max_outbox_bytes: 4 << 20,
            max_pending_bytes: 64 << 20,
            max_inbox_bytes: 1 << 20,
            heartbeat: Some(Duration::from_secs(30)),
            close_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(10),
            max_depth: 20_000,
            recovery_window: Some(Duration::from_mins(2)),
            history: HistoryLimits::default(),
            token_secret: None,
            state_dir: None,
            drain: Duration::from_secs(2),
            limits: Limits::default(),
            session_warning: Duration::from_mins(1),
        }
    }
}

impl Config {
    /// Refuses values outside their range.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] with the option's JavaScript name and the reason.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |name, reason| Err(Error::InvalidOption { name, reason });
        if !(1..=64).contains(&self.threads) {
            return refuse("threads", "must be from 1 to 64");
        }
        if !(1 << 10..=MAX_MESSAGE_BYTES).contains(&self.max_message_bytes) {
            return refuse("maxMessageBytes", "must be from 1024 to 67108864 (64 MiB)");
        }
        if self.max_outbox_bytes < 64 << 10 {
            return refuse("maxOutboxBytes", "must be at least 65536");
        }
        if self.max_inbox_bytes < 4 << 10 {
            return refuse("maxInboxBytes", "must be at least 4096");
        }
        if self.heartbeat.is_some_and(|interval| interval < Duration::from_millis(10)) {
            return refuse("heartbeatIntervalMs", "must be 0 (off) or at least 10");
        }
        if self.max_depth < 8 {
            return refuse("maxDepth", "must be at least 8");
        }
        // The hub's clock wraps after 49 days, and a window must be far below that.
        let window = Duration::from_millis(50)..=Duration::from_hours(24);
        if self.recovery_window.is_some_and(|asked| !window.contains(&asked)) {
            return refuse("recoveryWindowMs", "must be 0 (off) or from 50 to 86400000 (a day)");
        }
        if self.token_secret.as_ref().is_some_and(|secret| secret.bytes().len() < MIN_SECRET_BYTES) {
            return refuse("tokenSecret", "must have at least 32 bytes");
        }
        Ok(())
    }
}
