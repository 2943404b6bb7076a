//! What names things: documents and clients, connections, client sessions, histories, and what is sent.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::Arc,
};

use crate::json::quoted;

/// Longest id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The id of a document or a client, with its JSON so that it is escaped once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id {
    /// The id between quotes, escaped.
    json: Arc<str>,
    /// The id, where it differs from what stands between the quotes.
    text: Option<Arc<str>>,
}

impl Id {
    /// `None` for an empty id, one over [`MAX_ID_BYTES`], or one with a control character.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_ID_BYTES || text.chars().any(char::is_control) {
            return None;
        }
        let json = quoted(text);
        let same = json.len() == text.len() + 2;
        Some(Self { json: json.into(), text: (!same).then(|| text.into()) })
    }

    /// The id.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_else(|| &self.json[1..self.json.len() - 1])
    }

    /// The id as a JSON string, quotes included.
    pub fn json(&self) -> &str {
        &self.json
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text().cmp(other.text())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}

/// Names a connection for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The connection with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Names a client session, also after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientSessionId(u64);

impl ClientSessionId {
    /// The client session with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// One that has not been before, for a connection that takes nobody's place. It is no secret, so the keys that hash maps
    /// get are random enough. Never 0.
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(0).max(1))
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Names one history of a document. Offsets of another epoch mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// One that has not been before. It is no secret, so the keys that hash maps get are random enough.
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits {
            return Err(());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

/// What clients exchange, as opposed to what they ask of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A Y.js update.
    Update,
    /// Cursors, names and colours.
    Awareness,
    /// A ProseMirror selection.
    Selection,
    /// ProseMirror steps.
    Steps,
    /// What a client of a document with an authority shows of itself.
    Presence,
}
