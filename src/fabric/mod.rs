//! The fabric endpoint: clients of one document exchange updates, awareness, selections and steps, or put steps into the
//! order of its authority.

mod member;
mod opening;
mod pace;
mod steps;
mod updates;

use std::{borrow::Cow, sync::Arc, time::Duration};

use self::{
    member::{Joining, MISSING},
    opening::OpeningHandler,
};
use crate::{
    Config,
    admission::{rate::Rate, upgrade::Upgrade},
    connection::{
        Connection, EncodeNotice,
        endpoint::{Endpoint, Handler},
    },
    document::documents::Documents,
    ids::Id,
    metrics::labels::EndpointKind,
    protocol::notice,
    recovery::{Identity, RecoveryRequest, Remembered},
    room::{Rooms, opening::OpenedBy},
    websocket::close::{self, Close},
};

/// The fabric endpoint's path.
pub const PATH: &str = "/ws/fabric";

/// Serves `/ws/fabric`.
#[derive(Debug)]
pub struct Fabric {
    rooms: Arc<Rooms>,
    /// `None` where all documents are relays.
    documents: Option<Documents>,
    max_depth: usize,
    open_timeout: Duration,
    /// What a connection may send.
    messages: Rate,
}

impl Fabric {
    pub(crate) fn new(rooms: Arc<Rooms>, documents: Option<Documents>, config: &Config) -> Self {
        Self {
            rooms,
            documents,
            max_depth: config.max_depth,
            open_timeout: config.open_timeout,
            messages: config.limits.messages,
        }
    }
}

impl Endpoint for Fabric {
    fn path(&self) -> &str {
        PATH
    }

    fn kind(&self) -> EndpointKind {
        EndpointKind::Fabric
    }

    fn notices(&self) -> Option<EncodeNotice> {
        Some(notice::notice)
    }

    fn document(&self, upgrade: &Upgrade) -> Option<String> {
        upgrade.parameter("documentId").map(Cow::into_owned)
    }

    fn replaced(&self, upgrade: &Upgrade) -> Option<Arc<Connection>> {
        let id = |name| upgrade.parameter(name).and_then(|value| Id::new(&value));
        let (document, client) = (id("documentId")?, id("clientID")?);
        let who = Identity { document: &document, client: &client, user: upgrade.user.as_deref() };
        self.rooms.replaced(who, &RecoveryRequest::of(upgrade)?)
    }

    fn comes_back(&self, upgrade: &Upgrade) -> bool {
        let id = |name| upgrade.parameter(name).and_then(|value| Id::new(&value));
        let shows = || {
            let (document, client) = (id("documentId")?, id("clientID")?);
            let who = Identity { document: &document, client: &client, user: upgrade.user.as_deref() };
            Some(self.rooms.comes_back(who, &RecoveryRequest::of(upgrade)?))
        };
        shows().unwrap_or(false)
    }

    fn open(&self, connection: &Arc<Connection>, upgrade: &Upgrade) -> Result<Box<dyn Handler>, Close> {
        let parameter = |name| upgrade.parameter(name).filter(|value| !value.is_empty());
        let unsupported = |reason| Close::new(close::UNSUPPORTED, reason);
        let document = parameter("documentId").ok_or_else(|| unsupported(MISSING))?;
        let document = Id::new(&document).ok_or_else(|| unsupported("Invalid documentId"))?;
        let client = match parameter("clientID") {
            Some(client) => Some(Id::new(&client).ok_or_else(|| unsupported("Invalid clientID"))?),
            // Whether the document gives one is known once it is open.
            None if self.documents.is_some() => None,
            None => return Err(unsupported(MISSING)),
        };

        let by = || OpenedBy { user: upgrade.user.clone(), query: upgrade.request.query().to_owned() };
        let room = self.rooms.open(document, by);
        let joining = Joining {
            connection: Arc::clone(connection),
            room,
            client,
            user: upgrade.user.clone(),
            request: RecoveryRequest::of(upgrade),
            address: upgrade.admission.address,
            max_depth: self.max_depth,
            messages: self.messages,
            documents: self.documents.clone(),
            remembered: Remembered::Here,
        };
        let asks = joining.request.as_ref().and_then(RecoveryRequest::client_session).is_some();
        if joining.room.is_live() && !(asks && self.rooms.recalls()) {
            return Ok(Box::new(joining.join(&self.rooms)?));
        }
        Ok(Box::new(OpeningHandler::new(joining, Arc::clone(&self.rooms), self.open_timeout)))
    }
}
