//! The fabric endpoint: clients of one document exchange updates, awareness, selections and steps.

mod pace;

use std::{
    borrow::Cow,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;

use self::pace::Pace;
use crate::{
    Config,
    admission::{
        grant::Grant,
        rate::{self, Bucket, Rate},
        security::{self, Kind},
        upgrade::Upgrade,
    },
    connection::{
        Connection, EncodeNotice,
        batch::QueuePolicy,
        endpoint::{Endpoint, Farewell, Handler},
    },
    ids::{Id, Topic},
    json::quoted,
    protocol::{
        self, ClientMessage, MessageError, notice,
        recovery::{RecoveryResult, Reload},
    },
    recovery::{Identity, RecoveryRequest},
    room::{JoinReply, Membership, Rooms},
    websocket::close::{self, Close},
};

/// The fabric endpoint's path.
pub const PATH: &str = "/ws/fabric";

/// How often a client may send what cannot be obeyed: one with a fault is told of it, and not shut out.
const FORGIVEN: Rate = Rate::new(1, 32);

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

    fn open(&self, connection: &Arc<Connection>, upgrade: &Upgrade) -> Result<Box<dyn Handler>, Close> {
        let parameter = |name| upgrade.parameter(name).filter(|value| !value.is_empty());
        let (Some(document), Some(client)) = (parameter("documentId"), parameter("clientID")) else {
            return Err(Close::new(close::UNSUPPORTED, "Missing documentId or clientID"));
        };
        let document =
            Id::new(&document).ok_or_else(|| Close::new(close::UNSUPPORTED, "Invalid documentId"))?;
        let client = Id::new(&client).ok_or_else(|| Close::new(close::UNSUPPORTED, "Invalid clientID"))?;

        let room = self.rooms.open(document);
        if self.rooms.is_full(&room) && self.replaced(upgrade).is_none() {
            let (user, address) = (upgrade.user.as_deref(), upgrade.admission.address);
            security::report(Kind::ConnectionsPerDocument, user, address, Some(room.document().text()), 1);
            return Err(Close::limit("Too many connections of this document"));
        }
        let (ask, user) = (RecoveryRequest::of(upgrade), upgrade.user.as_deref());
        let (membership, reply) = room.join(Arc::clone(connection), client.clone(), user, ask.as_ref());
        let JoinReply { position, outcome, shown } = reply;
        let mut first = BytesMut::new();
        protocol::put_connected(&mut first, &client, membership.room().document(), position.as_ref());
        if let Some(RecoveryResult::Reload { reason: Reload::BadToken, .. }) = &outcome {
            let document = membership.room().document().text();
            security::report(Kind::TokenRefused, user, upgrade.admission.address, Some(document), 1);
        }
        if let Some(outcome) = &outcome {
            protocol::put_outcome(&mut first, outcome);
        }
        let missed = match outcome {
            Some(RecoveryResult::Recovered { missed, .. }) => missed,
            Some(RecoveryResult::Reload { .. }) | None => Vec::new(),
        };
        connection.begin(std::iter::once(first.freeze()).chain(missed).chain([shown]));
        Ok(Box::new(FabricHandler {
            membership,
            client,
            replies: BytesMut::new(),
            max_depth: self.max_depth,
            faults: Bucket::default(),
            pace: Pace::new(self.messages),
            owes_ack: false,
        }))
    }
}

struct FabricHandler {
    membership: Membership,
    client: Id,
    /// Returns to the messages that were read together.
    replies: BytesMut,
    max_depth: usize,
    /// How often it has sent what cannot be obeyed.
    faults: Bucket,
    pace: Pace,
    /// Whether the client is to be told which of its messages were applied.
    owes_ack: bool,
}

impl FabricHandler {
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

impl Handler for FabricHandler {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], _text: bool) {
        let room = self.membership.room();
        let document = room.document();
        // A text message is UTF-8; a binary one that is none is no JSON either.
        let parsed = std::str::from_utf8(payload)
            .map_err(|_| MessageError::BadJson)
            .and_then(|text| protocol::parse(text, document, self.max_depth));
        match parsed {
            Ok(ClientMessage::Sync) => protocol::put_synced(&mut self.replies, document),
            Ok(ClientMessage::Ack) => self.owes_ack = true,
            Ok(ClientMessage::Session) => {
                let left = connection.grant().and_then(Grant::session_left);
                self.replies.extend_from_slice(&notice::session(left));
            }
            Ok(ClientMessage::Publish { topic, .. })
                if topic.policy() == QueuePolicy::Reliable
                    && connection.grant().is_some_and(Grant::is_read_only) =>
            {
                self.replies.extend_from_slice(&notice::read_only());
                connection.report(Kind::ReadOnly, 1);
            }
            Ok(ClientMessage::Publish { topic, payload, version, id, ack }) => {
                self.owes_ack |= ack;
                if topic.policy() == QueuePolicy::Reliable || self.pace.admit(topic, payload) {
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
                if self.faults.take(FORGIVEN, 1, rate::now()) > 0 {
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
            connection.send(std::mem::take(&mut self.replies).freeze(), None, QueuePolicy::Reliable);
        }
    }
}

/// What a log line says of a message that is not obeyed: escaped and cut, since a client chose the words.
fn describe(fault: &MessageError<'_>) -> String {
    let cut = |text: &str| quoted(&text[..text.floor_char_boundary(64)]);
    match fault {
        MessageError::BadJson => "a message is no JSON".to_owned(),
        MessageError::BadShape => "a message has not the shape of its type".to_owned(),
        MessageError::TooDeep => "a message is nested too deeply".to_owned(),
        MessageError::UnknownType(kind) => format!("a message is of unknown type {}", cut(kind)),
        MessageError::WrongDocument(id) => format!("a message is for document {}", cut(id)),
    }
}
