//! The messages of documents with an authority: one order of steps, by version.

use std::{borrow::Cow, fmt};

use bytes::BytesMut;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    MessageError, Tail,
    fields::{Fields, Key, MoreFields},
    fields_of, flag, has_depth, number, payload_of, position, string, wrong_document,
};
use crate::{
    ids::{Id, Topic},
    json::quoted,
    protocol::recovery::Reload,
    websocket::frame,
};

/// A message from a client of such a document, its payload as the text it came in.
#[derive(Debug, PartialEq, Eq)]
pub enum StepsMessage<'a> {
    /// Asks for the document, or for the steps after a version of it.
    Sync(Option<u64>),
    /// Asks for the steps after a version.
    PullUpdates(u64),
    /// Steps to be put into the order.
    Steps {
        /// The version they were made for.
        version: u64,
        /// The array.
        steps: &'a str,
        /// The client's own number of them.
        id: Option<u64>,
        /// Whether the client wants to be told that they were applied.
        ack: bool,
        /// Who the client says they are by.
        client: Option<Cow<'a, str>>,
    },
    /// What is true now, for the others.
    Shown {
        /// What kind of message.
        topic: Topic,
        /// What it says, as [`put_publication`](super::put_publication) takes it.
        payload: Cow<'a, str>,
    },
    /// The document at a version, for which the client was asked.
    Snapshot {
        /// The version.
        version: u64,
        /// The document.
        doc: &'a str,
    },
    /// As in a relay.
    Ack,
    /// As in a relay.
    Session,
}

/// Takes a message apart, whose `documentId` may be missing.
///
/// # Errors
///
/// See [`MessageError`].
pub fn parse_steps<'a>(
    text: &'a str,
    document: &Id,
    max_depth: usize,
) -> Result<StepsMessage<'a>, MessageError<'a>> {
    let fields: Fields<'_> = fields_of(text)?;
    // Only a few messages have them, and they cost a second pass.
    let more = || fields_of::<MoreFields<'_>>(text);
    let kind = string(fields.kind)?;
    if kind == "session" {
        return Ok(StepsMessage::Session);
    }
    if let Some(named) = fields.document_id {
        wrong_document(named, document)?;
    }
    let shown = |topic, payload: Option<&'a RawValue>| {
        Ok(StepsMessage::Shown { topic, payload: Cow::Borrowed(payload_of(payload)?) })
    };
    let version = || position(fields.version);
    let needed_version = || version()?.ok_or(MessageError::BadShape);
    let message = match kind.as_ref() {
        "sync" => StepsMessage::Sync(version()?),
        "pullUpdates" => StepsMessage::PullUpdates(needed_version()?),
        "steps" => StepsMessage::Steps {
            version: needed_version()?,
            steps: payload_of(fields.steps)?,
            id: number(fields.id)?,
            ack: flag(fields.ack)?,
            client: more()?.client_id.map(|client| string(Some(client))).transpose()?,
        },
        "ack" => StepsMessage::Ack,
        "awareness" => shown(Topic::Awareness, fields.awareness)?,
        "selection" => shown(Topic::Selection, fields.selection)?,
        "presence" => {
            let Members(members) = fields_of(text)?;
            StepsMessage::Shown { topic: Topic::Presence, payload: Cow::Owned(members) }
        }
        "snapshot" => StepsMessage::Snapshot { version: needed_version()?, doc: payload_of(more()?.doc)? },
        "update" => return Err(MessageError::WrongKind),
        _ => return Err(MessageError::UnknownType(kind)),
    };
    has_depth(text, max_depth).then_some(message).ok_or(MessageError::TooDeep)
}

/// The members of an object but those that the hub sets itself, each behind a comma.
struct Members(String);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = String::new();
                while let Some(Key(key)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    if !matches!(key.as_ref(), "type" | "documentId" | "clientID") {
                        members.extend([",", &quoted(&key), ":", value.get()]);
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Steps as they are sent.
#[derive(Debug, Clone, Copy)]
pub struct SentSteps<'a> {
    /// The version they were made for.
    pub version: u64,
    /// The array of them.
    pub steps: &'a str,
    /// Who each is by.
    pub clients: ClientsOf<'a>,
    /// A JSON string that names the change they are part of.
    pub change_id: Option<&'a str>,
    /// Their place in the history; `None` where they answer somebody who asked.
    pub offset: Option<u64>,
}

/// Who steps are by.
#[derive(Debug, Clone, Copy)]
pub enum ClientsOf<'a> {
    /// So many, all of one client.
    One(&'a Id, u32),
    /// An array of JSON strings, one a step.
    Each(&'a str),
}

/// Appends the frame of steps.
pub fn put_steps(out: &mut BytesMut, document: &Id, steps: &SentSteps<'_>) {
    let SentSteps { version, steps, clients, change_id, offset } = *steps;
    let version = version.to_string();
    let (list, author) = match clients {
        ClientsOf::One(client, count) => {
            let mut list = String::with_capacity((client.json().len() + 1) * count as usize + 2);
            for index in 0..count {
                list.push(if index == 0 { '[' } else { ',' });
                list.push_str(client.json());
            }
            list.push(']');
            (Cow::Owned(list), Some(client.json()))
        }
        ClientsOf::Each(list) => (Cow::Borrowed(list), None),
    };
    let tail = offset.map(Tail::of);
    let key = |name: &'static str, value: Option<&str>| if value.is_some() { name } else { "" };
    frame::put_text(
        out,
        &[
            r#"{"type":"steps","documentId":"#,
            document.json(),
            r#","version":"#,
            &version,
            r#","steps":"#,
            steps,
            r#","clientIDs":"#,
            &list,
            key(r#","clientID":"#, author),
            author.unwrap_or_default(),
            key(r#","changeId":"#, change_id),
            change_id.unwrap_or_default(),
            tail.as_ref().map_or("}", Tail::as_str),
        ],
    );
}

/// Appends the frame of the first answer to `sync`.
pub fn put_synced_at(out: &mut BytesMut, document: &Id, version: u64) {
    let version = version.to_string();
    let pieces = [r#"{"type":"synced","documentId":"#, document.json(), r#","version":"#, &version, "}"];
    frame::put_text(out, &pieces);
}

/// Appends the frame of the whole document at a version.
pub fn put_document(out: &mut BytesMut, document: &Id, doc: &str, version: u64) {
    let version = version.to_string();
    let head = r#"{"type":"sync","documentId":"#;
    frame::put_text(out, &[head, document.json(), r#","doc":"#, doc, r#","version":"#, &version, "}"]);
}

/// The answer to a client that has all there is.
pub fn up_to_date(version: u64) -> String {
    format!(r#"{{"type":"upToDate","version":{version}}}"#)
}

/// The answer to steps for another version than the document's.
pub fn version_mismatch(version: u64, retry_in_ms: Option<u32>) -> String {
    let retry = retry_in_ms.map(|retry| format!(r#","retryInMs":{retry}"#)).unwrap_or_default();
    format!(
        r#"{{"type":"error","message":"Version not current","error":"Version not current","code":"VERSION_MISMATCH","version":{version}{retry}}}"#
    )
}

/// Has a client begin anew that has another document than there is.
pub fn reload(reason: Reload) -> String {
    format!(r#"{{"type":"reload","reason":"{}"}}"#, reason.code())
}

/// The answer to who asks for steps that are gone.
pub fn history_gone() -> String {
    let text = "History no longer available";
    format!(r#"{{"type":"error","message":"{text}","error":"{text}","code":"HISTORY_GONE"}}"#)
}

/// Asks a writer for the whole document at a version.
pub fn snapshot_wanted(version: u64) -> String {
    format!(r#"{{"type":"snapshot-wanted","version":{version}}}"#)
}

/// Tells that the app has saved a version.
pub fn saved(version: u64) -> String {
    format!(r#"{{"type":"saved","version":{version}}}"#)
}

/// Tells that a client is gone.
pub fn user_left(client: &Id, user: Option<&str>) -> String {
    let user = user.map(|user| format!(r#","userId":{}"#, quoted(user))).unwrap_or_default();
    format!(r#"{{"type":"user_left","clientID":{}{user}}}"#, client.json())
}

/// Why a message is not taken that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The steps are said to be another client's.
    WrongClient,
    /// Nobody has asked for a snapshot.
    Unexpected,
    /// The document has no place for more steps until they were merged.
    DocumentTooLarge,
    /// The steps are none, or too many; with the code of why.
    BadSteps(&'static str),
}

/// The answer to a message that is not taken.
pub fn not_taken(why: NotTaken) -> String {
    let (code, text) = match why {
        NotTaken::WrongClient => (r#""code":"WRONG_CLIENT""#, "The steps are another client's"),
        NotTaken::Unexpected => (r#""code":"UNEXPECTED""#, "Nobody has asked for a snapshot"),
        NotTaken::DocumentTooLarge => {
            (r#""code":"DOCUMENT_TOO_LARGE""#, "The document takes no more steps now")
        }
        NotTaken::BadSteps(code) => {
            return format!(
                r#"{{"type":"error","message":"The steps are not taken","error":"The steps are not taken","code":"{code}"}}"#
            );
        }
    };
    format!(r#"{{"type":"error","message":"{text}","error":"{text}",{code}}}"#)
}
