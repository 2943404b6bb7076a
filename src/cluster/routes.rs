//! Over which connections what goes, and how it stands with each.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    link::Link,
    place::Endpoint,
    slots::{Layout, slot_of},
    state::State,
};

/// A server that has documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// The only one; with Sentinel now this, now that.
    Only,
    /// One of a cluster.
    Of(Endpoint),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("Redis"),
            Self::Of(endpoint) => write!(f, "Redis node {endpoint}"),
        }
    }
}

/// Which servers there are, and the connections to those that are there.
#[derive(Debug)]
pub(super) struct Routes {
    /// `None`: one has everything.
    layout: Option<Arc<Layout>>,
    links: HashMap<Node, Arc<Link>>,
    /// Why there are none, of those that are away.
    away: HashMap<Node, String>,
    /// Why it is not known who has what.
    lost: Option<String>,
}

impl Routes {
    /// Nobody was reached yet.
    pub(super) fn new() -> Self {
        let lost = Some("it was not reached yet".to_owned());
        Self { layout: None, links: HashMap::new(), away: HashMap::new(), lost }
    }

    pub(super) fn layout(&self) -> Option<&Arc<Layout>> {
        self.layout.as_ref()
    }

    /// Who has a slot; `None` where nobody does.
    pub(super) fn node(&self, slot: u16) -> Option<Node> {
        match &self.layout {
            None => Some(Node::Only),
            Some(layout) => layout.owner(slot).cloned().map(Node::Of),
        }
    }

    /// The connections to who has a slot, where they do.
    pub(super) fn link(&self, slot: u16) -> Option<&Arc<Link>> {
        self.links.get(&self.node(slot)?).filter(|link| !link.loss.is_lost())
    }

    /// The connections that there are.
    pub(super) fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.links.values().filter(|link| !link.loss.is_lost())
    }

    /// The connections to who has a key.
    pub(super) fn link_of_key(&self, key: &str) -> Option<&Arc<Link>> {
        let slot = if self.layout.is_none() { 0 } else { slot_of(key) };
        self.link(slot)
    }

    /// A server has everything that this process has.
    pub(super) fn ready(&mut self, node: Node, link: Arc<Link>) {
        if node == Node::Only {
            self.lost = None;
        }
        self.away.remove(&node);
        self.links.insert(node, link);
    }

    /// A server is away.
    pub(super) fn away(&mut self, node: Node, reason: &str) {
        if node == Node::Only {
            self.lost = None;
        }
        self.links.remove(&node);
        self.away.insert(node, reason.to_owned());
    }

    /// Who has what now; those that have nothing any more are forgotten.
    pub(super) fn divide(&mut self, layout: Arc<Layout>) {
        let remains = |node: &Node| matches!(node, Node::Of(each) if layout.owners().contains(&each));
        self.links.retain(|node, link| {
            if !remains(node) {
                link.loss.declare("the node has nothing any more");
            }
            remains(node)
        });
        self.away.retain(|node, _| remains(node));
        self.lost = layout.missing().map(|slot| format!("no node has slot {slot}"));
        self.layout = Some(layout);
    }

    /// Whether everything can be published.
    pub(super) fn state(&self) -> State {
        if let Some(reason) = &self.lost {
            return State::Away(reason.clone());
        }
        let nodes = match &self.layout {
            None => vec![Node::Only],
            Some(layout) => layout.owners().into_iter().cloned().map(Node::Of).collect(),
        };
        let Some(missing) = nodes.iter().find(|node| !self.links.contains_key(node)) else {
            return State::Ready;
        };
        let reason = self.away.get(missing).map_or("it was not reached yet", String::as_str);
        State::Away(match missing {
            Node::Only => reason.to_owned(),
            node @ Node::Of(_) => format!("{node}: {reason}"),
        })
    }
}
