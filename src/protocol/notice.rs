//! What the hub itself tells a client of the fabric endpoint about what it may do. Old clients pass it over.

use std::time::Duration;

use bytes::Bytes;

use crate::{admission::notice::Notice, websocket::frame::text};

/// The frame of what the hub says of its own accord.
pub fn notice(notice: Notice) -> Bytes {
    match notice {
        Notice::SessionExpiring(left) => {
            text(&format!(r#"{{"type":"session-expiring","inMs":{}}}"#, left.as_millis()))
        }
        Notice::Access(access) => text(&format!(r#"{{"type":"access","access":"{}"}}"#, access.name())),
        Notice::RateLimited(wait) => text(&format!(
            r#"{{"type":"error","message":"Too much at once","code":"RATE_LIMITED","retryInMs":{}}}"#,
            wait.as_millis().max(1)
        )),
    }
}

/// The answer to `session`: what is left of it, `null` where it does not end.
pub fn session(left: Option<Duration>) -> Bytes {
    let left = left.map_or_else(|| "null".to_owned(), |left| left.as_millis().to_string());
    text(&format!(r#"{{"type":"session","expiresInMs":{left}}}"#))
}

/// The answer to an update or steps of a client that may only read.
pub fn read_only() -> Bytes {
    text(r#"{"type":"error","message":"You may only read this document","code":"READ_ONLY"}"#)
}
