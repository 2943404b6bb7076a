//! A member of a document: how it joins, and what its messages do.

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};

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
        endpoint::{Farewell, Handler, Tally},
    },
    document::live::Document,
    document::{documents::Documents, store},
    ids::{ClientSessionId, Id, Topic},
    json::quoted,
    metrics::labels::EndpointKind,
    protocol::{
        self, ClientMessage, Kept, MessageError, notice,
        recovery::{RecoveryResult, Reload},
    },
    recovery::{Identity, RecoveryRequest, Remembered},
    room::{JoinReply, Membership, Room, Rooms, publication::Text},
    websocket::close::{self, Close},
};

/// Why a request is refused that says too little.
pub(super) const MISSING: &str = "Missing documentId or clientID";

/// How often a client may send what cannot be obeyed: one with a fault is told of it, and not shut out.
const FORGIVEN: Rate = Rate::new(1, 32);

/// A connection that is about to become a member.
pub(super) struct Joining {
    pub(super) connection: Arc<Connection>,
    pub(super) room: Arc<Room>,
    /// `None` where the hub is to give it one.
    pub(super) client: Option<Id>,
    pub(super) user: Option<Arc<str>>,
    pub(super) request: Option<RecoveryRequest>,
    pub(super) address: Option<IpAddr>,
    pub(super) max_depth: usize,
    pub(super) messages: Rate,
    /// `None` where all documents are relays.
    pub(super) documents: Option<Documents>,
    /// What the log knows of it.
    pub(super) remembered: Remembered,
}

impl Joining {
    /// Joins the room, which is live, and tells the client so. On the room's thread.
    ///
    /// # Errors
    ///
    /// How the connection is to be closed.
    pub(super) fn join(self, rooms: &Rooms) -> Result<FabricHandler, Close> {
        let is_full = rooms.is_full(&self.room) && !self.replaces();
        if is_full || rooms.is_full_everywhere(&self.room) && !self.comes_back(rooms) {
            report(Kind::ConnectionsPerDocument, self.room.document(), self.user.as_deref(), self.address);
            return Err(Close::limit("Too many connections of this document"));
        }
        let Self {
            connection,
            room,
            client,
            user,
            request,
            address,
            max_depth,
            messages,
            documents,
            remembered,
        } = self;
        let document = documents.and_then(|documents| documents.get(room.document()));
        let kept = document.as_deref().map(Document::kept);
        let begun = ClientSessionId::random();
        let client = match client {
            Some(client) => client,
            None if matches!(kept, Some(Kept::Steps { .. })) => given_client(request.as_ref(), begun)?,
            None => return Err(Close::new(close::UNSUPPORTED, MISSING)),
        };
        let (membership, reply) = room.join(
            Arc::clone(&connection),
            client.clone(),
            user.as_deref(),
            request.as_ref(),
            remembered,
            begun,
        );
        let JoinReply { position, outcome, shown } = reply;
        let mut first = BytesMut::new();
        protocol::put_connected(&mut first, &client, room.document(), position.as_ref(), kept);
        if let Some(RecoveryResult::Reload { reason: Reload::BadToken, .. }) = &outcome {
            report(Kind::TokenRefused, room.document(), user.as_deref(), address);
        }
        if let Some(outcome) = &outcome {
            protocol::put_outcome(&mut first, outcome);
        }
        let missed = match outcome {
            Some(RecoveryResult::Recovered { missed, .. }) => missed,
            Some(RecoveryResult::Reload { .. }) | None => Vec::new(),
        };
        let sent = room.shard().counters().sent(EndpointKind::Fabric);
        let bytes = first.len() + shown.len() + missed.iter().map(Bytes::len).sum::<usize>();
        sent.messages.add(missed.len() as u64);
        sent.bytes.add(bytes as u64);
        connection.begin(std::iter::once(first.freeze()).chain(missed).chain([shown]));
        Ok(FabricHandler {
            membership,
            client,
            user,
            document,
            replies: BytesMut::new(),
            max_depth,
            faults: Bucket::default(),
            pace: Pace::new(messages),
            steps: 0,
            own_steps: Bucket::default(),
            owes_ack: false,
            has_presence: false,
        })
    }

    /// Whether it takes the place of a member that is there, so that it is not one more.
    fn replaces(&self) -> bool {
        self.shows().is_some_and(|(who, request)| self.room.replaced(who, request).is_some())
    }

    /// Whether it has to reload because what it missed is not there. Where the hub has given its client a name, that is the
    /// name of its client session, which goes on.
    pub(super) fn has_gone(&self) -> bool {
        self.shows().is_some_and(|(who, request)| self.room.has_gone(request, who))
    }

    /// Whether its client was here before, in whatever process.
    fn comes_back(&self, rooms: &Rooms) -> bool {
        self.shows().is_some_and(|(who, request)| rooms.comes_back(who, request))
    }

    fn shows(&self) -> Option<(Identity<'_>, &RecoveryRequest)> {
        let (client, request) = self.client.as_ref().zip(self.request.as_ref())?;
        let who = Identity { document: self.room.document(), client, user: self.user.as_deref() };
        Some((who, request))
    }
}

fn report(kind: Kind, document: &Id, user: Option<&str>, address: Option<IpAddr>) {
    security::report(kind, About { user, address, document: Some(document.text()), ..About::default() }, 1);
}

/// The text of a message. A text message is UTF-8; a binary one that is none is no JSON either.
pub(super) fn text_of(payload: &[u8]) -> Result<&str, MessageError<'_>> {
    std::str::from_utf8(payload).map_err(|_| MessageError::BadJson)
}

/// The id of a client that has none: the same for as long as it shows its token.
fn given_client(request: Option<&RecoveryRequest>, begun: ClientSessionId) -> Result<Id, Close> {
    let client_session = request.and_then(RecoveryRequest::client_session).unwrap_or(begun);
    let id = format!("hub-{:016x}", client_session.number());
    Id::new(&id).ok_or_else(|| Close::new(close::UNSUPPORTED, MISSING))
}

pub(super) struct FabricHandler {
    pub(super) membership: Membership,
    pub(super) client: Id,
    pub(super) user: Option<Arc<str>>,
    /// Where the document has an authority.
    pub(super) document: Option<Arc<Document>>,
    /// Replies to the messages that were read together.
    pub(super) replies: BytesMut,
    pub(super) max_depth: usize,
    /// How often it has sent what cannot be obeyed.
    faults: Bucket,
    pub(super) pace: Pace,
    /// Steps it has sent that were not told to [`Handler::tally`].
    pub(super) steps: u64,
    /// What it may send of them, where it has no user.
    own_steps: Bucket,
    /// Whether the client is to be told which of its messages were applied.
    pub(super) owes_ack: bool,
    /// Whether the others were shown its presence.
    pub(super) has_presence: bool,
}

impl FabricHandler {
    pub(super) fn publish(&self, topic: Topic, id: Option<u64>, payload: &str, version: &str) {
        self.membership.publish(Text::Client { client: &self.client, topic, payload, version }, id);
    }

    fn show(&self, held: Vec<(Topic, String)>) {
        for (topic, payload) in held {
            self.publish(topic, None, &payload, "");
        }
    }

    /// Sends the replies there are.
    fn send_replies(&mut self, connection: &Connection) {
        connection.send(self.take_replies(), None, QueuePolicy::Reliable);
    }

    /// The replies there are, which are about to be sent.
    pub(super) fn take_replies(&mut self) -> Bytes {
        let replies = std::mem::take(&mut self.replies).freeze();
        let sent = self.membership.room().shard().counters().sent(EndpointKind::Fabric);
        sent.bytes.add(replies.len() as u64);
        replies
    }

    /// Answers a message that is not obeyed; too many of them end the connection.
    pub(super) fn refuse(&mut self, connection: &Arc<Connection>, fault: &MessageError<'_>) {
        connection.report(Kind::BadMessage, 1);
        protocol::put_error(&mut self.replies, fault.code());
        log::info!(
            connection = connection.id().number(),
            document = self.membership.room().document().text(),
            user = self.user.as_deref();
            "connection {} of client {:?}, document {:?}: {}",
            connection.id(),
            self.client,
            self.membership.room().document(),
            describe(fault)
        );
        if self.faults.take(FORGIVEN, 1, rate::now()) > 0 {
            log::warn!(
                connection = connection.id().number(),
                document = self.membership.room().document().text(),
                user = self.user.as_deref();
                "connection {} goes on sending such messages: closed with 1008", connection.id()
            );
            self.read_end(connection);
            connection.close(&Close::bad_messages());
        }
    }

    pub(super) fn tell_session(&mut self, connection: &Connection) {
        let left = connection.grant().and_then(Grant::session_left);
        self.replies.extend_from_slice(&notice::session(left));
    }

    /// Answers what would change a document that the client may only read.
    pub(super) fn refuse_reader(&mut self, connection: &Connection) {
        self.replies.extend_from_slice(&notice::read_only());
        connection.report(Kind::ReadOnly, 1);
    }
}

impl Handler for FabricHandler {
    fn message(&mut self, connection: &Arc<Connection>, payload: &[u8], _text: bool) {
        if let Some(document) = self.document.clone() {
            return match document.kind() {
                store::Kind::Steps => self.steps_message(&document, connection, payload),
                store::Kind::Updates => self.updates_message(&document, connection, payload),
            };
        }
        let room = Arc::clone(self.membership.room());
        let document = room.document();
        let parsed = text_of(payload).and_then(|text| protocol::parse(text, document, self.max_depth));
        match parsed {
            Ok(ClientMessage::Sync) => protocol::put_synced(&mut self.replies, document),
            Ok(ClientMessage::Ack) => self.owes_ack = true,
            Ok(ClientMessage::Session) => self.tell_session(connection),
            Ok(ClientMessage::Publish { topic, .. })
                if topic.policy() == QueuePolicy::Reliable
                    && connection.grant().is_some_and(Grant::is_read_only) =>
            {
                self.refuse_reader(connection);
            }
            Ok(ClientMessage::Publish { topic, payload, version, id, ack }) => {
                self.owes_ack |= ack;
                if topic.policy() == QueuePolicy::Reliable || self.pace.admit(topic, payload) {
                    self.publish(topic, id, payload, version);
                }
            }
            Err(fault) => self.refuse(connection, &fault),
        }
    }

    fn tally(&mut self) -> Tally<'_> {
        let steps = match std::mem::take(&mut self.steps) {
            0 => None,
            count => Some((count, &mut self.own_steps)),
        };
        Tally { uncounted: self.pace.uncounted(), steps }
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
        self.leave_document();
        None
    }

    fn read_end(&mut self, connection: &Arc<Connection>) {
        if std::mem::take(&mut self.owes_ack)
            && let Some((applied, offset)) = self.membership.ack()
        {
            protocol::put_ack(&mut self.replies, applied, offset);
        }
        if !self.replies.is_empty() {
            self.send_replies(connection);
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
        MessageError::WrongKind => "a message is of a type that documents of another kind have".to_owned(),
        MessageError::WrongDocument(id) => format!("a message is for document {}", cut(id)),
    }
}
