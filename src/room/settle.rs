//! What a room does with the answers of a log that answers later. All of it is done on the room's thread.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard},
    task::Waker,
};

use bytes::BytesMut;

use super::{
    Member, Room, State,
    document_log::{Appended, Deliver, DocumentLog},
    publication::{Answer, Refusal},
};
use crate::{
    connection::{Connection, batch::QueuePolicy},
    ids::ClientSessionId,
    protocol::{
        self,
        recovery::Reload,
        steps::{self, NotTaken},
    },
    sync::lock,
    websocket::{close::Close, frame},
};

/// What is to be done with answers of the log once nothing is locked but the members.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Who is told up to which of its numbers everything was applied.
    acks: Vec<(Arc<Connection>, u64)>,
    failed: Vec<Arc<Connection>>,
    /// Who is told that its message has no place, and why.
    refused: Vec<(Arc<Connection>, Refusal)>,
    answers: Vec<(Answer, Result<u64, Refusal>)>,
    readers: Vec<Waker>,
}

impl Deliver for Room {
    fn deliver(self: Arc<Self>, answers: Vec<Appended>) {
        let mut state = lock(&self.state);
        state.pending.get_or_insert_default().answered(answers);
        self.schedule(&mut state);
    }
}

impl Room {
    /// Gathers what the log has given a place, in that order; returns what else is to be done. On the room's thread.
    pub(super) fn settle(&self, state: &mut State, members: &[Member]) -> Option<Settled> {
        let mut pending = state.pending.take_if(|pending| pending.has_news())?;
        let mut settled = Settled::default();
        let mut touched = HashSet::new();
        let member = |client_session: ClientSessionId| {
            members.iter().find(|member| member.client_session == client_session)
        };
        for Appended { mut publication, outcome } in pending.take_answers() {
            let author = publication.author;
            pending.settled(author, publication.bytes());
            touched.extend(author.map(|author| author.client_session));
            if let Some(answer) = publication.answer.take() {
                settled.answers.push((answer, outcome));
            } else if author.is_none() && outcome.is_err() {
                log::error!(
                    document = self.document.text();
                    "a route handler's message to document {:?} found no place: {outcome:?}",
                    self.document
                );
            }
            let present = author.and_then(|author| member(author.client_session));
            if let Some((author, present)) = publication.author.as_mut().zip(present) {
                // It may have come back over another connection, and is not sent its own either way.
                author.connection = present.id;
            }
            if let Ok(offset) = outcome {
                if let DocumentLog::Other(log) = &mut state.log {
                    log.delivered(&publication, offset);
                }
                self.encode(state, &publication.draft(), Some(offset));
            }
            let Some(author) = author else { continue };
            match outcome {
                Ok(_) | Err(Refusal::Duplicate) => match (publication.number, present) {
                    (Some(number), Some(present)) => state.latest.apply(present.place, number),
                    (Some(number), None) => self.apply_away(author.client_session, number),
                    (None, _) => {}
                },
                Err(Refusal::Unavailable) => pending.failed(author.client_session),
                Err(refusal) => {
                    pending.refused(author.client_session);
                    if let Some(present) = present {
                        settled.refused.push((Arc::clone(&present.connection), refusal));
                    }
                }
            }
        }
        for client_session in pending.take_acks(&touched) {
            if let Some(Member { connection, place, .. }) = member(client_session) {
                settled.acks.push((Arc::clone(connection), state.latest.applied(*place)));
            }
        }
        let failed = pending.take_failed().into_iter();
        settled.failed = failed.filter_map(|failed| Some(Arc::clone(&member(failed)?.connection))).collect();
        settled.readers = pending.take_readers();
        state.pending = Some(pending);
        Some(settled)
    }

    /// A message with this number was applied of a client session that is away.
    fn apply_away(&self, client_session: ClientSessionId, number: u64) {
        if let Some(recovery) = &self.recovery {
            lock(recovery).detached.apply(client_session, number);
        }
    }
}

/// What a member is told whose message has no place.
fn answer_to(refusal: Refusal) -> Option<String> {
    match refusal {
        Refusal::Stale { current, retry_in_ms } => Some(steps::version_mismatch(current, retry_in_ms)),
        Refusal::Ahead => Some(steps::reload(Reload::UnknownVersion)),
        Refusal::Full => Some(steps::not_taken(NotTaken::DocumentTooLarge)),
        Refusal::Duplicate | Refusal::Unavailable => None,
    }
}

impl Settled {
    /// Tells everybody who waited for an answer, behind what the answers have brought them.
    pub(super) fn tell(self, room: &Room, members: MutexGuard<'_, Vec<Member>>) {
        let offset = room.sent_up_to();
        for (connection, applied) in self.acks {
            let mut ack = BytesMut::new();
            protocol::put_ack(&mut ack, applied, offset);
            connection.send(ack.freeze(), None, QueuePolicy::Reliable);
        }
        for (connection, refusal) in self.refused {
            if let Some(answer) = answer_to(refusal) {
                connection.send(frame::text(&answer), None, QueuePolicy::Reliable);
            }
        }
        let is_empty = members.is_empty();
        drop(members);
        for connection in self.failed {
            connection.close(&Close::limit("The document takes nothing at the moment"));
        }
        for (answer, outcome) in self.answers {
            answer.tell(outcome);
        }
        for reader in self.readers {
            reader.wake();
        }
        if is_empty {
            room.forget_if_idle();
        }
    }
}
