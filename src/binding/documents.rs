//! Documents with an authority: the answers of the app's hooks, and what route handlers call. `js/hub/documents.js` is the
//! other side.

use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;

use super::{
    hooks::{NativeContent, NativeHookCall, Waiting, integer},
    hub::{NativeHub, Result, invalid},
    settles,
};
use crate::{
    document::{
        hooks::{AppCopy, Content, HookError, Loaded, Resolution, SaveOutcome, Snapshot},
        store::Kind,
    },
    ids::Id,
    room::publication::{self, Answer, Publication, Refusal, Steps},
};

/// What became of steps that a route handler has submitted.
#[napi(object)]
#[derive(Debug)]
pub(super) struct NativeSubmitted {
    /// The code of the error; `None` where they stand.
    pub code: Option<String>,
    /// For `HUB_STALE`: the document's version.
    pub version: Option<i64>,
    /// For `HUB_STALE`: when they may be tried again.
    pub retry_in_ms: Option<u32>,
}

/// Steps, or an update, that a route handler submits.
#[napi(object)]
#[derive(Debug)]
pub struct NativeBatch {
    /// The client they are by.
    pub client: String,
    /// The version they were made for; `None` for an update.
    pub version: Option<i64>,
    /// A JSON array, or the update.
    pub steps: String,
    /// How many they are.
    pub count: u32,
    /// A JSON string that names the change they are part of.
    pub change_id: Option<String>,
}

/// A document, or why it could not be read.
#[napi(object)]
#[derive(Debug)]
pub(super) struct NativeRead {
    /// Why it could not be read.
    pub error: Option<String>,
    /// `None` for a relay.
    pub content: Option<NativeContent>,
}

#[napi]
impl NativeHub {
    /// The calls of hooks since the last time.
    #[napi(catch_unwind)]
    pub fn take_hook_calls(&self) -> Vec<NativeHookCall> {
        self.hooks.as_ref().map(|hooks| hooks.take_calls()).unwrap_or_default()
    }

    /// Answers `load`: `kind` is `relay`, `steps` or `updates`; `copy` is `nowhere` where the app keeps none, `none` where it
    /// has none yet, or `some`.
    #[napi(catch_unwind)]
    pub fn answer_load(
        &self,
        call: u32,
        kind: String,
        copy: Option<String>,
        doc: Option<String>,
        version: Option<i64>,
    ) -> Result<()> {
        let Some(Waiting::Load(tell)) = self.waiting(call) else { return Ok(()) };
        let kind = match kind.as_str() {
            "relay" => None,
            "steps" => Some(Kind::Steps),
            "updates" => Some(Kind::Updates),
            _ => return Err(invalid("no kind")),
        };
        let copy = match (copy.as_deref(), doc, version) {
            (Some("some"), Some(doc), Some(version)) => {
                AppCopy::Some(Snapshot { version: version.unsigned_abs(), doc: doc.into() })
            }
            (Some("none"), ..) => AppCopy::None,
            _ => AppCopy::Nowhere,
        };
        let loaded = kind.map_or(Loaded::Relay, |kind| Loaded::Kept(kind, copy));
        let _ = tell.send(Ok(loaded));
        Ok(())
    }

    /// Answers `save`: it is saved, with the document that was made, or its steps do not fit behind `good_version`.
    #[napi(catch_unwind)]
    pub fn answer_save(
        &self,
        call: u32,
        doc: Option<String>,
        good_version: Option<i64>,
        reason: Option<String>,
    ) {
        let Some(Waiting::Save(tell)) = self.waiting(call) else { return };
        let outcome = match (doc, good_version) {
            (Some(doc), Some(version)) => SaveOutcome::BadSteps {
                good: Snapshot { version: version.unsigned_abs(), doc: doc.into() },
                reason: reason.unwrap_or_default(),
            },
            (doc, _) => SaveOutcome::Saved(doc.map(String::into_boxed_str)),
        };
        let _ = tell.send(Ok(outcome));
    }

    /// Answers `conflict`: whether what the app has loaded goes on.
    #[napi(catch_unwind)]
    pub fn answer_conflict(&self, call: u32, loaded: bool) {
        let Some(Waiting::Conflict(tell)) = self.waiting(call) else { return };
        let _ = tell.send(Ok(if loaded { Resolution::Loaded } else { Resolution::Log }));
    }

    /// A hook has failed.
    #[napi(catch_unwind)]
    pub fn fail_hook(&self, call: u32, reason: String) {
        let error = HookError(reason);
        match self.waiting(call) {
            Some(Waiting::Load(tell)) => drop(tell.send(Err(error))),
            Some(Waiting::Save(tell)) => drop(tell.send(Err(error))),
            Some(Waiting::Conflict(tell)) => drop(tell.send(Err(error))),
            None => {}
        }
    }

    /// Puts steps into the order of a document, or an update among those it keeps. Resolves once they are stored, or refused.
    #[napi(catch_unwind)]
    pub fn submit_steps<'env>(
        &self,
        env: &'env Env,
        document: String,
        batch: NativeBatch,
    ) -> Result<Object<'env>> {
        let NativeBatch { client, version, steps, count, change_id } = batch;
        let (Some(document), Some(client)) = (Id::new(&document), Id::new(&client)) else {
            return Err(invalid("no id"));
        };
        let (told, promise) = settles::promise(env, |outcome: Option<std::result::Result<u64, Refusal>>| {
            NativeSubmitted::from(outcome.unwrap_or(Err(Refusal::Unavailable)))
        })?;
        let content = match version {
            Some(version) => {
                let version = version.unsigned_abs();
                let steps = steps.into();
                publication::Content::Steps(Steps { client, user: None, version, count, steps, change_id })
            }
            None => publication::Content::Update { client, user: None, update: steps },
        };
        let publication = Publication {
            author: None,
            to: None,
            content,
            number: None,
            after: None,
            answer: Some(Answer::new(move |outcome| told.settle(Some(outcome)))),
        };
        self.hub()?.submit_opening(document, publication)?;
        Ok(promise)
    }

    /// Reads a document, which is loaded for that where nobody has it open.
    #[napi(catch_unwind)]
    pub fn read_document<'env>(&self, env: &'env Env, document: String) -> Result<Object<'env>> {
        let document = Id::new(&document).ok_or_else(|| invalid("no id"))?;
        let (told, promise) = settles::promise(
            env,
            |read: Option<std::result::Result<Option<Content>, HookError>>| match read
                .unwrap_or_else(|| Err(HookError("the hub has ended".to_owned())))
            {
                Ok(content) => NativeRead { error: None, content: content.map(NativeContent::from) },
                Err(HookError(reason)) => NativeRead { error: Some(reason), content: None },
            },
        )?;
        self.hub()?.read(document, move |read| told.settle(Some(read)))?;
        Ok(promise)
    }

    fn waiting(&self, call: u32) -> Option<Waiting> {
        self.hooks.as_ref()?.take(call)
    }
}

impl From<std::result::Result<u64, Refusal>> for NativeSubmitted {
    fn from(outcome: std::result::Result<u64, Refusal>) -> Self {
        let (code, version, retry_in_ms) = match outcome {
            Ok(_) => (None, None, None),
            Err(Refusal::Stale { current, retry_in_ms }) => {
                (Some("HUB_STALE"), Some(integer(current)), retry_in_ms)
            }
            Err(Refusal::Ahead) => (Some("HUB_UNKNOWN_VERSION"), None, None),
            Err(Refusal::Full) => (Some("HUB_DOCUMENT_TOO_LARGE"), None, None),
            Err(Refusal::Duplicate | Refusal::Unavailable) => (Some("HUB_UNAVAILABLE"), None, None),
        };
        Self { code: code.map(str::to_owned), version, retry_in_ms }
    }
}
