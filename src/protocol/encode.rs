//! The frames that the fabric endpoint sends.

use std::fmt::Write;

use bytes::BytesMut;

use super::recovery::{Position, RecoveryResult};
use crate::{
    ids::{Id, Topic},
    websocket::frame,
};

/// How the hub keeps a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Its steps in one order.
    Steps {
        /// How many there are.
        version: u64,
    },
    /// Its updates.
    Updates,
}

/// Appends the frame of the first message of a connection. `position` is there where it can come back.
///
/// `kept` says how the document is kept, if it is no relay.
pub fn put_connected(
    out: &mut BytesMut,
    client: &Id,
    document: &Id,
    position: Option<&Position>,
    kept: Option<Kept>,
) {
    let mut more = match kept {
        None => String::new(),
        Some(Kept::Updates) => r#","kind":"updates""#.to_owned(),
        Some(Kept::Steps { version }) => format!(r#","kind":"steps","version":{version}"#),
    };
    if let Some(Position { token, epoch, offset }) = position {
        // Of a string nothing fails.
        let _ = write!(more, r#","token":"{token}","epoch":"{epoch}","offset":{offset}"#);
    }
    let (client, document) = (client.json(), document.json());
    let head = r#"{"type":"connected","clientID":"#;
    frame::put_text(out, &[head, client, r#","documentId":"#, document, &more, "}"]);
}

/// Appends the frame that answers a client which has asked for what it missed; that follows behind it.
pub fn put_outcome(out: &mut BytesMut, outcome: &RecoveryResult) {
    match outcome {
        RecoveryResult::Recovered { from, to, up_to, missed: _ } => {
            frame::put_text(
                out,
                &[&format!(r#"{{"type":"recovered","from":{from},"to":{to},"upTo":{up_to}}}"#)],
            );
        }
        RecoveryResult::Reload { reason, up_to } => {
            let up_to = up_to.map(|up_to| format!(r#","upTo":{up_to}"#)).unwrap_or_default();
            frame::put_text(out, &[r#"{"type":"reload","reason":""#, reason.code(), "\"", &up_to, "}"]);
        }
    }
}

/// Appends the frame that says which of a client's numbered messages were applied, all up to `up_to`, and up to which
/// offset it has been sent everything.
pub fn put_ack(out: &mut BytesMut, up_to: u64, offset: Option<u64>) {
    let offset = offset.map(|offset| format!(r#","offset":{offset}"#)).unwrap_or_default();
    frame::put_text(out, &[&format!(r#"{{"type":"ack","upTo":{up_to}{offset}}}"#)]);
}

/// Appends the frame of the answer to `sync`.
pub fn put_synced(out: &mut BytesMut, document: &Id) {
    frame::put_text(out, &[r#"{"type":"synced","documentId":"#, document.json(), "}"]);
}

/// Appends the frame of the answer to a message that could not be read.
pub fn put_error(out: &mut BytesMut, code: &str) {
    frame::put_text(out, &[r#"{"type":"error","message":"Invalid message format","code":""#, code, r#""}"#]);
}

/// Appends the frame of a client's message to the others.
pub fn put_publication(
    out: &mut BytesMut,
    document: &Id,
    client: &Id,
    topic: Topic,
    payload: &str,
    version: &str,
    offset: Option<u64>,
) {
    let (head, middle) = match topic {
        Topic::Update => (r#"{"type":"update","documentId":"#, r#","update":"#),
        Topic::Awareness => (r#"{"type":"awareness","documentId":"#, r#","awareness":"#),
        Topic::Selection => (r#"{"type":"selection","documentId":"#, r#","selection":"#),
        Topic::Steps => (r#"{"type":"steps","documentId":"#, r#","steps":"#),
        // What it says is more than one key, each behind a comma.
        Topic::Presence => (r#"{"type":"presence","documentId":"#, ""),
    };
    let label = if version.is_empty() { "" } else { r#","version":"# };
    let (document, client) = (document.json(), client.json());
    let tail = offset.map(Tail::of);
    let tail = tail.as_ref().map_or("}", Tail::as_str);
    frame::put_text(out, &[head, document, middle, payload, label, version, r#","clientID":"#, client, tail]);
}

/// Whether a route handler's message is an object with a key, behind which an offset can stand. It is JSON as it came
/// from `JSON.stringify`; of what is not, nothing is promised.
pub fn has_offset(message: &str) -> bool {
    message.starts_with("{\"") && message.trim_end_matches(JSON_SPACE).ends_with('}')
}

/// What may stand around a JSON value.
const JSON_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Appends the frame of a route handler's message; with an offset, [`has_offset`] must hold.
pub fn put_message(out: &mut BytesMut, message: &str, offset: Option<u64>) {
    match (message.trim_end_matches(JSON_SPACE).strip_suffix('}'), offset.map(Tail::of)) {
        (Some(open), Some(tail)) => frame::put_text(out, &[open, tail.as_str()]),
        _ => frame::put_text(out, &[message]),
    }
}

/// The end of a message with its offset, without an allocation: `,"offset":12}`.
pub(super) struct Tail {
    /// It stands at the end.
    bytes: [u8; 32],
    start: usize,
}

impl Tail {
    const KEY: &[u8] = br#","offset":"#;

    pub(super) fn of(mut offset: u64) -> Self {
        let mut tail = Self { bytes: [b'}'; 32], start: 31 };
        loop {
            tail.start -= 1;
            // A digit fits.
            tail.bytes[tail.start] = b'0' + u8::try_from(offset % 10).unwrap_or_default();
            offset /= 10;
            if offset == 0 {
                break;
            }
        }
        let end = tail.start;
        tail.start -= Self::KEY.len();
        tail.bytes[tail.start..end].copy_from_slice(Self::KEY);
        tail
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).unwrap_or_default()
    }
}
