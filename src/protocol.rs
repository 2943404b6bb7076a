//! The messages of the fabric endpoint.
//!
//! A message from a client is taken apart in one pass that keeps its payload as the text it came in: numbers beyond
//! 2^53, key order and nesting of any depth survive, and nothing is allocated for them.

mod encode;
mod fields;

use std::{borrow::Cow, fmt};

use serde_json::value::RawValue;

pub use self::encode::{
    has_offset, put_ack, put_connected, put_error, put_message, put_outcome, put_publication, put_synced,
};
use self::fields::Fields;
use crate::batch::Keep;

/// What clients exchange, as opposed to what they ask of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A Y.js update.
    Update,
    /// Cursors, names and colours.
    Awareness,
    /// A ProseMirror selection.
    Selection,
    /// ProseMirror steps.
    Steps,
}

impl Topic {
    /// Awareness and selection say what is true now: of a member that reads slowly only the newest is worth keeping.
    pub fn keep(self) -> Keep {
        match self {
            Self::Update | Self::Steps => Keep::Every,
            Self::Awareness | Self::Selection => Keep::Newest(self),
        }
    }
}

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
pub enum Fault<'a> {
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
}

impl Fault<'_> {
    /// The `code` of the error the client is answered with.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadJson => "BAD_JSON",
            Self::BadShape => "BAD_SHAPE",
            Self::TooDeep => "TOO_DEEP",
            Self::UnknownType(_) => "UNKNOWN_TYPE",
            Self::WrongDocument(_) => "WRONG_DOCUMENT",
        }
    }
}

/// Takes a message apart. `document` is the connection's own; a message may be nested `max_depth` levels deep.
///
/// # Errors
///
/// See [`Fault`].
pub fn parse<'a>(text: &'a str, document: &Id, max_depth: usize) -> Result<ClientMessage<'a>, Fault<'a>> {
    let Fields { kind, document_id, update, awareness, selection, steps, version, id, ack } =
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Fault::BadShape,
            _ => Fault::BadJson,
        })?;
    let kind = string(kind)?;
    if kind == "session" {
        return Ok(ClientMessage::Session);
    }
    let document_id = document_id.ok_or(Fault::BadShape)?;
    if document_id.get() != document.json() {
        let named = string(Some(document_id))?;
        if named != document.text() {
            return Err(Fault::WrongDocument(named));
        }
    }
    let message = |topic, payload: Option<&'a RawValue>, version, id, ack| {
        let payload = payload.ok_or(Fault::BadShape)?.get();
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
            history(Topic::Steps, steps, version.ok_or(Fault::BadShape)?)
        }
        _ => return Err(Fault::UnknownType(kind)),
    }?;
    if is_deeper(text, max_depth) { Err(Fault::TooDeep) } else { Ok(message) }
}

/// Whether a JSON value is a number.
fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The client's own number of a message: 1 to 2^53 - 1.
fn number(value: Option<&RawValue>) -> Result<Option<u64>, Fault<'static>> {
    let Some(value) = value else { return Ok(None) };
    // Of all JSON only digits are read as a u64.
    let number = value.get().parse().ok().filter(|number| (1..1 << 53).contains(number));
    number.map(Some).ok_or(Fault::BadShape)
}

fn flag(value: Option<&RawValue>) -> Result<bool, Fault<'static>> {
    match value.map(RawValue::get) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Fault::BadShape),
    }
}

/// Whether valid JSON is nested deeper than `limit`. Looked at closely only where there are enough brackets for it.
fn is_deeper(json: &str, limit: usize) -> bool {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    if json.len() < 2 * limit || json.bytes().filter(opens).count() <= limit {
        return false;
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
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn string(value: Option<&RawValue>) -> Result<Cow<'_, str>, Fault<'_>> {
    let raw = value.ok_or(Fault::BadShape)?.get();
    // Nearly every string in use has no escape, and then its text is what stands between the quotes.
    if let Some(inner) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).map(Cow::Owned).map_err(|_| Fault::BadShape)
}

/// Longest id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The id of a document or a client, with its JSON so that it is escaped once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id {
    /// The id between quotes, escaped.
    json: std::sync::Arc<str>,
    /// The id, where it differs from what stands between the quotes.
    text: Option<std::sync::Arc<str>>,
}

impl Id {
    /// `None` for an empty id, one over [`MAX_ID_BYTES`], or one with a control character.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_ID_BYTES || text.chars().any(char::is_control) {
            return None;
        }
        let json = quoted(text);
        let same = json.len() == text.len() + 2;
        Some(Self { json: json.into(), text: (!same).then(|| text.into()) })
    }

    /// The id.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_else(|| &self.json[1..self.json.len() - 1])
    }

    /// The id as a JSON string, quotes included.
    pub fn json(&self) -> &str {
        &self.json
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}

/// `text` as a JSON string, quotes included.
pub fn quoted(text: &str) -> String {
    // A string always has a JSON form.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
