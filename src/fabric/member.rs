//! A member of a document: how it joins, and what its messages do.

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;

use super::pace::Pace;
use crate::{
    admission::{
        grant::Grant,
        rate::{self, Bucket, Rate},
        security::{self, About, Kind},
    },
    connection::{
        Connection,
        batch::QueuePolicy,
        endpoint::{Farewell, Handler},
    },
    ids::{Id, Topic},
    json::quoted,
    protocol::{
        self, ClientMessage, MessageError, notice,
        recovery::{RecoveryResult, Reload},
    },
    recovery::RecoveryRequest,
    room::{JoinReply, Membership, Room},
    websocket::close::Close,
};

/// How often a client may send what cannot be obeyed: one with a fault is told of it, and not shut out.
const FORGIVEN: Rate = Rate::new(1, 32);

/// A connection that is about to become a member.
pub(super) struct Joining {
    pub(super) connection: Arc<Connection>,
    pub(super) room: Arc<Room>,
    pub(super) client: Id,
    pub(super) user: Option<Arc<str>>,
    pub(super) request: Option<RecoveryRequest>,
    pub(super) address: Option<IpAddr>,
    pub(super) max_depth: usize,
    pub(super) messages: Rate,
}

impl Joining {
    /// Joins the room, which is live, and tells the client so. On the room's thread.
    pub(super) fn join(self) -> FabricHandler {
        let Self { connection, room, client, user, request, address, max_depth, messages } = self;
        let user = user.as_deref();
        let (membership, reply) = room.join(Arc::clone(&connection), client.clone(), user, request.as_ref());
        let JoinReply { position, outcome, shown } = reply;
        let mut first = BytesMut::new();
        protocol::put_connected(&mut first, &client, room.document(), position.as_ref());
        if let Some(RecoveryResult::Reload { reason: Reload::BadToken, .. }) = &outcome {
            let document = Some(room.document().text());
            security::report(Kind::TokenRefused, About { user, address, document, ..About::default() }, 1);
        }
        if let Some(outcome) = &outcome {
            protocol::put_outcome(&mut first, outcome);
        }
        let missed = match outcome {
            Some(RecoveryResult::Recovered { missed, .. }) => missed,
            Some(RecoveryResult::Reload { .. }) | None => Vec::new(),
        };
        connection.begin(std::iter::once(first.freeze()).chain(missed).chain([shown]));
        FabricHandler {
            membership,
            client,
            replies: BytesMut::new(),
            max_depth,
            faults: Bucket::default(),
            pace: Pace::new(messages),
            owes_ack: false,
        }
    }
}

pub(super) struct FabricHandler {
    membership: Membership,
    client: Id,
    /// Replies to the messages that were read together.
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
        self.membership.publish(topic, id, &self.client, payload, version);
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
                    connection.close(&Close::bad_messages());
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
        self.membership.poll_ready(cx)
    }

    fn leave(mut self: Box<Self>) -> Option<Box<dyn Farewell>> {
        // Such as a cursor that is taken back.
        let held = self.pace.take_held();
        self.show(held);
        None
    }

    fn read_end(&mut self, connection: &Arc<Connection>) {
        if std::mem::take(&mut self.owes_ack)
            && let Some((applied, offset)) = self.membership.ack()
        {
            protocol::put_ack(&mut self.replies, applied, offset);
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
