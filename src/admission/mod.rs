//! What was decided about a socket before the hub got it: who it is, what it may do, or why it is turned away.
//!
//! The decisions are made by whoever read the request (`js/admission/gate.js`); the hub keeps to them.

pub(crate) mod addresses;
pub mod elsewhere;
pub(crate) mod expiry;
pub(crate) mod grant;
pub mod limits;
pub mod notice;
pub mod rate;
pub mod security;
pub mod upgrade;
mod user;
pub(crate) mod users;

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::websocket::close::Close;

/// What a connection may do with its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Write,
    /// Receive, sync and show awareness; its updates and steps are refused with `READ_ONLY`.
    Read,
}

impl Access {
    /// The name that JavaScript and the wire have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
        }
    }

    /// The access with this name; `None` for none.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Write, Self::Read].into_iter().find(|access| access.name() == name)
    }
}

/// Beside [`Upgrade::user`](upgrade::Upgrade::user), what was decided about a socket.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// The client's address; `None` takes the socket's, unless it came through a proxy.
    pub address: Option<IpAddr>,
    /// Whether it came through a trusted proxy: `address` is what that has named, which counts also where it is private.
    pub forwarded: bool,
    /// Names the session among those of the user; `None` where sessions have no names.
    pub session: Option<Arc<str>>,
    /// What is left of the session; `None` never ends it.
    pub expires_in: Option<Duration>,
    /// `None` where nobody decides about access: everything is allowed.
    pub access: Option<Access>,
    /// The document that `access` is about, empty for none; `None` where nobody decides about access.
    pub document: Option<Box<str>>,
    /// The user as JSON, for deciding about access anew.
    pub profile: Option<Arc<str>>,
    /// The subprotocol to answer with, empty for none; `None` takes the first that was offered.
    pub protocol: Option<Box<str>>,
    /// The handshake is completed and the connection closed so.
    pub refusal: Option<Close>,
}
