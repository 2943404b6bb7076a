//! What the scripts answer and publish, taken apart.

use std::str::FromStr;

use bytes::Bytes;
use redis::Value;

use super::entry;
use crate::ids::Epoch;

/// A place in a log: an offset, and what was written there. Where both are equal so is everything before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) nonce: u64,
}

/// What became of one publication of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has the next offset.
    Appended,
    /// Its client had sent it before.
    Duplicate,
    /// Something else stands where it was to stand, behind this offset.
    Stale(u64),
    /// Its client has begun anew elsewhere, and was told that it was not published.
    Fenced,
    /// There is no place for it before the document was saved.
    Full,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) epoch: Epoch,
    /// Of what was appended.
    pub(super) nonce: u64,
    /// Behind what it was appended.
    pub(super) previous: Mark,
    /// The offset of the first that was appended.
    pub(super) first: u64,
    /// The server's clock, in milliseconds.
    pub(super) at: u64,
    pub(super) outcomes: Vec<Outcome>,
}

impl Reply {
    /// How many were appended.
    pub(super) fn appended(&self) -> u64 {
        self.outcomes.iter().filter(|outcome| **outcome == Outcome::Appended).count() as u64
    }

    /// Where the log stands behind it; `None` where nothing was appended.
    pub(super) fn last(&self) -> Option<Mark> {
        let appended = self.appended();
        (appended > 0).then(|| Mark { offset: self.first + appended - 1, nonce: self.nonce })
    }
}

impl FromStr for Reply {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(());
        Ok(Self {
            epoch: word()?.parse()?,
            nonce: nonce(word()?)?,
            previous: Mark { nonce: nonce(word()?)?, offset: number(word()?)? },
            first: number(word()?)?,
            at: number(word()?)?,
            outcomes: word()?.split(',').map(outcome).collect::<Result<_, _>>()?,
        })
    }
}

fn outcome(text: &str) -> Result<Outcome, ()> {
    match (text, text.strip_prefix('s')) {
        ("a", _) => Ok(Outcome::Appended),
        ("d", _) => Ok(Outcome::Duplicate),
        ("f", _) => Ok(Outcome::Fenced),
        ("l", _) => Ok(Outcome::Full),
        (_, Some(current)) => Ok(Outcome::Stale(number(current)?)),
        _ => Err(()),
    }
}

fn number(text: &str) -> Result<u64, ()> {
    text.parse().map_err(|_| ())
}

fn nonce(text: &str) -> Result<u64, ()> {
    u64::from_str_radix(text, 16).map_err(|_| ())
}

/// A nonce as the scripts keep it.
pub(super) fn nonce_text(nonce: u64) -> String {
    format!("{nonce:016x}")
}

/// What a process tells all of a batch.
#[derive(Debug)]
pub(super) struct Push {
    /// Whose batch it is.
    pub(super) process: u64,
    /// Which of that process's.
    pub(super) number: u64,
    pub(super) reply: Reply,
    /// What was appended, one behind the other.
    pub(super) said: Vec<Bytes>,
}

impl Push {
    /// The offsets of messages of route handlers.
    pub(super) fn messages(&self) -> impl Iterator<Item = u64> {
        let offsets = (self.reply.first..).zip(&self.said);
        offsets.filter(|(_, said)| entry::is_message(said)).map(|(offset, _)| offset)
    }

    /// Takes a message of a document's channel apart.
    pub(super) fn parse(message: Vec<u8>) -> Option<Self> {
        let message = Bytes::from(message);
        let end = message.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&message[..end]).ok()?;
        let (process, rest) = head.split_once(' ')?;
        let (batch, reply) = rest.split_once(' ')?;
        let reply: Reply = reply.parse().ok()?;
        let mut said = Vec::new();
        let mut rest = message.slice(end + 1..);
        while !rest.is_empty() {
            let colon = rest.iter().position(|byte| *byte == b':')?;
            let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
            let body = colon + 1;
            let end = body.checked_add(length).filter(|end| *end <= rest.len())?;
            said.push(rest.slice(body..end));
            rest = rest.slice(end..);
        }
        if said.len() as u64 != reply.appended() {
            return None;
        }
        Some(Self { process: nonce(process).ok()?, number: number(batch).ok()?, reply, said })
    }
}

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mark: Mark,
    pub(super) previous: Mark,
    /// The server's clock when it was written, in milliseconds.
    pub(super) at: u64,
    pub(super) said: Bytes,
}

impl Entry {
    fn of(value: Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let [id, fields] = <[Value; 2]>::try_from(parts).ok()?;
        let Value::Array(fields) = fields else { return None };
        let [_, Value::BulkString(value)] = <[Value; 2]>::try_from(fields).ok()? else { return None };
        let offset = number(text(&id)?.split('-').next()?).ok()?;
        let value = Bytes::from(value);
        let mut words = [0; 4];
        let mut from = 0;
        for word in &mut words {
            from += value[from..].iter().position(|byte| *byte == b' ')? + 1;
            *word = from;
        }
        let word = |begin: usize, end: usize| std::str::from_utf8(&value[begin..end - 1]).ok();
        let [a, b, c, d] = words;
        Some(Self {
            mark: Mark { offset, nonce: nonce(word(0, a)?).ok()? },
            previous: Mark { nonce: nonce(word(a, b)?).ok()?, offset: number(word(b, c)?).ok()? },
            at: number(word(c, d)?).ok()?,
            said: value.slice(d..),
        })
    }
}

/// A log as it was read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) epoch: Epoch,
    /// Where it stands.
    pub(super) top: Mark,
    /// The server's clock, in milliseconds.
    pub(super) now: u64,
    /// From where it was read on.
    pub(super) entries: Vec<Entry>,
    /// Who looks after the document; empty where nobody does, or where nobody has asked.
    pub(super) holder: String,
    /// What is kept of a document with an authority, where that was asked for.
    pub(super) kept: Option<KeptState>,
}

/// What is kept of a document with an authority, beside its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptState {
    /// The version behind the last entry.
    pub(super) version: u64,
    /// What its entries are, as it was named.
    pub(super) kind: String,
    /// The version of the snapshot.
    pub(super) base: u64,
    pub(super) doc: String,
    /// The version that the app has.
    pub(super) saved: u64,
    /// The version of a save whose end was not noted.
    pub(super) saving: Option<u64>,
    /// Who has loaded it.
    pub(super) by: String,
}

impl Reading {
    /// Takes the answer of the script apart.
    pub(super) fn parse(value: Value) -> Option<Self> {
        let Value::Array(mut parts) = value else { return None };
        let more = parts.split_off(parts.len().min(5));
        let [epoch, offset, nonce_at, now, entries] = <[Value; 5]>::try_from(parts).ok()?;
        let Value::Array(entries) = entries else { return None };
        Some(Self {
            epoch: text(&epoch)?.parse().ok()?,
            top: Mark { offset: number(text(&offset)?).ok()?, nonce: nonce(text(&nonce_at)?).ok()? },
            now: number(text(&now)?).ok()?,
            entries: entries.into_iter().map(Entry::of).collect::<Option<_>>()?,
            holder: more.first().map_or(Some(""), text)?.to_owned(),
            kept: if more.len() < 2 { None } else { Some(KeptState::of(&more[1..])?) },
        })
    }
}

impl KeptState {
    fn of(parts: &[Value]) -> Option<Self> {
        let words: Vec<_> = parts.iter().map(text).collect::<Option<_>>()?;
        let [version, kind, base, doc, saved, saving, by] = words[..] else { return None };
        Some(Self {
            version: number(version).ok()?,
            kind: kind.to_owned(),
            base: number(base).ok()?,
            doc: doc.to_owned(),
            saved: number(saved).ok()?,
            saving: if saving.is_empty() { None } else { Some(number(saving).ok()?) },
            by: by.to_owned(),
        })
    }
}

/// The text of an answer that is one.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Outcome, Push, Reply};

    const REPLY: &str = "00000000000000ff 0000000000000002 0000000000000001 9 10 1700000000000 a,d,a,s11,f";

    #[test]
    fn a_reply_says_what_became_of_each() {
        let reply: Reply = REPLY.parse().unwrap();
        assert_eq!(reply.previous, Mark { offset: 9, nonce: 1 });
        let expected =
            [Outcome::Appended, Outcome::Duplicate, Outcome::Appended, Outcome::Stale(11), Outcome::Fenced];
        assert_eq!(reply.outcomes, expected);
        assert_eq!(reply.last(), Some(Mark { offset: 11, nonce: 2 }));
        for cut in ["", "00000000000000ff", &REPLY.replace(" a,d", ""), &REPLY.replace("a,d", "b")] {
            assert!(cut.parse::<Reply>().is_err(), "{cut}");
        }
    }

    #[test]
    fn a_push_has_what_was_said_whatever_bytes_that_are() {
        let push = Push::parse(format!("00000000000000aa 7 {REPLY}\n3:a:b4:\nü1").into_bytes()).unwrap();
        assert_eq!((push.process, push.number), (0xaa, 7));
        assert_eq!(push.said, [&b"a:b"[..], "\nü1".as_bytes()]);
        for wrong in ["3:a:b", "3:a:b9:x", "", "3:abc1:x1:y"] {
            assert!(Push::parse(format!("00000000000000aa 7 {REPLY}\n{wrong}").into_bytes()).is_none());
        }
    }
}
