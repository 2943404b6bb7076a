//! What a batch of steps must look like to be let in, as far as that can be said without a schema.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepLimits {
    /// Most steps.
    pub steps: u32,
    /// Most bytes of their JSON.
    pub bytes: usize,
}

/// Why a batch of steps is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepsError {
    /// No JSON array, an empty one, or one with something in it that is no object with a string `stepType`.
    BadShape,
    /// More steps than a batch may have.
    TooManySteps {
        /// How many there are.
        count: u32,
    },
    /// More bytes than a batch may have.
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
}

impl StepsError {
    /// The `code` of the error the client is answered with.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadShape => "BAD_SHAPE",
            Self::TooManySteps { .. } => "TOO_MANY_STEPS",
            Self::TooLarge { .. } => "BATCH_TOO_LARGE",
        }
    }
}

/// Looks at the JSON of a batch, in one pass that copies nothing, and says how many steps it has.
///
/// # Errors
///
/// See [`StepsError`].
pub fn check(steps: &str, limits: StepLimits) -> Result<u32, StepsError> {
    if steps.len() > limits.bytes {
        return Err(StepsError::TooLarge { bytes: steps.len() });
    }
    // As bytes, as in protocol/mod.rs.
    let Count(count) = serde_json::from_slice(steps.as_bytes()).map_err(|_| StepsError::BadShape)?;
    match count {
        0 => Err(StepsError::BadShape),
        count if count > limits.steps => Err(StepsError::TooManySteps { count }),
        count => Ok(count),
    }
}

/// Whether a batch only takes something out of a document, as far as `ProseMirror`'s own steps go: what they put in is their
/// `slice`. Of steps of other types nobody can say.
pub fn only_remove(steps: &str) -> bool {
    let removes = |step: &Map<String, Value>| match step.get("stepType").and_then(Value::as_str) {
        Some("replace") => step.get("slice").is_none_or(Value::is_null),
        Some("removeMark" | "removeNodeMark") => true,
        _ => false,
    };
    serde_json::from_str::<Vec<_>>(steps).is_ok_and(|steps| steps.iter().all(removes))
}

/// The steps of a batch without the brackets around them, from the one with the index `from` on; empty where there is none.
/// `steps` must be JSON that [`check`] has let in. Read through only where `from` is not 0.
pub fn elements(steps: &str, from: u32) -> &str {
    let inner = steps.trim_matches(JSON_SPACE);
    let inner = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or_default();
    let mut rest = inner.trim_matches(JSON_SPACE);
    for _ in 0..from {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            return "";
        }
        rest = rest[values.byte_offset()..].trim_start_matches(JSON_SPACE);
        rest = rest.strip_prefix(',').unwrap_or_default().trim_start_matches(JSON_SPACE);
    }
    rest
}

/// What may stand around a JSON value.
const JSON_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// How many elements an array has that are all steps.
struct Count(u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of steps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Count, A::Error> {
        let mut count = 0_u32;
        while array.next_element::<Step>()?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(Count(count))
    }
}

/// An object with a string `stepType`.
struct Step;

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StepVisitor)
    }
}

struct StepVisitor;

impl<'de> Visitor<'de> for StepVisitor {
    type Value = Step;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a step")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Step, A::Error> {
        // Of a key that is there twice the last counts, as in `JSON.parse`.
        let mut has_type = false;
        while let Some(IsStepType(is_type)) = map.next_key()? {
            if is_type {
                has_type = map.next_value::<&RawValue>()?.get().starts_with('"');
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if has_type { Ok(Step) } else { Err(serde::de::Error::missing_field("stepType")) }
    }
}

/// Whether a key, without its escapes, is `stepType`.
struct IsStepType(bool);

impl<'de> Deserialize<'de> for IsStepType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = IsStepType;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<IsStepType, E> {
        Ok(IsStepType(key == "stepType"))
    }
}

#[cfg(test)]
mod tests;
