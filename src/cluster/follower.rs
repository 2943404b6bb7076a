//! How a process follows the log of one document: what comes, by whatever way and in whatever order, becomes news for the
//! room in the order of the offsets. No I/O, no clock.
//!
//! A batch is known by where it stands, and by behind what. Pushes and answers may come over two connections, one ahead
//! of the other; what comes before its turn waits, and what does not come is read from the stream.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    entry,
    wire::{Entry, Mark, Outcome, Push, Reading, Reply},
};
use crate::{
    ids::Epoch,
    room::{
        document_log::{Appended, News, Start, Stood},
        publication::{Publication, Refusal},
    },
};

/// Bytes of other processes' publications that may wait for their turn. What is more is read from the stream.
const MAX_EARLY_BYTES: usize = 4 << 20;

/// A batch of this process, or of another.
#[derive(Debug)]
pub(super) enum Said {
    /// The publications as they were given to the log.
    Own(Vec<Publication>),
    /// What another has written.
    Elsewhere(Vec<Bytes>),
}

impl Said {
    fn bytes(&self) -> usize {
        match self {
            Self::Own(_) => 0,
            Self::Elsewhere(said) => said.iter().map(Bytes::len).sum(),
        }
    }
}

/// What is asked of a log, and what was known by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asks {
    epoch: Epoch,
    at: Mark,
    waiting: Option<u64>,
    /// All of it is to be read, whatever was known.
    is_whole: bool,
}

impl Asks {
    /// From where the log is to be read; `None` for all of it.
    pub(super) fn from(&self) -> Option<u64> {
        (!self.is_whole).then_some(self.at.offset)
    }

    /// The same for all of the log.
    pub(super) fn all(self) -> Self {
        Self { is_whole: true, ..self }
    }
}

/// What is still to be done when a log was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Next {
    #[default]
    Nothing,
    /// More has come since it was asked, and nobody can tell from what was read whether that stands there: it is to be read
    /// again.
    ReadAgain,
    /// It is another one, and all of it has to be read to go on with it.
    ReadAll,
}

/// What comes of reading a log.
#[derive(Debug, Default)]
pub(super) struct CaughtUp {
    pub(super) news: Vec<News>,
    /// What this process has appended to a log that is no more: it is to be appended again, before anything else of it.
    pub(super) void: Vec<Publication>,
    /// Whether the log is another one.
    pub(super) is_restarted: bool,
    /// What is still to be done; then nothing was changed.
    pub(super) next: Next,
}

/// Where a process stands in the log of one document.
#[derive(Debug)]
pub(super) struct Follower {
    epoch: Epoch,
    /// Up to where the room has everything.
    at: Mark,
    /// What came before its turn, by its first offset.
    early: BTreeMap<u64, (Reply, Said)>,
    early_bytes: usize,
    /// Whether the document has an authority: then all of another log is needed.
    is_kept: bool,
    /// Publications that were refused, and behind which offset that is to be said: their authors have to see first what took
    /// their place.
    refused: Vec<(u64, Appended)>,
}

impl Follower {
    /// Begins where a log stands, with what the room is to remember of it.
    pub(super) fn begin(reading: &Reading) -> (Self, Start) {
        let follower = Self {
            epoch: reading.epoch,
            at: reading.top,
            early: BTreeMap::new(),
            early_bytes: 0,
            is_kept: reading.kept.is_some(),
            refused: Vec::new(),
        };
        (follower, start(reading))
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn at(&self) -> Mark {
        self.at
    }

    /// Whether something waits for what has not come.
    pub(super) fn has_gap(&self) -> bool {
        !(self.early.is_empty() && self.refused.is_empty())
    }

    /// From where the log is to be read, and the first offset of the last batch that waits: what is read later has that, too.
    pub(super) fn asks(&self) -> Asks {
        let waiting = self.early.last_key_value().map(|(first, _)| *first);
        Asks { epoch: self.epoch, at: self.at, waiting, is_whole: false }
    }

    /// A batch of this process was answered, or has come back.
    pub(super) fn own(&mut self, reply: Reply, publications: Vec<Publication>, news: &mut Vec<News>) {
        if reply.appended() == 0 && reply.epoch == self.epoch && reply.previous.offset > self.at.offset {
            // What was there before has not come yet.
            let mut answers = Vec::new();
            put_out(&reply, Said::Own(publications), false, &mut answers);
            for answer in answers {
                match answer {
                    News::Late(refused) if matches!(refused.outcome, Err(Refusal::Stale { .. })) => {
                        self.refused.push((reply.previous.offset, refused));
                    }
                    other => news.push(other),
                }
            }
            return;
        }
        self.take(reply, Said::Own(publications), news);
    }

    /// Those are told that they were refused who have seen by now what was there before.
    fn refuse(&mut self, up_to: u64, news: &mut Vec<News>) {
        let told = self.refused.extract_if(.., |(behind, _)| *behind <= up_to);
        news.extend(told.map(|(_, refused)| News::Late(refused)));
    }

    /// A batch of another process has come, or one of this process that it has given up.
    pub(super) fn push(&mut self, push: Push, news: &mut Vec<News>) {
        self.take(push.reply, Said::Elsewhere(push.said), news);
    }

    fn take(&mut self, reply: Reply, said: Said, news: &mut Vec<News>) {
        let Some(last) = reply.last() else {
            // Nothing of it is new.
            return put_out(&reply, said, false, news);
        };
        if reply.epoch == self.epoch && reply.previous == self.at {
            self.at = last;
            put_out(&reply, said, true, news);
            self.go_on(news);
            return self.refuse(self.at.offset, news);
        }
        if reply.epoch == self.epoch && last.offset <= self.at.offset {
            // It was read from the stream meanwhile.
            return put_out(&reply, said, false, news);
        }
        if self.early.contains_key(&reply.first) {
            // An answer of this process's own is worth more than what it was told of it.
            if matches!(said, Said::Elsewhere(_)) {
                return;
            }
        }
        self.early_bytes += said.bytes();
        if let Some((_, replaced)) = self.early.insert(reply.first, (reply, said)) {
            self.early_bytes -= replaced.bytes();
        }
        if self.early_bytes > MAX_EARLY_BYTES {
            self.early.retain(|_, (_, said)| matches!(said, Said::Own(_)));
            self.early_bytes = 0;
        }
    }

    /// What has waited goes out, as far as nothing is missing.
    fn go_on(&mut self, news: &mut Vec<News>) {
        while let Some(first) = self.early.first_entry() {
            let (reply, _) = first.get();
            let Some(last) = reply.last() else { unreachable!("what appends nothing never waits") };
            let is_next = reply.epoch == self.epoch && reply.previous == self.at;
            let is_old = reply.epoch == self.epoch && last.offset <= self.at.offset;
            if !is_next && !is_old {
                return;
            }
            let (reply, said) = first.remove();
            self.early_bytes -= said.bytes();
            if is_next {
                self.at = last;
            }
            put_out(&reply, said, is_next, news);
        }
    }

    /// The log was read from where this process stood when it asked, its last entry included. Where it is not the one that the
    /// room was given, the room begins anew.
    pub(super) fn caught_up(&mut self, asked: Asks, reading: &Reading) -> CaughtUp {
        let mut caught_up = CaughtUp::default();
        let CaughtUp { news, void, .. } = &mut caught_up;
        let (mut at, mut found) = (asked.at, Vec::new());
        let follows = reading.epoch == asked.epoch && follow(&mut at, reading, &mut found);
        let has_moved = self.epoch != asked.epoch || self.at != asked.at;
        if !has_moved && !follows && self.is_kept && !asked.is_whole {
            return CaughtUp { next: Next::ReadAll, ..caught_up };
        }
        if !has_moved && !follows {
            self.restart(reading, news, void);
            return CaughtUp { is_restarted: true, ..caught_up };
        }
        if has_moved && !(follows && self.epoch == asked.epoch && self.leave_out(at, &mut found)) {
            return CaughtUp { next: Next::ReadAgain, ..caught_up };
        }
        if at.offset > self.at.offset {
            self.at = at;
        }
        news.extend(found.into_iter().filter_map(|entry| stood(entry, reading.now)).map(News::Elsewhere));
        self.go_on(news);
        self.refuse(self.at.offset, news);
        self.give_up(asked, void);
        caught_up
    }

    /// Leaves out of what was read, up to `top`, what has come since it was asked; returns whether that stands there, or behind
    /// it.
    fn leave_out(&self, top: Mark, found: &mut Vec<&Entry>) -> bool {
        if self.at.offset > top.offset {
            found.clear();
            return true;
        }
        let Some(last) = found.iter().position(|entry| entry.mark == self.at) else { return false };
        found.drain(..=last);
        true
    }

    /// What came before the log was read and still waits stood in a log that is no more.
    fn give_up(&mut self, asked: Asks, void: &mut Vec<Publication>) {
        let Some(waiting) = asked.waiting else { return };
        let behind = self.early.split_off(&(waiting + 1));
        let given_up = std::mem::replace(&mut self.early, behind);
        for (_, said) in given_up.into_values() {
            self.early_bytes -= said.bytes();
            if let Said::Own(publications) = said {
                void.extend(publications);
            }
        }
    }

    /// The log is another one: the room begins anew with that.
    pub(super) fn restart(&mut self, reading: &Reading, news: &mut Vec<News>, void: &mut Vec<Publication>) {
        self.epoch = reading.epoch;
        self.at = reading.top;
        self.refuse(u64::MAX, news);
        news.push(News::Restart(start(reading)));
        let early = std::mem::take(&mut self.early);
        self.early_bytes = 0;
        for (reply, said) in early.into_values() {
            let still_stands =
                |last: Mark| last == reading.top || reading.entries.iter().any(|each| each.mark == last);
            match said {
                Said::Own(_) if reply.epoch == self.epoch && reply.last().is_some_and(still_stands) => {
                    put_out(&reply, said, false, news);
                }
                Said::Own(publications) => void.extend(publications),
                // It may be behind what was read.
                Said::Elsewhere(_) => self.take(reply, said, news),
            }
        }
    }
}

/// Goes from a place in a log along what was read of it; returns whether that leads to where it stands.
fn follow<'a>(at: &mut Mark, reading: &'a Reading, found: &mut Vec<&'a Entry>) -> bool {
    let from = at.offset;
    let mut entries = reading.entries.iter().skip_while(|entry| entry.mark.offset < from).peekable();
    if let Some(same) = entries.next_if(|first| first.mark.offset == at.offset)
        && same.mark != *at
    {
        return false;
    }
    for entry in entries {
        // What is missing was trimmed, or never was.
        if entry.previous != *at {
            return false;
        }
        *at = entry.mark;
        found.push(entry);
    }
    *at == reading.top
}

/// Where a room begins: with as much as stands before the top without a gap.
fn start(reading: &Reading) -> Start {
    let (before, history) = history(reading);
    Start { epoch: reading.epoch, before, history }
}

/// What stands before the top without a gap, and the offset before that.
pub(super) fn history(reading: &Reading) -> (u64, Vec<Stood>) {
    let mut before = reading.top;
    let mut history = Vec::new();
    for entry in reading.entries.iter().rev() {
        let Some(stood) = stood(entry, reading.now).filter(|_| entry.mark == before) else { break };
        before = entry.previous;
        history.push(stood);
    }
    history.reverse();
    (before.offset, history)
}

fn stood(entry: &Entry, now: u64) -> Option<Stood> {
    let Some(publication) = entry::decode(&entry.said) else {
        log::error!("an entry at offset {} cannot be read: written by another version?", entry.mark.offset);
        return None;
    };
    let age = u32::try_from(now.saturating_sub(entry.at)).unwrap_or(u32::MAX / 2);
    Some(Stood { publication, offset: entry.mark.offset, age })
}

/// What a batch says to the room; `is_new` where it was not given that before.
fn put_out(reply: &Reply, said: Said, is_new: bool, news: &mut Vec<News>) {
    let mut offset = reply.first;
    match said {
        Said::Own(publications) => {
            for (publication, outcome) in publications.into_iter().zip(&reply.outcomes) {
                let outcome = match outcome {
                    Outcome::Appended => {
                        offset += 1;
                        Ok(offset - 1)
                    }
                    Outcome::Duplicate => Err(Refusal::Duplicate),
                    Outcome::Fenced => Err(Refusal::Unavailable),
                    Outcome::Full => Err(Refusal::Full),
                    Outcome::Stale(current) => Err(Refusal::Stale { current: *current, retry_in_ms: None }),
                };
                let appended = Appended { publication, outcome };
                news.push(if is_new { News::Answer(appended) } else { News::Late(appended) });
            }
        }
        Said::Elsewhere(_) if !is_new => {}
        Said::Elsewhere(said) => {
            for payload in said {
                match entry::decode(&payload) {
                    Some(publication) => news.push(News::Elsewhere(Stood { publication, offset, age: 0 })),
                    None => log::error!("a publication at offset {offset} cannot be read: another version?"),
                }
                offset += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
