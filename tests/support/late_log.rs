//! A log that answers when a test says so, and an opener that gives it to documents when a test says so: neither gives an
//! answer in the turn in which it is asked.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use captify_hub::{
    ids::Id,
    room::{
        document_log::{Append, Appended, Deliver, DocumentLog, Log, News},
        opening::{Opened, OpenedBy, Opener},
        publication::{Publication, Refusal},
    },
};

use super::eventually;

#[derive(Default)]
struct Waiting {
    publications: VecDeque<(Publication, Arc<dyn Deliver>)>,
    /// The offset that was given last.
    last: u64,
    /// All that were ever appended.
    appended: usize,
}

/// The one log of all documents of a test, and what opens them.
#[derive(Default)]
pub struct LateLog {
    waiting: Arc<Mutex<Waiting>>,
    /// Documents that are to be opened.
    opening: Mutex<VecDeque<Opened>>,
    holds: AtomicBool,
}

impl std::fmt::Debug for LateLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LateLog")
    }
}

struct Handle(Arc<Mutex<Waiting>>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LateLog")
    }
}

impl Log for Handle {
    fn append(&mut self, publication: Publication, room: Arc<dyn Deliver>) -> Append {
        let mut waiting = self.0.lock().unwrap();
        let current = waiting.last + waiting.publications.len() as u64;
        if publication.after.is_some_and(|after| after != current) {
            return Append::Refused(Box::new(publication), Refusal::Stale { current, retry_in_ms: None });
        }
        waiting.appended += 1;
        waiting.publications.push_back((publication, room));
        Append::Later
    }
}

impl Opener for LateLog {
    fn open(&self, _: &Id, _: OpenedBy, opened: Opened) {
        if self.holds.load(Ordering::SeqCst) {
            self.opening.lock().unwrap().push_back(opened);
        } else {
            opened.done(self.log());
        }
    }
}

impl LateLog {
    fn log(&self) -> DocumentLog {
        DocumentLog::Other(Box::new(Handle(Arc::clone(&self.waiting))))
    }

    /// Documents are opened at once, and what is published waits.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Documents are opened when the test says so.
    pub fn slow_to_open() -> Arc<Self> {
        let log = Self::default();
        log.holds.store(true, Ordering::SeqCst);
        Arc::new(log)
    }

    /// Waits until as many have ever been appended.
    pub fn appended(&self, count: usize) {
        eventually("it was appended", || self.waiting.lock().unwrap().appended >= count);
    }

    /// How many were ever appended.
    pub fn appended_count(&self) -> usize {
        self.waiting.lock().unwrap().appended
    }

    /// Gives the oldest `count` their places.
    pub fn answer(&self, count: usize) {
        self.settle(count, |waiting| {
            waiting.last += 1;
            Ok(waiting.last)
        });
    }

    /// Refuses all that wait.
    pub fn fail(&self) {
        self.settle(usize::MAX, |_| Err(Refusal::Unavailable));
    }

    fn settle(&self, count: usize, outcome: impl Fn(&mut Waiting) -> Result<u64, Refusal>) {
        let mut waiting = self.waiting.lock().unwrap();
        let count = count.min(waiting.publications.len());
        let mut answers = Vec::new();
        let mut room = None;
        for _ in 0..count {
            let (publication, deliver) = waiting.publications.pop_front().unwrap();
            answers.push(Appended { publication, outcome: outcome(&mut waiting) });
            room = Some(deliver);
        }
        drop(waiting);
        if let Some(room) = room {
            room.deliver(answers);
        }
    }

    /// Tells the room of the oldest that waits whatever a log may say of it, all at once.
    pub fn say(&self, news: impl FnOnce(Publication) -> Vec<News>) {
        let (oldest, room) = self.waiting.lock().unwrap().publications.pop_front().unwrap();
        room.hear(news(oldest));
    }

    /// Waits until a document is to be opened, and does not open it yet.
    pub fn asked(&self) -> Opened {
        eventually("a document is to be opened", || !self.opening.lock().unwrap().is_empty());
        self.opening.lock().unwrap().pop_front().unwrap()
    }

    /// Opens it.
    pub fn open(&self, opened: Opened) {
        opened.done(self.log());
    }
}
