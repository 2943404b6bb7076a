//! What the hub itself tells a client of the fabric endpoint about what it may do. Old clients pass it over.

use std::time::Duration;

use bytes::Bytes;

use crate::{admission::Access, frame::text};

/// The session ends soon, and the connection with it unless it is renewed.
pub fn session_expiring(left: Duration) -> Bytes {
    text(&format!(r#"{{"type":"session-expiring","inMs":{}}}"#, left.as_millis()))
}

/// The answer to `session`: what is left of it, `null` where it does not end.
pub fn session(left: Option<Duration>) -> Bytes {
    let left = left.map_or_else(|| "null".to_owned(), |left| left.as_millis().to_string());
    text(&format!(r#"{{"type":"session","expiresInMs":{left}}}"#))
}

/// The client's access is another now.
pub fn access(access: Access) -> Bytes {
    text(&format!(r#"{{"type":"access","access":"{}"}}"#, access.name()))
}

/// The answer to an update or steps of a client that may only read.
pub fn read_only() -> Bytes {
    text(r#"{"type":"error","message":"You may only read this document","code":"READ_ONLY"}"#)
}

/// The client sends too much: nothing more is read from it for this long.
pub fn rate_limited(wait: Duration) -> Bytes {
    let wait = wait.as_millis().max(1);
    text(&format!(
        r#"{{"type":"error","message":"Too much at once","code":"RATE_LIMITED","retryInMs":{wait}}}"#
    ))
}
