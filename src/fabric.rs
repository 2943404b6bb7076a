//! The fabric endpoint: clients of one document exchange updates, awareness, selections and steps.

use std::{
    borrow::Cow,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;

use crate::{
    Config,
    batch::Keep,
    close::{self, Close},
    connection::Connection,
    endpoint::{Endpoint, Farewell, Session},
    handshake::Upgrade,
    hub::Rooms,
    notice,
    offences::Offences,
    pace::Pace,
    pass::Pass,
    protocol::{self, ClientMessage, Fault, Id, Topic},
    rate::Rate,
    recovery::{Ask, Identity, Outcome, Reload},
    room::{Membership, Welcome},
    security::{self, Kind},
};

/// The fabric endpoint's path.
pub const PATH: &str = "/ws/fabric";

/// Serves `/ws/fabric`.
#[derive(Debug)]
pub struct Fabric {
    rooms: Arc<Rooms>,
    max_depth: usize,
    /// What a connection may send.
    messages: Rate,
}

impl Fabric {
    pub(crate) fn new(rooms: Arc<Rooms>, config: &Config) -> Self {
        Self { rooms, max_depth: config.max_depth, messages: config.limits.messages }
    }
}

impl Endpoint for Fabric {
    fn path(&self) -> &str {
        PATH
    }

    fn takes_notices(&self) -> bool {
        true
    }

    fn affinity(&self, upgrade: &Upgrade) -> Option<String> {
        upgrade.parameter("documentId").map(Cow::into_owned)
    }

    fn replaced(&self, upgrade: &Upgrade) -> Option<Arc<Connection>> {
        let id = |name| upgrade.parameter(name).and_then(|value| Id::new(&value));
        let (document, client) = (id("documentId")?, id("clientID")?);
        let who = Identity { document: &document, client: &client, user: upgrade.user.as_deref() };
        self.rooms.replaced(who, &Ask::of(upgrade)?)
    }

    fn open(&self, connection: &Arc<Connection>, upgrade: &Upgrade) -> Result<Box<dyn Session>, Close> {
        let parameter = |name| upgrade.parameter(name).filter(|value| !value.is_empty());
        let (Some(document), Some(client)) = (parameter("documentId"), parameter("clientID")) else {
            return Err(Close::new(close::UNSUPPORTED, "Missing documentId or clientID"));
        };
        let document =
            Id::new(&document).ok_or_else(|| Close::new(close::UNSUPPORTED, "Invalid documentId"))?;
        let client = Id::new(&client).ok_or_else(|| Close::new(close::UNSUPPORTED, "Invalid clientID"))?;

        if self.rooms.is_full(&document) && self.replaced(upgrade).is_none() {
            let (user, address) = (upgrade.user.as_deref(), upgrade.admission.address);
            security::report(Kind::ConnectionsPerDocument, user, address, Some(document.text()), 1);
            return Err(Close::limit("Too many connections of this document"));
        }
        let (ask, user) = (Ask::of(upgrade), upgrade.user.as_deref());
        let (membership, welcome) =
            self.rooms.join(Arc::clone(connection), document, client.clone(), user, ask.as_ref());
        let Welcome { position, outcome, shown } = welcome;
        let mut first = BytesMut::new();
        protocol::put_connected(&mut first, &client, membership.room().document(), position.as_ref());
        if let Some(Outcome::Reload { reason: Reload::BadToken, .. }) = &outcome {
            let document = membership.room().document().text();
            security::report(Kind::TokenRefused, user, upgrade.admission.address, Some(document), 1);
        }
        if let Some(outcome) = &outcome {
            protocol::put_outcome(&mut first, outcome);
        }
        let missed = match outcome {
            Some(Outcome::Recovered { missed, .. }) => missed,
            Some(Outcome::Reload { .. }) | None => Vec::new(),
        };
        connection.begin(std::iter::once(first.freeze()).chain(missed).chain([shown]));
        Ok(Box::new(FabricSession {
            membership,
            client,
            replies: BytesMut::new(),
            max_depth: self.max_depth,
            offences: Offences::default(),
            pace: Pace::new(self.messages),
            owes_ack: false,
        }))
    }
}

struct FabricSession {
    membership: Membership,
    client: Id,
    /// Answers to the messages that were read together.
    replies: BytesMut,
    max_depth: usize,
    offences: Offences,
    pace: Pace,
    /// Whether the client is to be told which of its messages were applied.
    owes_ack: bool,
}

impl FabricSession {
    fn publish(&self, topic: Topic, id: Option<u64>, payload: &str, version: &str) {
        let document = self.membership.room().document();
        self.membership.publish(topic, id, |out, offset| {
            protocol::put_publication(out, document, &self.client, topic, payload, version, offset);
        });
    }

    fn show(&self, held: Vec<(Topic, String)>) {
        for (topic, payload) in held {
            self.publish(topic, None, &payload, "");
        }
    }
}

impl Session for FabricSession {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], _text: bool) {
        let room = self.membership.room();
        let document = room.document();
        // A text message is UTF-8; a binary one that is none is no JSON either.
        let parsed = std::str::from_utf8(payload)
            .map_err(|_| Fault::BadJson)
            .and_then(|text| protocol::parse(text, document, self.max_depth));
        match parsed {
            Ok(ClientMessage::Sync) => protocol::put_synced(&mut self.replies, document),
            Ok(ClientMessage::Ack) => self.owes_ack = true,
            Ok(ClientMessage::Session) => {
                let left = connection.pass().and_then(Pass::session_left);
                self.replies.extend_from_slice(&notice::session(left));
            }
            Ok(ClientMessage::Publish { topic, .. })
                if topic.keep() == Keep::Every && connection.pass().is_some_and(Pass::is_read_only) =>
            {
                self.replies.extend_from_slice(&notice::read_only());
                connection.report(Kind::ReadOnly, 1);
            }
            Ok(ClientMessage::Publish { topic, payload, version, id, ack }) => {
                self.owes_ack |= ack;
                if topic.keep() == Keep::Every || self.pace.admit(topic, payload) {
                    self.publish(topic, id, payload, version);
                }
            }
            Err(fault) => {
                connection.report(Kind::BadMessage, 1);
                protocol::put_error(&mut self.replies, fault.code());
                log::info!(
                    "connection {} of client {:?}, document {document:?}: {}",
                    connection.id(),
                    self.client,
                    describe(&fault)
                );
                if self.offences.add(room.shard().now()) {
                    log::warn!(
                        "connection {} goes on sending such messages: closed with 1008",
                        connection.id()
                    );
                    self.read_end(connection);
                    connection.close(&Close::offences());
                }
            }
        }
    }

    fn uncounted(&mut self) -> u64 {
        self.pace.uncounted()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(held) = self.pace.poll_due(cx) {
            self.show(held);
        }
        Poll::Ready(())
    }

    fn leave(mut self: Box<Self>) -> Option<Box<dyn Farewell>> {
        // Such as a cursor that is taken back.
        let held = self.pace.take_held();
        self.show(held);
        None
    }

    fn read_end(&mut self, connection: &Arc<Connection>) {
        if std::mem::take(&mut self.owes_ack) {
            let Self { membership, replies, .. } = self;
            protocol::put_ack(replies, membership.applied(), membership.room().sent_up_to());
        }
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
        Fault::TooDeep => "a message is nested too deeply".to_owned(),
        Fault::UnknownType(kind) => format!("a message is of unknown type {}", cut(kind)),
        Fault::WrongDocument(id) => format!("a message is for document {}", cut(id)),
    }
}
