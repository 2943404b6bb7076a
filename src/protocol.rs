//! The messages of the fabric endpoint.
//!
//! A message from a client is taken apart in one pass that keeps its payload as the text it came in: numbers beyond
//! 2^53, key order and nesting of any depth survive, and nothing is allocated for them.

use std::{borrow::Cow, fmt};

use bytes::BytesMut;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{batch::Keep, frame};

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
    /// For the other members of the document.
    Publish {
        /// What kind of message.
        topic: Topic,
        /// The value of the key that has the topic's name.
        payload: &'a str,
        /// The value of `version`; empty unless `topic` is [`Topic::Steps`].
        version: &'a str,
    },
}

/// Why a message from a client is not obeyed.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// Not JSON. Answered with an error.
    BadJson,
    /// JSON, but no object with the keys that its `type` needs. Answered with an error.
    BadShape,
    /// Ignored and logged.
    UnknownType(Cow<'a, str>),
    /// Ignored and logged.
    WrongDocument(Cow<'a, str>),
}

impl Fault<'_> {
    /// The `code` of the error the client is answered with; `None` for what is ignored.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::BadJson => Some("BAD_JSON"),
            Self::BadShape => Some("BAD_SHAPE"),
            Self::UnknownType(_) | Self::WrongDocument(_) => None,
        }
    }
}

/// Takes a message apart. `document` is the connection's own.
///
/// # Errors
///
/// See [`Fault`].
pub fn parse<'a>(text: &'a str, document: &Id) -> Result<ClientMessage<'a>, Fault<'a>> {
    let Fields { kind, document_id, update, awareness, selection, steps, version } =
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Fault::BadShape,
            _ => Fault::BadJson,
        })?;
    let kind = string(kind)?;
    let document_id = document_id.ok_or(Fault::BadShape)?;
    if document_id.get() != document.json() {
        let named = string(Some(document_id))?;
        if named != document.text() {
            return Err(Fault::WrongDocument(named));
        }
    }
    let publish = |topic, payload: Option<&'a RawValue>| {
        let payload = payload.ok_or(Fault::BadShape)?.get();
        Ok(ClientMessage::Publish { topic, payload, version: "" })
    };
    match kind.as_ref() {
        "sync" => Ok(ClientMessage::Sync),
        "update" => publish(Topic::Update, update),
        "awareness" => publish(Topic::Awareness, awareness),
        "selection" => publish(Topic::Selection, selection),
        "steps" => match (steps, version) {
            (Some(steps), Some(version)) => Ok(ClientMessage::Publish {
                topic: Topic::Steps,
                payload: steps.get(),
                version: version.get(),
            }),
            _ => Err(Fault::BadShape),
        },
        _ => Err(Fault::UnknownType(kind)),
    }
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

/// The keys of a client's message. Of a key that is there twice the last counts, as in `JSON.parse`.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a RawValue>,
    document_id: Option<&'a RawValue>,
    update: Option<&'a RawValue>,
    awareness: Option<&'a RawValue>,
    selection: Option<&'a RawValue>,
    steps: Option<&'a RawValue>,
    version: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(Key(key)) = map.next_key()? {
            let slot = match key.as_ref() {
                "type" => &mut fields.kind,
                "documentId" => &mut fields.document_id,
                "update" => &mut fields.update,
                "awareness" => &mut fields.awareness,
                "selection" => &mut fields.selection,
                "steps" => &mut fields.steps,
                "version" => &mut fields.version,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = Some(map.next_value()?);
        }
        Ok(fields)
    }
}

/// A key, borrowed where it has no escape.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
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

/// Appends the frame of the first message of a connection.
pub fn put_connected(out: &mut BytesMut, client: &Id, document: &Id) {
    let pieces =
        [r#"{"type":"connected","clientID":"#, client.json(), r#","documentId":"#, document.json(), "}"];
    frame::put_text(out, &pieces);
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
) {
    let (head, middle) = match topic {
        Topic::Update => (r#"{"type":"update","documentId":"#, r#","update":"#),
        Topic::Awareness => (r#"{"type":"awareness","documentId":"#, r#","awareness":"#),
        Topic::Selection => (r#"{"type":"selection","documentId":"#, r#","selection":"#),
        Topic::Steps => (r#"{"type":"steps","documentId":"#, r#","steps":"#),
    };
    let label = if version.is_empty() { "" } else { r#","version":"# };
    let pieces =
        [head, document.json(), middle, payload, label, version, r#","clientID":"#, client.json(), "}"];
    frame::put_text(out, &pieces);
}

#[cfg(test)]
mod tests;
