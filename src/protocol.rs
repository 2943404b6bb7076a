//! The messages of the fabric endpoint.
//!
//! A message from a client is taken apart in one pass that keeps its payload as the text it came in: numbers beyond
//! 2^53, key order and nesting of any depth survive, and nothing is allocated for them.

use std::{borrow::Cow, fmt};

use bytes::BytesMut;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    batch::Keep,
    frame,
    recovery::{Outcome, Position},
};

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
    id: Option<&'a RawValue>,
    ack: Option<&'a RawValue>,
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
                "id" => &mut fields.id,
                "ack" => &mut fields.ack,
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

/// Appends the frame of the first message of a connection. `position` is there where it can come back.
pub fn put_connected(out: &mut BytesMut, client: &Id, document: &Id, position: Option<&Position>) {
    let more = position.map(|Position { token, epoch, offset }| {
        format!(r#","token":"{token}","epoch":"{epoch}","offset":{offset}"#)
    });
    let (client, document) = (client.json(), document.json());
    let head = [r#"{"type":"connected","clientID":"#, client, r#","documentId":"#, document];
    frame::put_text(out, &[head[0], head[1], head[2], head[3], more.as_deref().unwrap_or_default(), "}"]);
}

/// Appends the frame that answers a client which has asked for what it missed; that follows behind it.
pub fn put_outcome(out: &mut BytesMut, outcome: &Outcome) {
    match outcome {
        Outcome::Recovered { from, to, up_to, missed: _ } => {
            frame::put_text(
                out,
                &[&format!(r#"{{"type":"recovered","from":{from},"to":{to},"upTo":{up_to}}}"#)],
            );
        }
        Outcome::Reload { reason, up_to } => {
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
struct Tail {
    /// It stands at the end.
    bytes: [u8; 32],
    start: usize,
}

impl Tail {
    const KEY: &[u8] = br#","offset":"#;

    fn of(mut offset: u64) -> Self {
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

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
