//! What the messages of a client do whose document has an authority.

use std::sync::Arc;

use super::member::{FabricHandler, text_of};
use crate::{
    admission::grant::Grant,
    connection::Connection,
    document::live::Document,
    ids::Topic,
    protocol::steps::{self, NotTaken, StepsMessage, parse_steps},
    room::publication::{Steps, Text},
    websocket::frame,
};

impl FabricHandler {
    /// A whole message came for a document with an authority.
    pub(super) fn steps_message(
        &mut self,
        document: &Arc<Document>,
        connection: &Arc<Connection>,
        payload: &[u8],
    ) {
        let room = Arc::clone(self.membership.room());
        let parsed = text_of(payload).and_then(|text| parse_steps(text, room.document(), self.max_depth));
        match parsed {
            Ok(StepsMessage::Sync(version)) => {
                self.answer(connection, |out| document.put_sync(out, version));
            }
            Ok(StepsMessage::PullUpdates(version)) => {
                self.answer(connection, |out| document.put_updates(out, version));
            }
            Ok(StepsMessage::Steps { version, steps, id, ack, client }) => {
                self.owes_ack |= ack;
                if connection.grant().is_some_and(Grant::is_read_only) {
                    self.refuse_reader(connection);
                } else if client.is_some_and(|client| client != self.client.text()) {
                    self.refuse_with(NotTaken::WrongClient);
                } else {
                    self.submit(document, version, steps, id);
                }
            }
            Ok(StepsMessage::Shown { topic, payload }) => {
                self.has_presence |= topic == Topic::Presence;
                if self.pace.admit(topic, &payload) {
                    self.publish(topic, None, &payload, "");
                }
            }
            Ok(StepsMessage::Snapshot { version, doc }) => {
                let may_write = !connection.grant().is_some_and(Grant::is_read_only);
                if !may_write || !document.take_snapshot(&self.client, version, doc) {
                    self.refuse_with(NotTaken::Unexpected);
                }
            }
            Ok(StepsMessage::Ack) => self.owes_ack = true,
            Ok(StepsMessage::Session) => self.tell_session(connection),
            Err(fault) => self.refuse(connection, &fault),
        }
    }

    fn submit(&mut self, document: &Document, version: u64, steps: &str, number: Option<u64>) {
        match document.check(steps) {
            Ok(count) => {
                self.steps += u64::from(count);
                let (client, user) = (self.client.clone(), self.user.clone());
                let steps = Steps { client, user, version, count, steps: steps.into(), change_id: None };
                self.membership.publish(Text::Steps(&steps), number);
            }
            Err(error) => self.refuse_with(NotTaken::BadSteps(error.code())),
        }
    }

    /// Sends an answer that has to come between what the room has sent and what it sends next.
    pub(super) fn answer(&mut self, connection: &Arc<Connection>, put: impl FnOnce(&mut bytes::BytesMut)) {
        put(&mut self.replies);
        connection.answer(self.take_replies());
    }

    pub(super) fn refuse_with(&mut self, why: NotTaken) {
        self.replies.extend_from_slice(&frame::text(&steps::not_taken(why)));
    }

    /// Tells the others that the client is gone, where they were shown that it is there.
    pub(super) fn leave_document(&mut self) {
        let Some(document) = &self.document else { return };
        document.leave(self.membership.connection().number());
        if self.has_presence && self.membership.is_only_of(&self.client) {
            let left = steps::user_left(&self.client, self.user.as_deref());
            self.membership.publish(Text::Notice(&left), None);
        }
    }
}
