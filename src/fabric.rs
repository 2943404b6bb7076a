//! The fabric endpoint: clients of one document exchange updates, awareness, selections and steps.

use std::{borrow::Cow, sync::Arc};

use bytes::BytesMut;

use crate::{
    batch::Keep,
    close::{self, Close},
    connection::Connection,
    endpoint::{Endpoint, Session},
    handshake::Upgrade,
    hub::Rooms,
    protocol::{self, ClientMessage, Fault, Id},
    room::Membership,
};

/// The fabric endpoint's path.
pub const PATH: &str = "/ws/fabric";

/// Serves `/ws/fabric`.
#[derive(Debug)]
pub struct Fabric {
    rooms: Arc<Rooms>,
}

impl Fabric {
    pub(crate) fn new(rooms: Arc<Rooms>) -> Self {
        Self { rooms }
    }
}

impl Endpoint for Fabric {
    fn path(&self) -> &str {
        PATH
    }

    fn affinity(&self, upgrade: &Upgrade) -> Option<String> {
        upgrade.parameter("documentId").map(Cow::into_owned)
    }

    fn open(&self, connection: &Arc<Connection>, upgrade: &Upgrade) -> Result<Box<dyn Session>, Close> {
        let parameter = |name| upgrade.parameter(name).filter(|value| !value.is_empty());
        let (Some(document), Some(client)) = (parameter("documentId"), parameter("clientID")) else {
            return Err(Close::new(close::UNSUPPORTED, "Missing documentId or clientID"));
        };
        let document =
            Id::new(&document).ok_or_else(|| Close::new(close::UNSUPPORTED, "Invalid documentId"))?;
        let client = Id::new(&client).ok_or_else(|| Close::new(close::UNSUPPORTED, "Invalid clientID"))?;

        let membership = self.rooms.join(Arc::clone(connection), document, client.clone());
        let mut connected = BytesMut::new();
        protocol::put_connected(&mut connected, &client, membership.room().document());
        connection.send(connected.freeze(), None, Keep::Every);
        Ok(Box::new(FabricSession { membership, client, replies: BytesMut::new() }))
    }
}

struct FabricSession {
    membership: Membership,
    client: Id,
    /// Answers to the messages that were read together.
    replies: BytesMut,
}

impl Session for FabricSession {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], _text: bool) {
        let room = self.membership.room();
        let document = room.document();
        // A text message is UTF-8; a binary one that is none is no JSON either.
        let parsed = std::str::from_utf8(payload)
            .map_err(|_| Fault::BadJson)
            .and_then(|text| protocol::parse(text, document));
        match parsed {
            Ok(ClientMessage::Sync) => protocol::put_synced(&mut self.replies, document),
            Ok(ClientMessage::Publish { topic, payload, version }) => {
                room.publish_from(connection.id(), topic.keep(), |out| {
                    protocol::put_publication(out, document, &self.client, topic, payload, version);
                });
            }
            Err(fault) => {
                if let Some(code) = fault.code() {
                    protocol::put_error(&mut self.replies, code);
                }
                log::info!(
                    "connection {} of client {:?}, document {document:?}: {}",
                    connection.id(),
                    self.client,
                    describe(&fault)
                );
            }
        }
    }

    fn read_end(&mut self, connection: &Arc<Connection>) {
        if !self.replies.is_empty() {
            connection.send(std::mem::take(&mut self.replies).freeze(), None, Keep::Every);
        }
    }
}

/// What a log line says of a message that is not obeyed: escaped and cut, since a client chose the words.
fn describe(fault: &Fault<'_>) -> String {
    let cut = |text: &str| protocol::quoted(&text[..text.floor_char_boundary(64)]);
    match fault {
        Fault::BadJson => "a message is no JSON".to_owned(),
        Fault::BadShape => "a message has not the shape of its type".to_owned(),
        Fault::UnknownType(kind) => format!("ignored a message of unknown type {}", cut(kind)),
        Fault::WrongDocument(id) => format!("ignored a message for document {}", cut(id)),
    }
}
