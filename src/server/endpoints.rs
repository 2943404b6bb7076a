//! The endpoints that a hub serves, by their paths.

use std::sync::{Arc, Mutex};

use crate::{
    connection::endpoint::{Endpoint, EndpointEntry},
    ids::ConnectionId,
    metrics::labels::EndpointKind,
    sync::lock,
};

/// The endpoints that a hub serves, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(Mutex<Vec<Arc<EndpointEntry>>>);

impl Endpoints {
    pub(crate) fn add(&self, endpoint: Arc<dyn Endpoint>) {
        let mut entries = lock(&self.0);
        let number = entries.len();
        entries.push(Arc::new(EndpointEntry::new(number, endpoint)));
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        lock(&self.0).iter().map(|entry| entry.endpoint.path().to_owned()).collect()
    }

    /// The endpoint that was added with this path.
    pub(crate) fn at(&self, path: &str) -> Option<Arc<EndpointEntry>> {
        lock(&self.0).iter().find(|entry| entry.endpoint.path() == path).cloned()
    }

    /// The endpoint with this path, or the one whose path ends so.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<EndpointEntry>> {
        let is_named = |entry: &&Arc<EndpointEntry>| {
            let path = entry.endpoint.path();
            path == name || path.trim_end_matches("/*").rsplit('/').next() == Some(name)
        };
        lock(&self.0).iter().find(is_named).cloned()
    }

    /// The endpoint that serves a path: the one of just this path, or else the one of the longest beginning, `/ws/yjs/*`.
    pub(crate) fn serving(&self, path: &str) -> Option<Arc<EndpointEntry>> {
        let entries = lock(&self.0);
        let exact = entries.iter().find(|entry| entry.endpoint.path() == path);
        let beginning = |entry: &&Arc<EndpointEntry>| {
            entry.endpoint.path().strip_suffix('*').filter(|own| path.starts_with(own)).map(str::len)
        };
        exact
            .or_else(|| entries.iter().filter(|entry| beginning(entry).is_some()).max_by_key(beginning))
            .cloned()
    }

    /// A connection that was announced for a path will not open.
    pub(crate) fn refused(&self, id: ConnectionId, path: &str) {
        if let Some(entry) = self.serving(path) {
            entry.endpoint.refused(id);
        }
    }

    /// Open connections of those of a kind.
    pub(crate) fn count_of(&self, kind: EndpointKind) -> usize {
        let entries = lock(&self.0);
        entries.iter().filter(|entry| entry.endpoint.kind() == kind).map(|entry| entry.count()).sum()
    }

    /// Open connections of all of them.
    pub(crate) fn connection_count(&self) -> usize {
        lock(&self.0).iter().map(|entry| entry.count()).sum()
    }
}
