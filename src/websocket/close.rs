//! Why the hub closes a connection.
//!
//! The number and the text are what the peer sees in the close frame (RFC 6455, section 7.4). Which of
//! them a client comes back after stands in docs/protocol.md; the shipped client decides it in `isFinal`.

use std::{borrow::Cow, time::Duration};

/// A close code and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The status code of RFC 6455, section 7.4.1, or the registry's.
    pub code: u16,
    /// At most 123 bytes of UTF-8; [`Close::new`] cuts what is longer.
    pub reason: Cow<'static, str>,
}

/// The peer broke RFC 6455: an unmasked frame, a reserved bit, fragments out of order.
pub const PROTOCOL_ERROR: u16 = 1002;
/// The request cannot be served: no handler for the path, parameters missing or not usable.
pub const UNSUPPORTED: u16 = 1003;
/// Never on the wire: what a close frame without a code counts as. Sending it sends no code.
pub(crate) const NO_STATUS: u16 = 1005;
/// Never on the wire: the connection ended without a close frame.
pub(crate) const ABNORMAL: u16 = 1006;
/// A text message is no UTF-8.
pub const INVALID_UTF8: u16 = 1007;
/// The client went on sending what the hub cannot obey.
pub const POLICY: u16 = 1008;
/// A message is longer than [`Config::max_message_bytes`](crate::Config::max_message_bytes).
pub const TOO_BIG: u16 = 1009;
/// The hub failed; its log says how.
pub const INTERNAL_ERROR: u16 = 1011;
/// The process is about to restart. Come back.
pub const SERVICE_RESTART: u16 = 1012;
/// The peer reads too slowly for what it is sent, sends too much, or a limit is reached. Come back.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// Another connection has shown this one's token and goes on in its place.
pub const REPLACED: u16 = 4409;

/// No session where one is required, or it has ended. Log in, then come back.
pub const UNAUTHORIZED: u16 = 4401;
/// No access to the document, or not any more.
pub const FORBIDDEN: u16 = 4403;

/// Whether a close frame may carry a code: those of RFC 6455 and its registry, of libraries and of applications.
pub fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Longest reason: 125 bytes of a control frame's payload less the code.
const MAX_REASON_BYTES: usize = 123;

impl Close {
    /// A close with `reason` cut to what a control frame holds.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > MAX_REASON_BYTES {
            let end = reason.floor_char_boundary(MAX_REASON_BYTES);
            reason.to_mut().truncate(end);
        }
        Self { code, reason }
    }

    /// The process is about to restart. `retry_in` is when this client had better come back, where anybody knows: each is
    /// told another time, so that they do not all come at once.
    pub fn restart(retry_in: Option<Duration>) -> Self {
        match retry_in {
            None => Self::new(SERVICE_RESTART, "Service restart"),
            Some(wait) => Self::new(SERVICE_RESTART, format!("Service restart; retry {}", wait.as_millis())),
        }
    }

    /// The connection's outbox passed its limit.
    pub fn slow() -> Self {
        Self::new(TRY_AGAIN_LATER, "Too slow: more waits for this connection than it may")
    }

    /// The client went on sending what the hub cannot obey.
    pub fn bad_messages() -> Self {
        Self::new(POLICY, "Too many messages that cannot be obeyed")
    }

    /// Another connection goes on in this one's place.
    pub fn replaced() -> Self {
        Self::new(REPLACED, "Replaced by a newer connection")
    }

    /// A limit is reached.
    pub fn limit(reason: &'static str) -> Self {
        Self::new(TRY_AGAIN_LATER, reason)
    }

    /// There is no session, or not any more.
    pub fn unauthorized() -> Self {
        Self::new(UNAUTHORIZED, "Unauthorized")
    }

    /// The user may not see the document, or not any more.
    pub fn forbidden() -> Self {
        Self::new(FORBIDDEN, "Forbidden")
    }

    /// The hub panicked while it served this connection.
    pub fn internal() -> Self {
        Self::new(INTERNAL_ERROR, "Internal error")
    }
}

#[cfg(test)]
mod tests {
    use super::Close;

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let close = Close::new(1003, "é".repeat(100));
        assert_eq!(close.reason.len(), 122);
        assert_eq!(close.reason, "é".repeat(61));
    }
}
