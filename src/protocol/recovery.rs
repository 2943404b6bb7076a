//! What a client is told that comes back, and what it needs for that.

use bytes::Bytes;

use crate::ids::Epoch;

/// Why a client has to reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The hub remembers nothing.
    Off,
    /// The document has another history: the process has restarted, or nobody was there for longer than the window.
    OtherEpoch,
    /// The token was not given for this document, client and user.
    BadToken,
    /// The client was away for longer than the window, or its place was given up for want of memory.
    TokenExpired,
    /// The offset is none, or one that has not been.
    BadOffset,
    /// More was missed than is remembered.
    HistoryGone,
    /// The client has a version of the document that there is not.
    UnknownVersion,
    /// The document has lost steps that did not fit into it.
    StepsSetAside,
}

impl Reload {
    /// What the client is told.
    pub fn code(self) -> &'static str {
        match self {
            Self::Off => "RECOVERY_OFF",
            Self::OtherEpoch => "OTHER_EPOCH",
            Self::BadToken => "BAD_TOKEN",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::BadOffset => "BAD_OFFSET",
            Self::HistoryGone => "HISTORY_GONE",
            Self::UnknownVersion => "UNKNOWN_VERSION",
            Self::StepsSetAside => "STEPS_SET_ASIDE",
        }
    }
}

/// What becomes of a client that asked for what it missed.
#[derive(Debug)]
pub enum RecoveryResult {
    /// It gets all of it.
    Recovered {
        /// Up to where it had seen everything.
        from: u64,
        /// Up to where it has seen everything after this.
        to: u64,
        /// The number of its last message that was applied.
        up_to: u64,
        /// What it missed, in order, as frames.
        missed: Vec<Bytes>,
    },
    /// It gets none.
    Reload {
        /// Why.
        reason: Reload,
        /// The number of its last message that was applied, where its token was good.
        up_to: Option<u64>,
    },
}

impl RecoveryResult {
    /// [`Reload::code`], or that it need not.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Recovered { .. } => "RECOVERED",
            Self::Reload { reason, .. } => reason.code(),
        }
    }
}

/// Where a client stands that has joined, and how it can come back.
#[derive(Debug)]
pub struct Position {
    /// To be shown with the rest.
    pub token: String,
    /// The history's name.
    pub epoch: Epoch,
    /// The last publication before it joined.
    pub offset: u64,
}
