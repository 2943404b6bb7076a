//! The messages of documents that keep their updates.

use bytes::BytesMut;

use super::{
    MessageError,
    fields::{Fields, MoreFields},
    fields_of, flag, has_depth, number, payload_of, position, string, wrong_document,
};
use crate::{
    ids::{Id, Topic},
    websocket::frame,
};

/// A message from a client of such a document, its payload as the text it came in.
#[derive(Debug, PartialEq, Eq)]
pub enum UpdatesMessage<'a> {
    /// Asks for the document, or for the updates behind an offset.
    Sync(Option<u64>),
    /// An update, for the document.
    Update {
        /// The update.
        update: &'a str,
        /// The client's own number of it.
        id: Option<u64>,
        /// Whether the client wants to be told that it is stored.
        ack: bool,
    },
    /// What is true now, for the others.
    Shown {
        /// What kind of message.
        topic: Topic,
        /// What it says.
        payload: &'a str,
    },
    /// All updates up to an offset as one state, for which the client was asked.
    Snapshot {
        /// The offset.
        offset: u64,
        /// The state.
        state: &'a str,
    },
    /// As in a relay.
    Ack,
    /// As in a relay.
    Session,
}

/// Takes a message apart.
///
/// # Errors
///
/// See [`MessageError`].
pub fn parse_updates<'a>(
    text: &'a str,
    document: &Id,
    max_depth: usize,
) -> Result<UpdatesMessage<'a>, MessageError<'a>> {
    let fields: Fields<'_> = fields_of(text)?;
    // Only a few messages have them, and they cost a second pass.
    let more = || fields_of::<MoreFields<'_>>(text);
    let kind = string(fields.kind)?;
    if kind == "session" {
        return Ok(UpdatesMessage::Session);
    }
    wrong_document(fields.document_id.ok_or(MessageError::BadShape)?, document)?;
    let shown = |topic, payload| Ok(UpdatesMessage::Shown { topic, payload: payload_of(payload)? });
    let message = match kind.as_ref() {
        "sync" => UpdatesMessage::Sync(position(more()?.offset)?),
        "update" => UpdatesMessage::Update {
            update: payload_of(fields.update)?,
            id: number(fields.id)?,
            ack: flag(fields.ack)?,
        },
        "ack" => UpdatesMessage::Ack,
        "awareness" => shown(Topic::Awareness, fields.awareness)?,
        "selection" => shown(Topic::Selection, fields.selection)?,
        "snapshot" => {
            let MoreFields { offset, state, .. } = more()?;
            let offset = position(offset)?.ok_or(MessageError::BadShape)?;
            UpdatesMessage::Snapshot { offset, state: payload_of(state)? }
        }
        "steps" => return Err(MessageError::WrongKind),
        _ => return Err(MessageError::UnknownType(kind)),
    };
    has_depth(text, max_depth).then_some(message).ok_or(MessageError::TooDeep)
}

/// Appends the frame of the state behind which the updates follow.
pub fn put_state(out: &mut BytesMut, document: &Id, state: &str, offset: u64) {
    let offset = offset.to_string();
    let head = r#"{"type":"state","documentId":"#;
    frame::put_text(out, &[head, document.json(), r#","state":"#, state, r#","offset":"#, &offset, "}"]);
}

/// Tells that the app has saved so many updates; `offset` is that of the last of them, where it is known.
pub fn saved(count: u64, offset: Option<u64>) -> String {
    let offset = offset.map(|offset| format!(r#","offset":{offset}"#)).unwrap_or_default();
    format!(r#"{{"type":"saved","version":{count}{offset}}}"#)
}

/// Asks a writer for one state instead of all updates up to an offset.
pub fn snapshot_wanted(offset: u64) -> String {
    format!(r#"{{"type":"snapshot-wanted","offset":{offset}}}"#)
}
