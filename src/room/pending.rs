//! What the log of a room has not answered yet.

use std::{
    collections::{HashMap, HashSet},
    task::{Context, Poll, Waker},
};

use super::{document_log::News, publication::Author};
use crate::ids::{ClientSessionId, ConnectionId};

/// Bytes that may be with the log before members wait with what they publish.
const MAX_BYTES: usize = 1 << 20;

/// What the log of a room has not answered yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: usize,
    /// How many were ever given to the log, and how many it has answered.
    submitted: u64,
    settled: u64,
    by_client_session: HashMap<ClientSessionId, Numbers>,
    /// Whose clients are to be told what was applied.
    acks: HashSet<ClientSessionId>,
    /// What the log has said that the room's thread has not seen yet.
    news: Vec<News>,
    /// Whose messages found no place.
    failed: Vec<ClientSessionId>,
    /// The tasks of members that wait with what they publish.
    readers: HashMap<ConnectionId, Waker>,
}

/// What one client session has with the log.
#[derive(Debug, Default)]
struct Numbers {
    count: usize,
    /// Its own number of the last one.
    last: u64,
}

impl Pending {
    /// Publications that are with the log.
    pub(super) fn count(&self) -> u64 {
        self.submitted - self.settled
    }

    /// Bytes of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A publication was given to the log.
    pub(super) fn submitted(&mut self, author: Option<Author>, number: Option<u64>, bytes: usize) {
        self.bytes += bytes;
        self.submitted += 1;
        if let Some(author) = author {
            let numbers = self.by_client_session.entry(author.client_session).or_default();
            numbers.count += 1;
            numbers.last = numbers.last.max(number.unwrap_or(0));
        }
    }

    /// The log has answered one.
    pub(super) fn settled(&mut self, author: Option<Author>, bytes: usize) {
        self.bytes -= bytes;
        self.settled += 1;
        let Some(author) = author else { return };
        // None where one before it was refused.
        if let Some(numbers) = self.by_client_session.get_mut(&author.client_session) {
            numbers.count -= 1;
            if numbers.count == 0 {
                self.by_client_session.remove(&author.client_session);
            }
        }
    }

    /// A message of this client session found no place: what it sends again is new.
    pub(super) fn failed(&mut self, client_session: ClientSessionId) {
        self.by_client_session.remove(&client_session);
        self.acks.remove(&client_session);
        self.failed.push(client_session);
    }

    /// A message of this client session was not taken, and the client session goes on: it may send it again, with the same
    /// number.
    pub(super) fn refused(&mut self, client_session: ClientSessionId) {
        if let Some(numbers) = self.by_client_session.get_mut(&client_session) {
            numbers.last = 0;
        }
    }

    /// Whether something of this client session is with the log.
    pub(super) fn has(&self, client_session: ClientSessionId) -> bool {
        self.by_client_session.contains_key(&client_session)
    }

    /// Whether a message of this client session with this number is with the log.
    pub(super) fn is_submitted(&self, client_session: ClientSessionId, number: u64) -> bool {
        self.by_client_session.get(&client_session).is_some_and(|numbers| number <= numbers.last)
    }

    /// Notes that a client is to be told what was applied, where something of it is with the log; returns whether it is.
    pub(super) fn wants_ack(&mut self, client_session: ClientSessionId) -> bool {
        let is_pending = self.by_client_session.contains_key(&client_session);
        if is_pending {
            self.acks.insert(client_session);
        }
        is_pending
    }

    /// Whether more may be given to the log; otherwise wakes the task when it may.
    pub(super) fn poll_ready(&mut self, connection: ConnectionId, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes < MAX_BYTES {
            return Poll::Ready(());
        }
        self.readers.insert(connection, cx.waker().clone());
        Poll::Pending
    }

    /// How many were given to the log so far, to wait for with [`Pending::has_settled`].
    pub(super) fn submitted_count(&self) -> u64 {
        self.submitted
    }

    pub(super) fn has_settled(&self, count: u64) -> bool {
        self.settled >= count
    }

    /// Whether there is something for the room's thread to do.
    pub(super) fn has_news(&self) -> bool {
        !(self.news.is_empty() && self.failed.is_empty())
    }

    /// Leaves news of the log for the room's thread.
    pub(super) fn heard(&mut self, news: Vec<News>) {
        self.news.extend(news);
    }

    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    pub(super) fn take_failed(&mut self) -> Vec<ClientSessionId> {
        std::mem::take(&mut self.failed)
    }

    /// Of these client sessions those whose clients are to be told now what was applied.
    pub(super) fn take_acks(&mut self, answered: &HashSet<ClientSessionId>) -> Vec<ClientSessionId> {
        let now = self.acks.intersection(answered).copied().collect();
        self.acks.retain(|client_session| self.by_client_session.contains_key(client_session));
        now
    }

    /// The tasks of members that may publish again. Not at the first free byte, or a fast member would cost a wake-up a
    /// message.
    pub(super) fn take_readers(&mut self) -> Vec<Waker> {
        if self.bytes > MAX_BYTES / 2 {
            return Vec::new();
        }
        self.readers.drain().map(|(_, reader)| reader).collect()
    }
}
