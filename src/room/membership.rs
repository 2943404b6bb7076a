//! Joining a room and leaving it, and what a member does in between.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    Member, NO_CLIENT_SESSION, Room, State, Submitted,
    latest::Place,
    publication::{Author, Draft, Text},
};
use crate::{
    connection::{Connection, batch::QueuePolicy},
    ids::{ClientSessionId, ConnectionId, Id},
    protocol::recovery::{Position, RecoveryResult, Reload},
    recovery::{ComesBack, GoesOn, Identity, RecoveryRequest, Remembered},
    shard::Flush,
    sync::lock,
    websocket::close::Close,
};

/// Above this a room sends what its members publish at once instead of after all that can be read: however many write
/// at a time, no more of it waits.
pub(super) const MAX_GATHERED_BYTES: usize = 1 << 20;

/// What a connection is sent that has become a member.
#[derive(Debug)]
pub(crate) struct JoinReply {
    /// How it can come back.
    pub(crate) position: Option<Position>,
    /// What it gets of what it has missed, where it asked.
    pub(crate) outcome: Option<RecoveryResult>,
    /// What the other members show.
    pub(crate) shown: Bytes,
}

impl Room {
    /// Makes a connection a member: it gets every publication from now on, and none from before but what it asks for
    /// and is given with the [`JoinReply`]. On the room's thread, which must send that before anything else.
    pub(crate) fn join(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        client: Id,
        user: Option<&str>,
        ask: Option<&RecoveryRequest>,
        remembered: Remembered,
        begun: ClientSessionId,
    ) -> (Membership, JoinReply) {
        if self.recovery.is_some() && self.is_late.load(Ordering::Relaxed) {
            // What its log has said by now was published before, and may be asked for.
            self.flush();
        }
        let mut members = lock(&self.members);
        let mut state = loop {
            let mut state = lock(&self.state);
            if state.gathered.is_empty() {
                break state;
            }
            let batch = state.gathered.take();
            drop(state);
            self.send(&members, &batch);
        };
        let who = Identity { document: &self.document, client: &client, user };
        let (goes_on, reply) = self.greet(begun, who, ask, remembered, &mut members, &mut state);
        let GoesOn { client_session, shown, ended } = goes_on;
        let applied = match reply.outcome {
            Some(
                RecoveryResult::Recovered { up_to, .. } | RecoveryResult::Reload { up_to: Some(up_to), .. },
            ) => up_to,
            Some(RecoveryResult::Reload { up_to: None, .. }) | None => 0,
        };
        if let Some(outcome) = &reply.outcome
            && let Some(count) = self.shard.counters().recovery(outcome.code())
        {
            count.add(1);
        }
        let kind = state.log.kind();
        self.shard.counters().members(kind).add(1);
        if members.is_empty() {
            self.shard.counters().documents(kind).add(1);
        }
        connection.set_member(self.document.clone(), client.clone());
        let place = state.latest.enter(applied, shown);
        *state.clients.entry(client.clone()).or_default() += 1;
        let id = connection.id();
        members.push(Member { id, connection, client, client_session, place });
        self.count.store(members.len(), Ordering::Release);
        if let Some(log) = state.log.other() {
            log.keep(&[client_session]);
            if let Some(ended) = ended {
                log.end(ended);
            } else if client_session != begun {
                log.take(client_session);
            }
        }
        drop(state);
        (Membership { room: Arc::clone(self), connection: id, client_session, place }, reply)
    }

    /// The member whose place a client would take that shows this. On the room's thread.
    pub(crate) fn replaced(&self, who: Identity<'_>, ask: &RecoveryRequest) -> Option<Arc<Connection>> {
        let client_session = lock(self.recovery.as_ref()?).client_session_of(ask, who).ok()?;
        let members = lock(&self.members);
        let member = members.iter().find(|member| member.client_session == client_session)?;
        Some(Arc::clone(&member.connection))
    }

    /// Whether a client that comes back has to reload because what it missed is not there. On the room's thread.
    pub(crate) fn has_gone(&self, ask: &RecoveryRequest, who: Identity<'_>) -> bool {
        self.recovery.as_ref().is_some_and(|recovery| lock(recovery).has_gone(ask, who))
    }

    /// What a connection that is about to become a member is sent; and its client session, which is `begun` where it takes
    /// nobody's place, with what that goes on to show.
    fn greet(
        &self,
        begun: ClientSessionId,
        who: Identity<'_>,
        ask: Option<&RecoveryRequest>,
        remembered: Remembered,
        members: &mut [Member],
        state: &mut State,
    ) -> (GoesOn, JoinReply) {
        let Some(recovery) = &self.recovery else {
            let outcome = ask.map(|_| RecoveryResult::Reload { reason: Reload::Off, up_to: None });
            let goes_on = GoesOn { client_session: begun, shown: None, ended: None };
            return (goes_on, JoinReply { position: None, outcome, shown: Bytes::new() });
        };
        let mut recovery = lock(recovery);
        recovery.mark_used();
        let State { latest, log, pending, .. } = &mut *state;
        let is_settled = |client_session| pending.as_ref().is_none_or(|pending| !pending.has(client_session));
        let replace = |client_session| {
            let older = members.iter_mut().find(|member| member.client_session == client_session)?;
            older.client_session = NO_CLIENT_SESSION;
            // The client itself has come over another connection, so nothing more is taken from this one.
            older.connection.close(&Close::replaced());
            latest.hide(older.place);
            Some(latest.applied(older.place))
        };
        let in_log = |client_session| log.other().and_then(|log| log.last_number(client_session));
        let (outcome, goes_on) = match ask {
            None => (None, None),
            Some(ask) => {
                let now = self.shard.now();
                let comes_back = ComesBack { ask, who, remembered, begun, now };
                let (outcome, goes_on) = recovery.recover(comes_back, replace, in_log, is_settled);
                (Some(outcome), goes_on)
            }
        };
        let goes_on = goes_on.unwrap_or(GoesOn { client_session: begun, shown: None, ended: None });
        let client_session = goes_on.client_session;
        let position = Some(recovery.position(client_session, who));
        let mut shown = state.latest.shown(recovery.max_shown_bytes());
        if let Some(elsewhere) = &mut state.elsewhere {
            elsewhere.came(goes_on.ended.unwrap_or(client_session));
            shown = elsewhere.shown(shown, recovery.max_shown_bytes());
        }
        (goes_on, JoinReply { position, outcome, shown })
    }

    fn leave(&self, connection: ConnectionId) {
        let mut members = lock(&self.members);
        let Some(index) = members.iter().position(|member| member.id == connection) else { return };
        let member = members.swap_remove(index);
        let mut state = lock(&self.state);
        let (applied, shows) = state.latest.leave(member.place);
        if let Some(left) = state.clients.get_mut(&member.client) {
            *left -= 1;
            if *left == 0 {
                state.clients.remove(&member.client);
            }
        }
        let kind = state.log.kind();
        self.shard.counters().members(kind).sub(1);
        if members.is_empty() {
            self.shard.counters().documents(kind).sub(1);
        }
        self.count.store(members.len(), Ordering::Release);
        if member.client_session != NO_CLIENT_SESSION
            && let Some(log) = state.log.other()
        {
            log.keep(&[member.client_session]);
            log.hide(member.client_session);
        }
        drop(state);
        if let Some(recovery) = &self.recovery {
            let (mut recovery, now) = (lock(recovery), self.shard.now());
            if member.client_session != NO_CLIENT_SESSION {
                recovery.leave(member.client_session, applied, shows, now);
            }
            if members.is_empty() {
                recovery.mark_empty(now);
            }
            return;
        }
        let is_empty = members.is_empty();
        drop(members);
        if is_empty {
            self.forget_if_idle();
        }
    }
}

/// Being a member; dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Membership {
    room: Arc<Room>,
    connection: ConnectionId,
    client_session: ClientSessionId,
    place: Place,
}

impl Membership {
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The member's connection.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Publishes the member's message to the others, unless it has the number of one that was published before. On the
    /// room's thread.
    pub(crate) fn publish(&self, text: Text<'_>, number: Option<u64>) {
        let Self { room, connection, client_session, place } = self;
        let mut state = lock(&room.state);
        let alone = room.recovery.is_none() && room.count() <= 1 && state.log.is_memory();
        if alone && number.is_none() {
            return;
        }
        if state.gathered.len() > MAX_GATHERED_BYTES {
            drop(state);
            room.flush();
            state = lock(&room.state);
        }
        if number.is_some_and(|number| !state.is_new(self, number)) {
            return;
        }
        let author = Some(Author { connection: *connection, client_session: *client_session });
        let draft = Draft { author, to: None, text, number, after: None };
        let submitted = if alone { Submitted::Now } else { room.submit(&mut state, &draft, None) };
        match submitted {
            Submitted::Now => {
                // Not before it is published: what is applied is acknowledged, and not taken again.
                if let Some(number) = number {
                    state.latest.apply(*place, number);
                }
                if let QueuePolicy::Latest(topic) = draft.policy()
                    && room.recovery.is_some()
                {
                    let State { gathered, latest, log, .. } = &mut *state;
                    latest.keep(*place, topic, gathered.last());
                    if let Some(log) = log.other() {
                        log.show(*client_session, topic, gathered.last());
                    }
                }
            }
            Submitted::Later => {}
            // It is not told what exactly was lost: it comes back and sends again what was not acknowledged.
            Submitted::Refused(_) => {
                state.pending.get_or_insert_default().failed(*client_session);
                room.schedule(&mut state);
            }
        }
    }

    /// Whether the client has no other connection among the members. On the room's thread.
    pub(crate) fn is_only_of(&self, client: &Id) -> bool {
        lock(&self.room.state).clients.get(client) == Some(&1)
    }

    /// The number of the member's last message that was applied, 0 before the first, and the offset up to which it was
    /// sent everything. `None` where some of its messages are with the log: then the room tells it once they are not.
    pub(crate) fn ack(&self) -> Option<(u64, Option<u64>)> {
        let mut state = lock(&self.room.state);
        if let Some(pending) = &mut state.pending
            && pending.wants_ack(self.client_session)
        {
            return None;
        }
        let applied = state.latest.applied(self.place);
        drop(state);
        Some((applied, self.room.sent_up_to()))
    }

    /// Whether the member may publish more: where the log is slow its members wait with it. Wakes the task when it may.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.room.is_late.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        match &mut lock(&self.room.state).pending {
            None => Poll::Ready(()),
            Some(pending) => pending.poll_ready(self.connection, cx),
        }
    }
}

impl State {
    /// Whether a member's message with this number was not published before.
    fn is_new(&self, member: &Membership, number: u64) -> bool {
        let is_pending = |pending: &super::Pending| pending.is_submitted(member.client_session, number);
        self.latest.is_new(member.place, number) && !self.pending.as_deref().is_some_and(is_pending)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.room.leave(self.connection);
    }
}
