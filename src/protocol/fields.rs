//! The keys of a client's message, found in one pass.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The keys of a client's message. Of a key that is there twice the last counts, as in `JSON.parse`.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) kind: Option<&'a RawValue>,
    pub(super) document_id: Option<&'a RawValue>,
    pub(super) update: Option<&'a RawValue>,
    pub(super) awareness: Option<&'a RawValue>,
    pub(super) selection: Option<&'a RawValue>,
    pub(super) steps: Option<&'a RawValue>,
    pub(super) version: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) ack: Option<&'a RawValue>,
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

/// The keys that only documents that are kept have. They are found in a pass of their own, so that a relay's messages cost
/// nothing for them.
#[derive(Default)]
pub(super) struct MoreFields<'a> {
    pub(super) client_id: Option<&'a RawValue>,
    pub(super) doc: Option<&'a RawValue>,
    pub(super) offset: Option<&'a RawValue>,
    pub(super) state: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for MoreFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MoreFieldsVisitor)
    }
}

struct MoreFieldsVisitor;

impl<'de> Visitor<'de> for MoreFieldsVisitor {
    type Value = MoreFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = MoreFields::default();
        while let Some(Key(key)) = map.next_key()? {
            let slot = match key.as_ref() {
                "clientID" => &mut fields.client_id,
                "doc" => &mut fields.doc,
                "offset" => &mut fields.offset,
                "state" => &mut fields.state,
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
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

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
