//! The app's hooks of documents with an authority, as calls that JavaScript takes and answers.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use napi_derive::napi;
use tokio::sync::oneshot;

use super::{notifier::NodeNotifier, numbers::bytes};
use crate::{
    Error,
    document::{
        Options,
        hooks::{self, Conflict, Content, HookError, Hooks, Loaded, Resolution, Save, SaveOutcome},
        store::{
            Kind,
            nowhere::Nowhere,
            redb::{FileOptions, RedbStore},
            thread::StoreHandle,
        },
    },
    handlers::Notifier,
    ids::Id,
    room::opening::OpenedBy,
    sync::lock,
};

/// Bytes that may wait for the disk before steps are refused.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// Option `documents` as `js/hub/document-options.js` has checked it.
#[napi(object)]
#[derive(Debug)]
pub struct NativeDocuments {
    /// The file of the store; `None` for memory only.
    pub store: Option<String>,
    /// Bytes of its cache.
    pub store_cache_bytes: f64,
    /// Whether there is a hook that saves documents, or one that merges their steps.
    pub saves: bool,
    /// See [`Options::has_copy`].
    pub has_copy: bool,
    /// See [`Options::merges`].
    pub merges: bool,
    /// See [`Options::save_after`].
    pub save_after_ms: u32,
    /// See [`Options::save_within`].
    pub save_within_ms: u32,
    /// See [`Options::idle`].
    pub idle_ms: u32,
    /// Most steps of a batch.
    pub max_batch_steps: u32,
    /// See [`Options::document_bytes`].
    pub max_document_bytes: f64,
}

impl From<&NativeDocuments> for Options {
    fn from(options: &NativeDocuments) -> Self {
        let time = |value: u32| Duration::from_millis(value.into());
        let mut checked = Self {
            saves: options.saves,
            has_copy: options.has_copy,
            merges: options.merges,
            save_after: time(options.save_after_ms),
            save_within: time(options.save_within_ms),
            idle: time(options.idle_ms),
            ..Self::default()
        };
        checked.batch.steps = options.max_batch_steps;
        checked.document_bytes = bytes(options.max_document_bytes);
        checked
    }
}

/// Steps for a version.
#[napi(object)]
#[derive(Debug)]
pub struct NativeSteps {
    /// The version before the first.
    pub version: i64,
    /// A JSON array.
    pub steps: String,
}

/// A document as it is now.
#[napi(object)]
#[derive(Debug)]
pub struct NativeContent {
    /// The newest document that was made, as JSON.
    pub doc: String,
    /// Its version.
    pub doc_version: i64,
    /// What came after it.
    pub steps: Vec<NativeSteps>,
    /// The version after that.
    pub version: i64,
}

impl From<Content> for NativeContent {
    fn from(content: Content) -> Self {
        let steps = content.steps.into_iter();
        Self {
            doc: content.snapshot.doc.into(),
            doc_version: integer(content.snapshot.version),
            steps: steps
                .map(|of| NativeSteps { version: integer(of.version), steps: (*of.steps).to_owned() })
                .collect(),
            version: integer(content.version),
        }
    }
}

/// One call of a hook, to be answered under its number.
#[napi(object)]
#[derive(Debug)]
pub struct NativeHookCall {
    /// Its number.
    pub call: u32,
    /// `kind`, `load`, `save` or `conflict`.
    pub hook: String,
    /// The document's id.
    pub document: String,
    /// For `save`: its kind, `steps` or `updates`.
    pub kind: Option<String>,
    /// For `load`: who opens it.
    pub user: Option<String>,
    /// For `load`: the query of the request.
    pub query: Option<String>,
    /// What there is.
    pub content: Option<NativeContent>,
    /// For `save`: the version before.
    pub previous: Option<i64>,
    /// For `save`: why.
    pub reason: Option<String>,
    /// For `save`: who has edited it.
    pub editors: Option<Vec<String>>,
    /// For `conflict`: what the app has, as JSON.
    pub loaded_doc: Option<String>,
    /// For `conflict`: the version of that.
    pub loaded_version: Option<i64>,
    /// For `conflict`: the version that was saved.
    pub saved: Option<i64>,
}

impl NativeHookCall {
    fn of(hook: &str, document: &Id) -> Self {
        Self {
            call: 0,
            hook: hook.to_owned(),
            document: document.text().to_owned(),
            kind: None,
            user: None,
            query: None,
            content: None,
            previous: None,
            reason: None,
            editors: None,
            loaded_doc: None,
            loaded_version: None,
            saved: None,
        }
    }
}

/// Opens the store in its file, or none.
pub(super) fn start_store(options: &NativeDocuments) -> std::result::Result<StoreHandle, Error> {
    let (told, opened) = std::sync::mpsc::channel();
    let opened_to = move |outcome| drop(told.send(outcome));
    let handle = match &options.store {
        None => StoreHandle::start(MAX_WAITING_BYTES, || Ok(Nowhere), opened_to),
        Some(path) => {
            let file =
                FileOptions { cache_bytes: bytes(options.store_cache_bytes), ..FileOptions::new(path) };
            StoreHandle::start(MAX_WAITING_BYTES, move || RedbStore::open(file), opened_to)
        }
    };
    drop(opened);
    handle.map_err(Error::Start)
}

/// The name of a kind of documents.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Steps => "steps",
        Kind::Updates => "updates",
    }
}

/// A version as JavaScript has it.
pub(super) fn integer(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// The app's hooks, which Node's thread calls.
pub(super) struct NodeHooks {
    notifier: NodeNotifier,
    calls: Mutex<Vec<NativeHookCall>>,
    waiting: Mutex<HashMap<u32, Waiting>>,
    next: AtomicU32,
}

/// Who waits for the answer to a call.
pub(super) enum Waiting {
    Load(oneshot::Sender<std::result::Result<Loaded, HookError>>),
    Save(oneshot::Sender<std::result::Result<SaveOutcome, HookError>>),
    Conflict(oneshot::Sender<std::result::Result<Resolution, HookError>>),
}

impl fmt::Debug for NodeHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeHooks").finish_non_exhaustive()
    }
}

impl NodeHooks {
    pub(super) fn new(notifier: NodeNotifier) -> Self {
        Self { notifier, calls: Mutex::default(), waiting: Mutex::default(), next: AtomicU32::new(0) }
    }

    fn call<T: Send + 'static>(
        &self,
        call: NativeHookCall,
        waiting: impl FnOnce(oneshot::Sender<std::result::Result<T, HookError>>) -> Waiting,
    ) -> hooks::Answer<T> {
        let (tell, told) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.waiting).insert(number, waiting(tell));
        let is_first = {
            let mut calls = lock(&self.calls);
            calls.push(NativeHookCall { call: number, ..call });
            calls.len() == 1
        };
        if is_first {
            self.notifier.notify();
        }
        Box::pin(async move { told.await.unwrap_or_else(|_| Err(HookError("Node has ended".to_owned()))) })
    }

    /// The calls since the last time.
    pub(super) fn take_calls(&self) -> Vec<NativeHookCall> {
        std::mem::take(&mut *lock(&self.calls))
    }

    /// Who waits for the answer to a call.
    pub(super) fn take(&self, number: u32) -> Option<Waiting> {
        lock(&self.waiting).remove(&number)
    }
}

impl Hooks for NodeHooks {
    fn kind(&self, document: &Id) -> hooks::Answer<Loaded> {
        self.call(NativeHookCall::of("kind", document), Waiting::Load)
    }

    fn load(&self, document: &Id, by: OpenedBy) -> hooks::Answer<Loaded> {
        let user = by.user.as_deref().map(str::to_owned);
        let call = NativeHookCall { user, query: Some(by.query), ..NativeHookCall::of("load", document) };
        self.call(call, Waiting::Load)
    }

    fn save(&self, save: Save) -> hooks::Answer<SaveOutcome> {
        let call = NativeHookCall {
            kind: Some(kind_name(save.kind).to_owned()),
            content: Some(save.content.into()),
            previous: Some(integer(save.previous)),
            reason: Some(save.reason.name().to_owned()),
            editors: Some(save.editors),
            ..NativeHookCall::of("save", &save.document)
        };
        self.call(call, Waiting::Save)
    }

    fn resolve(&self, conflict: Conflict) -> hooks::Answer<Resolution> {
        let call = NativeHookCall {
            content: Some(conflict.content.into()),
            loaded_doc: conflict.loaded.as_ref().map(|loaded| loaded.doc.to_string()),
            loaded_version: conflict.loaded.as_ref().map(|loaded| integer(loaded.version)),
            saved: Some(integer(conflict.saved)),
            ..NativeHookCall::of("conflict", &conflict.document)
        };
        self.call(call, Waiting::Conflict)
    }
}
