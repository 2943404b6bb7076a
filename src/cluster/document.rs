//! One document whose log is in Redis, as long as a room has it open.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, Weak},
};

use super::{
    follower::{Asks, CaughtUp, Follower, Next},
    keeper::Kept,
    keys::Keys,
    publishing::{Batch, Numbers, Publishing},
    soft::{Record, Told},
    wire::{Mark, Push, Reading, Reply},
};
use crate::{
    ids::{ClientSessionId, Epoch, Id},
    room::{
        document_log::{Deliver, News, Shown, Start},
        publication::Publication,
    },
    sync::lock,
};

/// Most publications whose members are still to be counted.
const MAX_ASKED: usize = 4096;

/// A document whose log is in Redis.
pub(super) struct Document {
    pub(super) id: Id,
    pub(super) keys: Keys,
    room: Weak<dyn Deliver>,
    numbers: Numbers,
    state: Mutex<State>,
    /// Where it has an authority.
    pub(super) kept: Option<Kept>,
}

#[derive(Default)]
struct State {
    /// `None` until the log was read.
    follower: Option<Follower>,
    /// What came before that.
    early: Vec<Push>,
    publishing: Publishing,
    /// Whether somebody reads the log.
    is_reading: bool,
    /// What is true now, and is to be told.
    noted: Vec<Record>,
    /// Whether somebody tells it.
    is_telling: bool,
    /// Processes that are to be told how many members what they have published for a route handler goes out to, by its offset.
    asked: HashMap<u64, u64>,
    /// Client sessions that have come here, until that has come back: what others say before was earlier.
    taking: Vec<ClientSessionId>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Document {
    /// Publications that wait to be sent, or for an answer.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).publishing.waiting()
    }

    pub(super) fn new(id: Id, keys: Keys, room: Weak<dyn Deliver>, numbers: &Numbers) -> Self {
        Self { id, keys, room, numbers: Arc::clone(numbers), state: Mutex::default(), kept: None }
    }

    /// One that has an authority.
    pub(super) fn with_authority(
        id: Id,
        keys: Keys,
        room: Weak<dyn Deliver>,
        numbers: &Numbers,
        kept: Kept,
    ) -> Self {
        Self { kept: Some(kept), ..Self::new(id, keys, room, numbers) }
    }

    /// Whether nothing of this process is on its way into the log.
    pub(super) fn is_at_rest(&self) -> bool {
        lock(&self.state).publishing.is_at_rest()
    }

    /// The log was read for the first time. Returns where the room begins, what it is to be told behind that, and what went
    /// out to nobody here, each with its process.
    pub(super) fn begin(&self, reading: &Reading) -> (Start, Vec<News>, Vec<(u64, u64)>) {
        let mut state = lock(&self.state);
        let (mut follower, start) = Follower::begin(reading);
        let mut news = Vec::new();
        for push in std::mem::take(&mut state.early) {
            follower.push(push, &mut news);
        }
        state.follower = Some(follower);
        let passed = state.asked.extract_if(|offset, _| *offset <= reading.top.offset).collect();
        (start, news, passed)
    }

    /// Tells the room. On the thread of Redis alone, directly behind what the news came from: so they stay in order.
    pub(super) fn tell(&self, news: Vec<News>) {
        if let Some(room) = self.room.upgrade().filter(|_| !news.is_empty()) {
            room.hear(news);
        }
    }

    /// Tells the room what is true now, where the room is open; otherwise it asks when it is.
    pub(super) fn tell_if_open(&self, news: News) {
        let is_open = lock(&self.state).follower.is_some();
        if is_open {
            self.tell(vec![news]);
        }
    }

    /// Takes a publication; returns whether somebody has to begin to send.
    ///
    /// # Errors
    ///
    /// The publication, where one before it of the same client session was refused and the room has not heard of that: with
    /// a place it would say that those before it have theirs.
    pub(super) fn enqueue(&self, publication: Publication) -> Result<bool, Box<Publication>> {
        lock(&self.state).publishing.enqueue(publication)
    }

    /// The room has heard that publications of a client session were refused.
    pub(super) fn knows_refused(&self, client_session: ClientSessionId) {
        lock(&self.state).publishing.knows_refused(client_session);
    }

    /// A client session is over, whatever of it is on its way.
    pub(super) fn ended(&self, client_session: ClientSessionId) {
        lock(&self.state).went(client_session);
    }

    /// The next batch; `None` where nothing waits: then nobody sends any more.
    pub(super) fn next_batch(&self) -> Option<Batch> {
        lock(&self.state).publishing.next_batch(&self.numbers)
    }

    /// Calls `put` with what is in flight, where it is this batch and has not been answered.
    pub(super) fn with_batch<T>(
        &self,
        batch: Batch,
        put: impl FnOnce(&[Publication], Epoch, Mark) -> T,
    ) -> Option<T> {
        let state = lock(&self.state);
        let publications = state.publishing.in_flight(batch.number)?;
        let follower = state.follower.as_ref()?;
        Some(put(publications, follower.epoch(), follower.at()))
    }

    /// A batch was answered. Returns whether something before it has not come.
    pub(super) fn answered(&self, batch: Batch, mut reply: Reply) -> bool {
        let mut news = Vec::new();
        let has_gap = {
            let mut state = lock(&self.state);
            let Some(publications) = state.publishing.answered(batch.number, &mut reply) else {
                return false;
            };
            let Some(follower) = &mut state.follower else { return false };
            follower.own(reply, publications, &mut news);
            state.has_gap()
        };
        self.tell(news);
        has_gap
    }

    /// What was appended has come, of this process where `is_own`. Returns whether something before it has not.
    pub(super) fn heard(&self, mut push: Push, is_own: bool) -> bool {
        let mut news = Vec::new();
        let has_gap = {
            let mut state = lock(&self.state);
            let own = if is_own {
                state.publishing.answered(push.number, &mut push.reply)
            } else {
                state.ask_of(&push);
                None
            };
            let Some(follower) = &mut state.follower else {
                state.early.push(push);
                return false;
            };
            match own {
                Some(publications) => follower.own(push.reply, publications, &mut news),
                None => follower.push(push, &mut news),
            }
            state.has_gap()
        };
        self.tell(news);
        has_gap
    }

    /// Whether the log is to be read because something has not come, and nobody does so already.
    pub(super) fn begin_reading(&self) -> bool {
        let mut state = lock(&self.state);
        state.has_gap() && !std::mem::replace(&mut state.is_reading, true)
    }

    /// Whether something has not come. Where nothing is missing, nobody reads the log any more.
    pub(super) fn goes_on_reading(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_reading = state.has_gap();
        state.is_reading
    }

    /// What is to be read of the log; `None` until it was read for the first time.
    pub(super) fn asks(&self) -> Option<Asks> {
        lock(&self.state).follower.as_ref().map(Follower::asks)
    }

    /// The epoch that the room has.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        lock(&self.state).follower.as_ref().map(Follower::epoch)
    }

    /// The last offset that the room has.
    pub(super) fn offset(&self) -> Option<u64> {
        lock(&self.state).follower.as_ref().map(|follower| follower.at().offset)
    }

    /// The log was read. Returns what is to be done to be done with it.
    pub(super) fn caught_up(&self, asked: Asks, reading: Reading) -> Next {
        let news = {
            let mut state = lock(&self.state);
            let Some(follower) = &mut state.follower else { return Next::Nothing };
            let CaughtUp { news, void, is_restarted, next } = follower.caught_up(asked, &reading);
            if next != Next::Nothing {
                return next;
            }
            if is_restarted {
                log::warn!(
                    "document {:?} has lost some of its history in Redis: its clients reload",
                    self.id
                );
                if let Some(kept) = &self.kept {
                    kept.restarted(reading);
                }
            }
            let refused = state.publishing.append_again(void, self.kept.is_some(), is_restarted);
            news.into_iter().chain(refused).collect()
        };
        self.tell(news);
        Next::Nothing
    }

    /// The room is to go on with what was read, all of it.
    pub(super) fn begin_anew(&self, reading: Reading) {
        let news = {
            let mut state = lock(&self.state);
            let Some(follower) = &mut state.follower else { return };
            let (mut news, mut void) = (Vec::new(), Vec::new());
            follower.restart(&reading, &mut news, &mut void);
            if let Some(kept) = &self.kept {
                kept.restarted(reading);
            }
            news.extend(state.publishing.append_again(void, true, true));
            news
        };
        self.tell(news);
    }

    /// Notes what is true now; returns whether somebody has to begin to tell it.
    pub(super) fn note(&self, record: Record) -> bool {
        let mut state = lock(&self.state);
        match &record {
            Record::Show(client_session, topic, _) => {
                // Only the newest of each.
                state.noted.retain(|noted| {
                    !matches!(noted, Record::Show(of, what, _) if of == client_session && what == topic)
                });
            }
            Record::Take(client_session) => {
                state.publishing.came(*client_session);
                state.taking.push(*client_session);
            }
            Record::Hide(client_session) => state.taking.retain(|taking| taking != client_session),
            Record::Ask | Record::Saved(_) | Record::Save | Record::Waits(..) | Record::Served(_) => {}
        }
        state.noted.push(record);
        !std::mem::replace(&mut state.is_telling, true)
    }

    /// What was noted, as a message; `None` where that is nothing: then nobody tells any more.
    pub(super) fn take_noted(&self, process: u64) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        if state.noted.is_empty() {
            state.is_telling = false;
            return None;
        }
        let records = std::mem::take(&mut state.noted);
        Some(Told { process, records }.message())
    }

    /// What is true now has come, of this process where `is_own`.
    pub(super) fn told(&self, told: Told, is_own: bool) {
        let mut news = Vec::new();
        let mut of_authority = Vec::new();
        {
            let mut state = lock(&self.state);
            for record in told.records {
                match record {
                    Record::Take(client_session) if is_own => {
                        if let Some(index) = state.taking.iter().position(|taking| *taking == client_session)
                        {
                            state.taking.swap_remove(index);
                        }
                    }
                    _ if is_own => {}
                    // It has come back to this process, and that will be said behind this.
                    Record::Take(client_session) if state.taking.contains(&client_session) => {}
                    Record::Take(client_session) => {
                        state.went(client_session);
                        news.push(News::Taken(told.process, client_session));
                    }
                    Record::Show(client_session, topic, frame) => {
                        news.push(News::Shown(Shown { process: told.process, client_session, topic, frame }));
                    }
                    Record::Hide(client_session) => {
                        news.push(News::Hidden(told.process, Some(client_session)));
                    }
                    Record::Ask => news.push(News::Asked),
                    Record::Saved(_) | Record::Save | Record::Waits(..) | Record::Served(_) => {
                        of_authority.push(record);
                    }
                }
            }
            if state.follower.is_none() {
                // The room is not open: it asks when it is.
                return;
            }
        }
        self.tell(news);
        if let Some(kept) = &self.kept {
            kept.told(&of_authority);
        }
    }

    /// The process that is to be told how many members what stands there goes out to; `None` where it is this one's own.
    pub(super) fn take_asked(&self, offset: u64) -> Option<u64> {
        lock(&self.state).asked.remove(&offset)
    }

    /// What waits is refused, and nobody sends any more.
    pub(super) fn give_up(&self, reason: &str) {
        let refused = lock(&self.state).publishing.give_up();
        if refused.is_empty() {
            return;
        }
        log::warn!("document {:?}: {} publications are refused: {reason}", self.id, refused.len());
        self.tell(refused);
    }
}

impl State {
    /// A client session has gone to another process.
    fn went(&mut self, client_session: ClientSessionId) {
        let has_gap = self.has_gap();
        self.publishing.went(client_session, has_gap);
    }

    /// Whether something waits for what has not come.
    fn has_gap(&mut self) -> bool {
        let has_gap = self.follower.as_ref().is_some_and(Follower::has_gap);
        if !has_gap {
            self.publishing.has_no_gap();
        }
        has_gap
    }

    /// Notes who is to be told of what of a push.
    fn ask_of(&mut self, push: &Push) {
        let at = self.follower.as_ref().map_or(0, |follower| follower.at().offset);
        for offset in push.messages().filter(|offset| *offset > at) {
            if self.asked.len() >= MAX_ASKED {
                // What was lost on the way is never counted.
                self.asked.clear();
            }
            self.asked.insert(offset, push.process);
        }
    }
}
