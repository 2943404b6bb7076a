//! What the messages of a client do whose document keeps its updates.

use std::sync::Arc;

use super::member::{FabricHandler, text_of};
use crate::{
    admission::grant::Grant,
    connection::Connection,
    document::live::Document,
    protocol::{
        put_synced,
        steps::NotTaken,
        updates::{UpdatesMessage, parse_updates},
    },
    room::publication::Text,
};

impl FabricHandler {
    /// A whole message came for a document that keeps its updates.
    pub(super) fn updates_message(
        &mut self,
        document: &Arc<Document>,
        connection: &Arc<Connection>,
        payload: &[u8],
    ) {
        let room = Arc::clone(self.membership.room());
        let parsed = text_of(payload).and_then(|text| parse_updates(text, room.document(), self.max_depth));
        match parsed {
            Ok(UpdatesMessage::Sync(offset)) => self.answer(connection, |out| {
                document.put_state(out, offset);
                put_synced(out, room.document());
            }),
            Ok(UpdatesMessage::Update { update, id, ack }) => {
                self.owes_ack |= ack;
                if connection.grant().is_some_and(Grant::is_read_only) {
                    self.refuse_reader(connection);
                } else {
                    let (client, user) = (&self.client, self.user.as_ref());
                    self.membership.publish(Text::Update { client, user, update }, id);
                }
            }
            Ok(UpdatesMessage::Shown { topic, payload }) => {
                if self.pace.admit(topic, payload) {
                    self.publish(topic, None, payload, "");
                }
            }
            Ok(UpdatesMessage::Snapshot { offset, state }) => {
                let may_write = !connection.grant().is_some_and(Grant::is_read_only);
                if !may_write || !document.take_snapshot(&self.client, offset, state) {
                    self.refuse_with(NotTaken::Unexpected);
                }
            }
            Ok(UpdatesMessage::Ack) => self.owes_ack = true,
            Ok(UpdatesMessage::Session) => self.tell_session(connection),
            Err(fault) => self.refuse(connection, &fault),
        }
    }
}
