//! The messages of the fabric endpoint.
//!
//! A message from a client is taken apart in one pass that keeps its payload as the text it came in: numbers beyond
//! 2^53, key order and nesting of any depth survive, and nothing is allocated for them.

mod encode;
mod fields;
pub mod notice;
pub mod recovery;
pub mod steps;
pub mod updates;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::encode::{
    Kept, has_offset, put_ack, put_connected, put_error, put_message, put_outcome, put_publication,
    put_synced,
};
use self::{encode::Tail, fields::Fields};
use crate::ids::{Id, Topic};

/// A message from a client, its payload as the text it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Asks for [`put_synced`].
    Sync,
    /// Asks for [`put_ack`].
    Ack,
    /// Asks what is left of the session. The only one without a `documentId`.
    Session,
    /// For the other members of the document.
    Publish {
        /// What kind of message.
        topic: Topic,
        /// The value of the key that has the topic's name.
        payload: &'a str,
        /// The value of `version`; empty unless `topic` is [`Topic::Steps`].
        version: &'a str,
        /// The client's own number of an update or steps: one that was applied before is not applied again.
        id: Option<u64>,
        /// Whether the client wants to be told that it was applied.
        ack: bool,
    },
}

/// Why a message from a client is not obeyed.
#[derive(Debug, PartialEq, Eq)]
pub enum MessageError<'a> {
    /// Not JSON.
    BadJson,
    /// JSON, but no object with the keys and kinds of values that its `type` needs.
    BadShape,
    /// Nested deeper than it may be.
    TooDeep,
    /// Of no type that there is.
    UnknownType(Cow<'a, str>),
    /// For another document than the connection's own.
    WrongDocument(Cow<'a, str>),
    /// Of a type that documents of another kind have.
    WrongKind,
}

impl MessageError<'_> {
    /// The `code` of the error the client is answered with.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadJson => "BAD_JSON",
            Self::BadShape => "BAD_SHAPE",
            Self::TooDeep => "TOO_DEEP",
            Self::UnknownType(_) => "UNKNOWN_TYPE",
            Self::WrongDocument(_) => "WRONG_DOCUMENT",
            Self::WrongKind => "WRONG_KIND",
        }
    }
}

/// Takes a message apart. `document` is the connection's own; a message may be nested `max_depth` levels deep.
///
/// # Errors
///
/// See [`MessageError`].
pub fn parse<'a>(
    text: &'a str,
    document: &Id,
    max_depth: usize,
) -> Result<ClientMessage<'a>, MessageError<'a>> {
    let Fields { kind, document_id, update, awareness, selection, steps, version, id, ack } =
        serde_json::from_str(text).map_err(|error| fault_of(&error))?;
    let kind = string(kind)?;
    if kind == "session" {
        return Ok(ClientMessage::Session);
    }
    wrong_document(document_id.ok_or(MessageError::BadShape)?, document)?;
    let message = |topic, payload: Option<&'a RawValue>, version, id, ack| {
        let payload = payload_of(payload)?;
        Ok(ClientMessage::Publish { topic, payload, version, id, ack })
    };
    // What says only what is true now is not worth a number.
    let shown = |topic, payload| message(topic, payload, "", None, false);
    let history = |topic, payload, version| message(topic, payload, version, number(id)?, flag(ack)?);
    let message = match kind.as_ref() {
        "sync" => Ok(ClientMessage::Sync),
        "ack" => Ok(ClientMessage::Ack),
        "update" => history(Topic::Update, update, ""),
        "awareness" => shown(Topic::Awareness, awareness),
        "selection" => shown(Topic::Selection, selection),
        "steps" => {
            let version = version.map(RawValue::get).filter(|version| is_number(version));
            history(Topic::Steps, steps, version.ok_or(MessageError::BadShape)?)
        }
        _ => return Err(MessageError::UnknownType(kind)),
    }?;
    if has_depth(text, max_depth) { Ok(message) } else { Err(MessageError::TooDeep) }
}

/// The keys of a message for a document that is kept.
///
/// Read as bytes, and a relay's as text: so the compiler makes two readers, and each message of a relay still has all of its
/// own in place. With one reader for both it costs a tenth more.
fn fields_of<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, MessageError<'static>> {
    serde_json::from_slice(text.as_bytes()).map_err(|error| fault_of(&error))
}

#[cold]
fn fault_of(error: &serde_json::Error) -> MessageError<'static> {
    match error.classify() {
        serde_json::error::Category::Data => MessageError::BadShape,
        _ => MessageError::BadJson,
    }
}

/// Refuses what is for another document. Nearly always both are written alike.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call costs each message more than the comparison")]
fn wrong_document<'a>(named: &'a RawValue, document: &Id) -> Result<(), MessageError<'a>> {
    if named.get() == document.json() { Ok(()) } else { wrong_spelling(named, document) }
}

/// The same where they are not written alike: with escapes that need not be there.
#[cold]
fn wrong_spelling<'a>(named: &'a RawValue, document: &Id) -> Result<(), MessageError<'a>> {
    let named = string(Some(named))?;
    if named == document.text() { Ok(()) } else { Err(MessageError::WrongDocument(named)) }
}

#[inline]
fn payload_of(payload: Option<&RawValue>) -> Result<&str, MessageError<'_>> {
    Ok(payload.ok_or(MessageError::BadShape)?.get())
}

/// Whether a JSON value is a number.
fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// A version or an offset: 0 to 2^53 - 1.
fn position(value: Option<&RawValue>) -> Result<Option<u64>, MessageError<'static>> {
    let Some(value) = value else { return Ok(None) };
    // Of all JSON only digits are read as a u64.
    let position = value.get().parse().ok().filter(|position| *position < 1 << 53);
    position.map(Some).ok_or(MessageError::BadShape)
}

/// The client's own number of a message: 1 to 2^53 - 1.
fn number(value: Option<&RawValue>) -> Result<Option<u64>, MessageError<'static>> {
    let Some(value) = value else { return Ok(None) };
    // Of all JSON only digits are read as a u64.
    let number = value.get().parse().ok().filter(|number| (1..1 << 53).contains(number));
    number.map(Some).ok_or(MessageError::BadShape)
}

fn flag(value: Option<&RawValue>) -> Result<bool, MessageError<'static>> {
    match value.map(RawValue::get) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(MessageError::BadShape),
    }
}

/// Whether valid JSON is nested no deeper than `limit`. Looked at closely only where there are enough brackets for it.
fn has_depth(json: &str, limit: usize) -> bool {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    if json.len() < 2 * limit || json.bytes().filter(opens).count() <= limit {
        return true;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

fn string(value: Option<&RawValue>) -> Result<Cow<'_, str>, MessageError<'_>> {
    let raw = value.ok_or(MessageError::BadShape)?.get();
    // Nearly every string in use has no escape, and then its text is what stands between the quotes.
    if let Some(inner) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).map(Cow::Owned).map_err(|_| MessageError::BadShape)
}

#[cfg(test)]
mod tests;
