//! Who is in other processes, where several are one hub: for the limits that are all processes', and for who asks.

use std::{fmt, sync::Arc, time::SystemTime};

use crate::ids::Id;

/// What is known of the other processes: as they told it last, about a second ago.
pub trait Elsewhere: Send + Sync + fmt::Debug {
    /// Connections of a user in other processes.
    fn of_user(&self, user: &str) -> usize;

    /// Connections of a document in other processes.
    fn of_document(&self, document: &str) -> usize;
}

/// Who is in one process.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Census {
    /// Open connections of all endpoints.
    pub connections: usize,
    /// Documents with a connection, and how many each has.
    pub documents: Vec<(Id, usize)>,
    /// Users with a connection, and how many each has; empty where no limit needs it.
    pub users: Vec<(Arc<str>, usize)>,
}

/// What a process is, beside who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The name of its host.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// When its hub started, in milliseconds of Unix time.
    pub since: u64,
    /// The version of its hub.
    pub version: String,
}

impl About {
    /// This process, whose hub starts now.
    pub fn this() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
            since: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// One of several processes that are one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Names it, as long as it lives.
    pub id: u64,
    /// What it is.
    pub about: About,
    /// Open connections of all endpoints.
    pub connections: usize,
    /// Documents with a connection.
    pub documents: usize,
}
