//! What a room does with the answers of a log that answers later. All of it is done on the room's thread.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard, atomic::Ordering},
    task::Waker,
};

use bytes::BytesMut;

use super::{
    Member, NO_CLIENT_SESSION, Pending, Room, State,
    document_log::{Appended, Deliver, DocumentLog, News, Shown, Stood},
    publication::{Answer, Content, Publication, Refusal},
};
use crate::{
    connection::{
        Connection,
        batch::{BatchBuilder, FrameMeta, QueuePolicy},
    },
    ids::{ClientSessionId, ConnectionId, Topic},
    protocol::{
        self,
        recovery::Reload,
        steps::{self, NotTaken},
    },
    recovery::shown::Shown as RecentlyShown,
    sync::lock,
    websocket::{close::Close, frame},
};

/// What is to be done with answers of the log once nothing is locked but the members.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Who is told up to which of its numbers everything was applied.
    acks: Vec<(Arc<Connection>, u64)>,
    failed: Vec<Arc<Connection>>,
    /// The client sessions of which something was answered.
    touched: HashSet<ClientSessionId>,
    /// Whose client goes on in another process.
    replaced: Vec<Arc<Connection>>,
    /// Whether the log is another one than the members were sent.
    pub(super) restarted: bool,
    /// Who is to come back for that.
    reloading: Vec<Arc<Connection>>,
    /// Who is told that its message has no place, and why.
    refused: Vec<(Arc<Connection>, Refusal)>,
    answers: Vec<(Answer, Result<u64, Refusal>)>,
    readers: Vec<Waker>,
}

impl Deliver for Room {
    fn hear(self: Arc<Self>, news: Vec<News>) {
        let mut state = lock(&self.state);
        state.pending.get_or_insert_default().heard(news);
        self.is_late.store(true, Ordering::Relaxed);
        self.schedule(&mut state);
    }
}

impl Room {
    /// Gathers what the log has given a place, in that order; returns what else is to be done. On the room's thread. Not part of
    /// each flush of a room whose log is in memory.
    #[inline(never)]
    pub(super) fn settle(&self, state: &mut State, members: &mut [Member]) -> Option<Box<Settled>> {
        let mut pending = state.pending.take_if(|pending| pending.has_news())?;
        let mut settled = Box::<Settled>::default();
        for news in pending.take_news() {
            match news {
                News::Answer(appended) => {
                    self.answer(state, members, &mut pending, &mut settled, appended, true);
                }
                News::Late(appended) => {
                    self.answer(state, members, &mut pending, &mut settled, appended, false);
                }
                News::Elsewhere(Stood { mut publication, offset, .. }) => {
                    self.go_out(state, members, &mut publication, offset);
                    if let Some((author, number)) = publication.author.zip(publication.number) {
                        self.apply(state, members, author.client_session, number);
                    }
                }
                News::Shown(shown) => show(state, members, &shown),
                News::Hidden(process, client_session) => {
                    if let Some(elsewhere) = &mut state.elsewhere {
                        elsewhere.hide(process, client_session);
                    }
                }
                News::Asked => show_all(state, members),
                News::Taken(process, client_session) => {
                    if let Some(elsewhere) = &mut state.elsewhere {
                        elsewhere.went(process, client_session);
                    }
                    let older = members.iter_mut().find(|member| member.client_session == client_session);
                    if let Some(older) = older {
                        older.client_session = NO_CLIENT_SESSION;
                        state.latest.hide(older.place);
                        settled.replaced.push(Arc::clone(&older.connection));
                    }
                }
                News::Restart(start) => {
                    // What is gathered is of the log that is no more.
                    state.gathered = BatchBuilder::default();
                    if let Some(log) = state.log.other() {
                        log.restarted();
                    }
                    self.begin(start);
                    settled.restarted = true;
                }
            }
        }
        let acks = pending.take_acks(&settled.touched);
        // Where the log is another one the offset of an acknowledgement would be none of theirs: they hear it when they are back.
        for client_session in acks.into_iter().filter(|_| !settled.restarted) {
            if let Some(Member { connection, place, .. }) = member_of(members, client_session) {
                settled.acks.push((Arc::clone(connection), state.latest.applied(*place)));
            }
        }
        let failed = pending.take_failed().into_iter();
        settled.failed =
            failed.filter_map(|failed| Some(Arc::clone(&member_of(members, failed)?.connection))).collect();
        if settled.restarted {
            settled.reloading = members.iter().map(|member| Arc::clone(&member.connection)).collect();
        }
        settled.readers = pending.take_readers();
        state.pending = Some(pending);
        Some(settled)
    }

    /// What became of a publication of this room; where it has a place that is new, it goes out.
    fn answer(
        &self,
        state: &mut State,
        members: &[Member],
        pending: &mut Pending,
        settled: &mut Settled,
        appended: Appended,
        is_new: bool,
    ) {
        let Appended { mut publication, mut outcome } = appended;
        if let (Err(refusal), Some(log)) = (&mut outcome, state.log.other()) {
            *refusal = log.refused(&publication, *refusal);
        }
        let author = publication.author;
        pending.settled(author, publication.bytes());
        settled.touched.extend(author.map(|author| author.client_session));
        if let Some(answer) = publication.answer.take() {
            settled.answers.push((answer, outcome));
        } else if author.is_none() && outcome.is_err() {
            log::error!(
                document = self.document.text();
                "a route handler's message to document {:?} found no place: {outcome:?}",
                self.document
            );
        }
        if let Ok(offset) = outcome
            && is_new
        {
            self.go_out(state, members, &mut publication, offset);
        }
        let Some(author) = author else { return };
        match outcome {
            Ok(_) | Err(Refusal::Duplicate) => {
                if let Some(number) = publication.number {
                    self.apply(state, members, author.client_session, number);
                }
            }
            Err(Refusal::Unavailable) => {
                pending.failed(author.client_session);
                if let DocumentLog::Other(log) = &mut state.log {
                    log.knows_refused(author.client_session);
                }
            }
            Err(refusal) => {
                pending.refused(author.client_session);
                if let Some(present) = member_of(members, author.client_session) {
                    settled.refused.push((Arc::clone(&present.connection), refusal));
                }
            }
        }
    }

    /// Gathers a publication that has its place for the members.
    fn go_out(&self, state: &mut State, members: &[Member], publication: &mut Publication, offset: u64) {
        if let Some(author) = &mut publication.author
            && let Some(present) = member_of(members, author.client_session)
        {
            // It may have come back over another connection, and is not sent its own either way.
            author.connection = present.id;
        }
        if let DocumentLog::Other(log) = &mut state.log {
            log.delivered(publication, offset);
            if matches!(publication.content, Content::Message(_)) {
                let of_client = |client| state.clients.get(client).copied().unwrap_or(0);
                log.counted(offset, publication.to.as_ref().map_or(members.len(), of_client));
            }
        }
        self.encode(state, &publication.draft(), Some(offset));
    }

    /// A message with this number was applied, of a client session that is here or away.
    fn apply(&self, state: &mut State, members: &[Member], client_session: ClientSessionId, number: u64) {
        match member_of(members, client_session) {
            Some(present) => state.latest.apply(present.place, number),
            None => self.apply_away(client_session, number),
        }
    }

    /// A message with this number was applied of a client session that is away.
    fn apply_away(&self, client_session: ClientSessionId, number: u64) {
        if let Some(recovery) = &self.recovery {
            lock(recovery).detached.apply(client_session, number);
        }
    }
}

/// A member in another process shows something.
fn show(state: &mut State, members: &[Member], shown: &Shown) {
    if member_of(members, shown.client_session).is_some() {
        // It is here now, and shows what it shows here.
        return;
    }
    let meta = FrameMeta {
        // Of one author only the newest waits for who reads slowly. No connection has such a number.
        from: Some(ConnectionId::new(shown.client_session.number() | 1 << 63)),
        policy: QueuePolicy::Latest(shown.topic),
        ..FrameMeta::default()
    };
    state.gathered.push(meta, |out| out.extend_from_slice(&shown.frame));
    state.elsewhere.get_or_insert_default().keep(shown);
}

/// Says again what the members here show.
fn show_all(state: &mut State, members: &[Member]) {
    let State { latest, log, .. } = state;
    let Some(log) = log.other() else { return };
    for member in members.iter().filter(|member| member.client_session != NO_CLIENT_SESSION) {
        let Some(RecentlyShown { awareness, selection, presence }) = latest.shows(member.place) else {
            continue;
        };
        let frames =
            [(Topic::Awareness, awareness), (Topic::Selection, selection), (Topic::Presence, presence)];
        for (topic, frame) in frames.into_iter().filter(|(_, frame)| !frame.is_empty()) {
            log.show(member.client_session, topic, frame);
        }
    }
}

fn member_of(members: &[Member], client_session: ClientSessionId) -> Option<&Member> {
    members.iter().find(|member| member.client_session == client_session)
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
        for connection in self.replaced {
            connection.close(&Close::replaced());
        }
        for connection in self.reloading {
            connection.close(&Close::limit("The document has lost some of its history"));
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
