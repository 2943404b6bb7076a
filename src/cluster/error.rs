//! Why a hub cannot work over its Redis.

use std::fmt;

/// Why a hub does not start over a Redis. Fix what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The URL is none.
    BadUrl {
        /// What is wrong with it; no part of it, which may hold a password.
        reason: String,
    },
    /// What it is told of the Redis does not go together: some of it would be without effect.
    BadOption {
        /// Which, and what to do.
        reason: String,
    },
    /// Nobody answers, or not in time, or the password is wrong.
    Unreachable {
        /// Which server.
        server: String,
        /// What was seen.
        reason: String,
    },
    /// The server is too old.
    TooOld {
        /// What it says it is.
        version: String,
        /// What is needed.
        oldest: &'static str,
    },
    /// It follows another server, and takes no writes.
    Replica,
    /// It is one of a cluster, and has only a part of the documents.
    Node,
    /// It may throw away what a hub relies on.
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// Its user may not do what a hub does.
    NotAllowed {
        /// The command, key or channel, and what the server said.
        what: String,
    },
    /// There is no secret that all processes share, so no process would know the tokens of another.
    NoTokenSecret,
    /// Nothing is to be remembered for clients that come back, without which there is no order to share.
    NoRecovery,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl { reason } => write!(f, "option redis is no URL of a Redis: {reason}"),
            Self::BadOption { reason } => write!(f, "option {reason}"),
            Self::Unreachable { server, reason } => write!(f, "{server} cannot be used: {reason}"),
            Self::TooOld { version, oldest } => {
                write!(f, "this Redis is version {version}; the hub needs {oldest} or newer")
            }
            Self::Replica => f.write_str("this Redis is a replica, which takes no writes; name its primary"),
            Self::Node => f.write_str(
                "this Redis is a node of a cluster: name it by redis+cluster://, or by the option redis.cluster",
            ),
            Self::Evicts { policy } => {
                write!(
                    f,
                    "this Redis has maxmemory-policy {policy}; the hub needs noeviction, or it loses documents"
                )
            }
            Self::NotAllowed { what } => write!(f, "the user of this Redis lacks rights: {what}"),
            Self::NoTokenSecret => {
                f.write_str("option redis needs tokenSecret (or HUB_TOKEN_SECRET), the same in all processes")
            }
            Self::NoRecovery => {
                f.write_str("option redis needs recoveryWindowMs: 0 (off) has no order to share")
            }
        }
    }
}

impl std::error::Error for StartError {}
