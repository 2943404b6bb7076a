//! Who is there, over all processes. `js/hub/cluster-counts.js` is the other side.

use napi_derive::napi;

use super::hub::{NativeHub, Result, count};
use crate::{admission::elsewhere::Process, server::counts::ClusterCounts};

/// See [`ClusterCounts`].
#[napi(object)]
#[derive(Debug)]
pub struct NativeClusterCounts {
    /// How many processes there are.
    pub processes: u32,
    /// See [`ClusterCounts::connections`].
    pub connections: u32,
    /// Ids of documents.
    pub documents: Vec<String>,
    /// How many connections each of these has.
    pub counts: Vec<u32>,
}

impl From<ClusterCounts> for NativeClusterCounts {
    fn from(ClusterCounts { processes, connections, documents }: ClusterCounts) -> Self {
        let (documents, counts) =
            documents.into_iter().map(|(id, connections)| (id.to_string(), count(connections))).unzip();
        Self { processes: count(processes.len()), connections: count(connections), documents, counts }
    }
}

/// See [`Process`].
#[napi(object)]
#[derive(Debug)]
pub struct NativeProcess {
    /// Names it, as long as it lives.
    pub id: String,
    /// The name of its host.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// When its hub started, in milliseconds of Unix time.
    pub since: f64,
    /// The version of its hub.
    pub version: String,
    /// See [`Process::connections`].
    pub connections: u32,
    /// See [`Process::documents`].
    pub documents: u32,
}

impl From<Process> for NativeProcess {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of Unix time have 41 bits")]
    fn from(Process { id, about, connections, documents }: Process) -> Self {
        Self {
            id: format!("{id:016x}"),
            host: about.host,
            pid: about.pid,
            since: about.since as f64,
            version: about.version,
            connections: count(connections),
            documents: count(documents),
        }
    }
}

#[napi]
impl NativeHub {
    /// See [`Hub::cluster_counts`](crate::Hub::cluster_counts).
    #[napi(catch_unwind)]
    pub fn cluster_counts(&self) -> Result<NativeClusterCounts> {
        Ok(self.hub()?.cluster_counts().into())
    }

    /// The processes, this one first.
    #[napi(catch_unwind)]
    pub fn processes(&self) -> Result<Vec<NativeProcess>> {
        Ok(self.hub()?.cluster_counts().processes.into_iter().map(NativeProcess::from).collect())
    }
}
