//! What a process publishes to one document: what waits to be sent, and what was sent and is not answered.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{
    age::Since,
    wire::{Outcome, Reply},
};
use crate::{
    ids::ClientSessionId,
    room::{
        document_log::{Appended, News},
        publication::{Content, Publication, Refusal},
    },
};

/// Most publications, and bytes of them, that go to Redis at once: others are served in between.
const MAX_BATCH: usize = 256;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// The number of the batch that was made last, of whatever document: what has become of a batch stands in Redis for longer than
/// a room is open, and a document that is opened again is not to take it for what has become of another.
pub(super) type Numbers = Arc<AtomicU64>;

/// What a process publishes to one document.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// What waits to be sent.
    queue: VecDeque<Waiting>,
    /// What was sent, and is not answered.
    in_flight: Option<InFlight>,
    /// Whether somebody sends.
    is_sending: bool,
    /// Client sessions of which something was refused, until the room has heard that.
    refused: HashSet<ClientSessionId>,
    /// Client sessions that have gone to another process while something of them was on its way here.
    gone: HashSet<ClientSessionId>,
    /// When the oldest was published that was answered while something before it had not come.
    answered: Option<Since>,
}

/// A publication that waits.
#[derive(Debug)]
struct Waiting {
    publication: Publication,
    /// Since when.
    since: Instant,
    /// When it was published: before, where it was sent already.
    published: Since,
}

#[derive(Debug)]
struct InFlight {
    batch: Batch,
    publications: Vec<Publication>,
}

/// A batch on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) number: u64,
    /// Since when the oldest of it waits.
    pub(super) since: Instant,
    /// When the oldest of it was published.
    pub(super) published: Since,
}

impl Publishing {
    /// Publications that wait to be sent, or for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.in_flight.as_ref().map_or(0, |in_flight| in_flight.publications.len())
    }

    /// Whether there is nothing.
    pub(super) fn is_at_rest(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_none()
    }

    /// Takes a publication; returns whether somebody has to begin to send.
    ///
    /// # Errors
    ///
    /// The publication, where one before it of the same client session was refused and the room has not heard of that.
    pub(super) fn enqueue(&mut self, publication: Publication) -> Result<bool, Box<Publication>> {
        if publication.author.is_some_and(|author| self.refused.contains(&author.client_session)) {
            return Err(Box::new(publication));
        }
        let (since, published) = (Instant::now(), Since::now());
        self.queue.push_back(Waiting { publication, since, published });
        Ok(!std::mem::replace(&mut self.is_sending, true))
    }

    /// The room has heard that publications of a client session were refused.
    pub(super) fn knows_refused(&mut self, client_session: ClientSessionId) {
        self.refused.remove(&client_session);
    }

    /// The next batch; `None` where nothing waits: then nobody sends any more.
    pub(super) fn next_batch(&mut self, numbers: &Numbers) -> Option<Batch> {
        let Some(&Waiting { since, published, .. }) = self.queue.front() else {
            self.is_sending = false;
            return None;
        };
        let (mut publications, mut bytes) = (Vec::new(), 0);
        while publications.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            let Some(Waiting { publication, .. }) = self.queue.pop_front() else { break };
            bytes += publication.bytes();
            publications.push(publication);
        }
        let number = numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let batch = Batch { number, since, published };
        self.in_flight = Some(InFlight { batch, publications });
        Some(batch)
    }

    /// What is in flight, where it is this batch.
    pub(super) fn in_flight(&self, number: u64) -> Option<&[Publication]> {
        let in_flight = self.in_flight.as_ref().filter(|in_flight| in_flight.batch.number == number)?;
        Some(&in_flight.publications)
    }

    /// A batch was answered, with this; `None` where it was before. What was refused of it that takes a version takes with it
    /// what was made directly behind it and waits to be sent, which comes behind it here.
    pub(super) fn answered(&mut self, number: u64, reply: &mut Reply) -> Option<Vec<Publication>> {
        let InFlight { batch, mut publications } =
            self.in_flight.take_if(|in_flight| in_flight.batch.number == number)?;
        self.answered.get_or_insert(batch.published);
        let mut refused = None;
        for (publication, outcome) in publications.iter().zip(&reply.outcomes) {
            if let Content::Steps(steps) = &publication.content {
                refused = match outcome {
                    Outcome::Stale(current) => Some((steps.after(), *current)),
                    _ => None,
                };
            }
        }
        let Some((mut behind, current)) = refused else { return Some(publications) };
        for waiting in std::mem::take(&mut self.queue) {
            match &waiting.publication.content {
                Content::Steps(steps) if steps.version == behind => {
                    behind = steps.after();
                    publications.push(waiting.publication);
                    reply.outcomes.push(Outcome::Stale(current));
                }
                _ => self.queue.push_back(waiting),
            }
        }
        Some(publications)
    }

    /// Nothing waits any more for what comes before it.
    pub(super) fn has_no_gap(&mut self) {
        self.answered = None;
    }

    /// What was appended to a log that is no more comes before everything that was published behind it. Not that of a client
    /// session that is elsewhere by now: its client was told there what was published, and sends again what was not. Nor steps:
    /// a version of another log is not what they were made for. Returns what the room is told of those.
    pub(super) fn append_again(
        &mut self,
        void: Vec<Publication>,
        is_kept: bool,
        is_restarted: bool,
    ) -> Vec<News> {
        if void.is_empty() && !(is_kept && is_restarted) {
            return Vec::new();
        }
        let (since, in_flight) = (Instant::now(), self.in_flight.take());
        let answered = self.answered.unwrap_or_else(Since::now);
        let (published, in_flight) = in_flight
            .map_or_else(|| (answered, Vec::new()), |sent| (sent.batch.published, sent.publications));
        let of = |published| move |publication| Waiting { publication, since, published };
        let sent = void.into_iter().map(of(answered)).chain(in_flight.into_iter().map(of(published)));
        let is_gone = |publication: &Publication| {
            publication.author.is_some_and(|author| self.gone.contains(&author.client_session))
        };
        let (mut gone, mut stale, mut again) = (Vec::new(), Vec::new(), VecDeque::new());
        for waiting in sent.chain(std::mem::take(&mut self.queue)) {
            match &waiting.publication.content {
                Content::Steps(_) => stale.push(waiting.publication),
                _ if is_gone(&waiting.publication) => gone.push(waiting.publication),
                _ => again.push_back(waiting),
            }
        }
        self.queue = again;
        let outcome = Err(Refusal::Stale { current: 0, retry_in_ms: None });
        let stale = stale.into_iter().map(|publication| News::Answer(Appended { publication, outcome }));
        stale.chain(self.refuse(gone)).collect()
    }

    /// It was not to be sent in time: nobody sends any more. Returns what the room is told.
    pub(super) fn give_up(&mut self) -> Vec<News> {
        self.is_sending = false;
        let in_flight = self.in_flight.take().map(|in_flight| in_flight.publications);
        let waiting = std::mem::take(&mut self.queue).into_iter().map(|waiting| waiting.publication);
        let refused = in_flight.into_iter().flatten().chain(waiting).collect();
        self.refuse(refused)
    }

    /// A client session has come here.
    pub(super) fn came(&mut self, client_session: ClientSessionId) {
        self.gone.remove(&client_session);
    }

    /// A client session has gone to another process, or is over. `has_gap` where something that was answered waits for its turn.
    pub(super) fn went(&mut self, client_session: ClientSessionId, has_gap: bool) {
        if self.is_at_rest() && !has_gap {
            self.gone.clear();
        } else {
            self.gone.insert(client_session);
        }
    }

    /// What the room is told of publications that are refused.
    fn refuse(&mut self, publications: Vec<Publication>) -> Vec<News> {
        self.refused.extend(publications.iter().filter_map(|each| Some(each.author?.client_session)));
        let outcome = Err(Refusal::Unavailable);
        publications.into_iter().map(|publication| News::Answer(Appended { publication, outcome })).collect()
    }
}

#[cfg(test)]
mod tests;
