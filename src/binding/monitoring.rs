//! What is told to who watches: metrics, health, lists. `js/hub/monitoring.js` is the other side.

use std::time::Duration;

use napi::{
    Env,
    bindgen_prelude::{Object, ToNapiValue},
};
use napi_derive::napi;

use super::{
    hub::{NativeHub, Result, invalid},
    numbers::{bytes, id},
    settles,
};
use crate::{
    Error, Hub,
    document::hooks::HookError,
    ids::Id,
    metrics::{self, Distribution, Family, histogram::TIMES},
    server::{
        lists::{Filter, List, Query, Sort},
        metrics::Outside,
    },
    websocket::close::Close,
};

/// How times are spread, as `js/admission/times.js` counts them.
#[napi(object)]
#[derive(Debug)]
pub struct NativeTimes {
    /// How many were at most each bound, and above the one before; the last is what was above all.
    pub buckets: Vec<f64>,
    /// Their sum, in seconds.
    pub sum: f64,
}

/// What JavaScript counts; see [`Outside`].
#[napi(object)]
#[derive(Debug)]
pub struct NativeCounts {
    /// HTTP statuses of refusals.
    pub statuses: Vec<u16>,
    /// How often each was given.
    pub refused: Vec<f64>,
    /// See [`Outside::waiting`].
    pub waiting: f64,
    /// See [`Outside::admission`].
    pub admission: Option<NativeTimes>,
    /// Of `onConnect`, `onMessage`, `onClose`, `onError` and listeners to messages; see [`Outside::calls`].
    pub calls: Vec<NativeTimes>,
    /// See [`Outside::failed_calls`].
    pub failed_calls: f64,
    /// See [`Outside::streams`].
    pub streams: f64,
    /// See [`Outside::ended_streams`].
    pub ended_streams: Vec<f64>,
    /// See [`Outside::is_ready`].
    pub is_ready: bool,
}

/// The callbacks of a handler, in the order of [`NativeCounts::calls`].
const CALLBACKS: [&str; 5] = ["onConnect", "onMessage", "onClose", "onError", "listeners"];

impl From<NativeTimes> for Distribution {
    fn from(times: NativeTimes) -> Self {
        let mut spread = Self { sum: times.sum, ..Self::of_times() };
        for ((_, count), given) in spread.buckets.iter_mut().zip(&times.buckets) {
            *count = whole(*given);
        }
        spread.above = times.buckets.get(TIMES.len()).map_or(0, |above| whole(*above));
        spread
    }
}

impl From<NativeCounts> for Outside {
    fn from(counts: NativeCounts) -> Self {
        let refused = counts.statuses.into_iter().zip(counts.refused);
        let ended = |index| counts.ended_streams.get(index).map_or(0, |count| whole(*count));
        Self {
            refused: refused.map(|(status, count)| (status, whole(count))).collect(),
            waiting: whole(counts.waiting),
            admission: counts.admission.map(Distribution::from),
            calls: CALLBACKS.into_iter().zip(counts.calls.into_iter().map(Distribution::from)).collect(),
            failed_calls: whole(counts.failed_calls),
            streams: whole(counts.streams),
            ended_streams: [ended(0), ended(1)],
            is_ready: counts.is_ready,
        }
    }
}

/// A count, which JavaScript has as a number.
fn whole(count: f64) -> u64 {
    bytes(count) as u64
}

/// What is listed; see [`Query`].
#[napi(object)]
#[derive(Debug)]
pub struct NativeQuery {
    /// See [`Query::limit`].
    pub limit: u32,
    /// See [`Query::sort`].
    pub sort: String,
    /// See [`Filter::user`].
    pub user: Option<String>,
    /// See [`Filter::document`].
    pub document: Option<String>,
    /// See [`Filter::address`].
    pub address: Option<String>,
    /// See [`Filter::path`].
    pub path: Option<String>,
    /// See [`Filter::kind`].
    pub kind: Option<String>,
    /// See [`Filter::slow`].
    pub slow: Option<bool>,
    /// See [`Filter::older_than`].
    pub older_than_ms: Option<f64>,
}

impl TryFrom<NativeQuery> for Query {
    type Error = napi::Error<&'static str>;

    fn try_from(query: NativeQuery) -> Result<Self> {
        let address =
            query.address.map(|text| text.parse().map_err(|_| invalid("filter.address is no address")));
        let sort = match query.sort.as_str() {
            "newest" => Sort::Newest,
            "oldest" => Sort::Oldest,
            "waiting" => Sort::Waiting,
            "idle" => Sort::Idle,
            "members" => Sort::Members,
            "history" => Sort::History,
            "unsaved" => Sort::Unsaved,
            "id" => Sort::Id,
            _ => return Err(invalid("no such order")),
        };
        let filter = Filter {
            user: query.user,
            document: query.document,
            address: address.transpose()?,
            path: query.path,
            kind: query.kind,
            slow: query.slow,
            older_than: query.older_than_ms.map(|older| Duration::from_millis(whole(older))),
        };
        Ok(Self { limit: query.limit as usize, sort, filter })
    }
}

#[napi]
impl NativeHub {
    /// All metrics as text for Prometheus.
    #[napi(catch_unwind)]
    pub fn metrics_text(&self, counts: NativeCounts) -> Result<String> {
        Ok(metrics::to_text(&self.families(counts)?))
    }

    /// All metrics as JSON; see [`metrics::to_json`].
    #[napi(catch_unwind)]
    pub fn metrics_json(&self, counts: NativeCounts) -> Result<String> {
        Ok(metrics::to_json(&self.families(counts)?))
    }

    fn families(&self, counts: NativeCounts) -> Result<Vec<Family>> {
        Ok(self.hub()?.metrics(&self.queue, &counts.into()))
    }

    /// See [`Hub::stuck`].
    #[napi(catch_unwind)]
    pub fn stuck(&self) -> Vec<String> {
        self.hub().map(|hub| hub.stuck()).unwrap_or_default()
    }

    /// See [`Hub::unready`].
    #[napi(catch_unwind)]
    pub fn unready(&self) -> Vec<String> {
        self.hub().map(|hub| hub.unready()).unwrap_or_default()
    }

    /// See [`Hub::list_connections`]. Resolves with nothing where the hub has ended
    /// meanwhile; so do those below.
    #[napi(catch_unwind)]
    pub fn list_connections<'env>(&self, env: &'env Env, query: NativeQuery) -> Result<Object<'env>> {
        let query = query.try_into()?;
        self.ask(env, |hub, tell: Tell<NativeList>| hub.list_connections(query, |list| tell(list.into())))
    }

    /// See [`Hub::list_documents`].
    #[napi(catch_unwind)]
    pub fn list_documents<'env>(&self, env: &'env Env, query: NativeQuery) -> Result<Object<'env>> {
        let query = query.try_into()?;
        self.ask(env, |hub, tell: Tell<NativeList>| hub.list_documents(query, |list| tell(list.into())))
    }

    /// See [`Hub::inspect_document`].
    #[napi(catch_unwind)]
    pub fn inspect_document<'env>(&self, env: &'env Env, document: String) -> Result<Object<'env>> {
        let document = Id::new(&document).ok_or_else(|| invalid("no id"))?;
        self.ask(env, |hub, tell: Tell<NativeList>| {
            let none = || NativeList { about: "null".to_owned(), name: String::new(), pieces: Vec::new() };
            hub.inspect_document(document, move |list| tell(list.map_or_else(none, NativeList::from)))
        })
    }

    /// See [`Hub::close_connection`]. Resolves with whether it was there.
    #[napi(catch_unwind)]
    pub fn close_listed<'env>(
        &self,
        env: &'env Env,
        connection: f64,
        code: u16,
        reason: String,
    ) -> Result<Object<'env>> {
        let close = Close::new(code, reason);
        self.ask(env, |hub, tell: Tell<bool>| hub.close_connection(id(connection), &close, tell))
    }

    /// See [`Hub::save_document`]. Resolves with `saved`, `nothing`, or why it was not saved.
    #[napi(catch_unwind)]
    pub fn save_document<'env>(&self, env: &'env Env, document: String) -> Result<Object<'env>> {
        let document = Id::new(&document).ok_or_else(|| invalid("no id"))?;
        self.ask(env, |hub, tell: Tell<NativeSaved>| {
            hub.save_document(&document, |outcome| tell(outcome.into()))
        })
    }

    /// Asks the hub, which answers later and on another thread; with nothing where it has ended meanwhile.
    fn ask<'env, T: ToNapiValue + Send + 'static>(
        &self,
        env: &'env Env,
        ask: impl FnOnce(&Hub, Tell<T>) -> std::result::Result<(), Error>,
    ) -> Result<Object<'env>> {
        let hub = self.hub()?;
        let (asked, promise) = settles::promise(env, |answer: Option<T>| answer)?;
        ask(&hub, Box::new(move |answer| asked.settle(Some(answer))))?;
        Ok(promise)
    }
}

/// Is given an answer of the hub.
type Tell<T> = Box<dyn FnOnce(T) + Send>;

/// See [`List`].
#[napi(object)]
#[derive(Debug)]
pub(super) struct NativeList {
    /// See [`List::about`]; `null` where there is nothing.
    pub about: String,
    /// See [`List::name`].
    pub name: String,
    /// See [`List::pieces`].
    pub pieces: Vec<String>,
}

impl From<List> for NativeList {
    fn from(List { about, name, pieces }: List) -> Self {
        Self { about, name: name.to_owned(), pieces }
    }
}

/// What became of a document that was to be saved.
#[napi(object)]
#[derive(Debug)]
pub(super) struct NativeSaved {
    /// Whether there was anything to save; `None` where it could not be.
    pub saved: Option<bool>,
    /// Why it could not be.
    pub error: Option<String>,
}

impl From<std::result::Result<bool, HookError>> for NativeSaved {
    fn from(outcome: std::result::Result<bool, HookError>) -> Self {
        match outcome {
            Ok(saved) => Self { saved: Some(saved), error: None },
            Err(HookError(reason)) => Self { saved: None, error: Some(reason) },
        }
    }
}
