//! Who is there, over all processes that are one hub.

use std::{collections::HashMap, sync::Arc};

use super::hub::Hub;
use crate::admission::elsewhere::{About, Census, Process};

/// Who is there, over all processes that are one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterCounts {
    /// The processes, this one first.
    pub processes: Vec<Process>,
    /// Open connections of all endpoints.
    pub connections: usize,
    /// Documents with a connection, and how many each has.
    pub documents: HashMap<Arc<str>, usize>,
}

impl Hub {
    /// Who is there, over all processes: in this one now, in the others as they said about a second ago. A process that
    /// ends is left out at once, one that dies within 7 s. Where Redis is away they are unknown after that time, too.
    pub fn cluster_counts(&self) -> ClusterCounts {
        let Census { connections, documents, .. } = self.shared.census();
        let (id, about) = self.this();
        let this = Process { id, about, connections, documents: documents.len() };
        #[cfg(feature = "redis")]
        let (others, mut all) =
            self.cluster.as_ref().map(crate::cluster::Cluster::others).unwrap_or_default();
        #[cfg(not(feature = "redis"))]
        let (others, mut all) = (Vec::new(), HashMap::new());
        for (document, count) in documents {
            *all.entry(document.text().into()).or_default() += count;
        }
        let processes: Vec<_> = std::iter::once(this).chain(others).collect();
        let connections = processes.iter().map(|process| process.connections).sum();
        ClusterCounts { processes, connections, documents: all }
    }

    fn this(&self) -> (u64, About) {
        #[cfg(feature = "redis")]
        if let Some(cluster) = &self.cluster {
            let (id, about) = cluster.this();
            return (id, about.clone());
        }
        (self.shared.process, self.shared.about.clone())
    }
}
