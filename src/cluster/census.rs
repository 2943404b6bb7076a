//! Who is in which process, as the processes tell one another: each what has changed, at most once a second, and all of it
//! to who asks. What is told has a number, so that who has missed something asks.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, BufMut};
use tokio::time::Instant;

use super::text::{put_text, take_text};
use crate::admission::elsewhere::{About, Census, Process};

/// Silence after which a process is taken for gone, with all who are in it.
const SILENCE: Duration = Duration::from_secs(7);

/// Bytes of a message, about: what is more goes into the next.
const MESSAGE_BYTES: usize = 64 << 10;

/// Processes that do not know this version pass over what it begins.
const VERSION: u8 = 1;

const TELLS: u8 = 0;
/// The same, and what was told before is void.
const TELLS_ANEW: u8 = 1;
const ASKS: u8 = 2;
const LEAVES: u8 = 3;

const DOCUMENT: u8 = 0;
const USER: u8 = 1;

/// What one process tells the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Tells(Tells),
    /// Process `by` has missed something, and wants to be told everything: of one process, or of all others where that is 0.
    Asks {
        of: u64,
        by: u64,
    },
    /// It ends.
    Leaves {
        process: u64,
    },
}

/// Some of who is in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tells {
    pub(super) process: u64,
    /// One more than that of the message before.
    pub(super) number: u64,
    /// What was told before is void.
    pub(super) anew: bool,
    pub(super) about: About,
    pub(super) connections: u32,
    /// Those that have changed, with what they are now; 0 for nobody.
    pub(super) changed: Changed,
}

/// Names with counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) documents: Vec<(Arc<str>, u32)>,
    pub(super) users: Vec<(Arc<str>, u32)>,
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Tells(tells) => {
                out.put_u8(if tells.anew { TELLS_ANEW } else { TELLS });
                out.put_u64(tells.process);
                out.put_u64(tells.number);
                put_text(&mut out, &tells.about.host);
                out.put_u32(tells.about.pid);
                out.put_u64(tells.about.since);
                put_text(&mut out, &tells.about.version);
                out.put_u32(tells.connections);
                for (kind, counts) in [(DOCUMENT, &tells.changed.documents), (USER, &tells.changed.users)] {
                    for (name, count) in counts {
                        out.put_u8(kind);
                        out.put_u32(*count);
                        put_text(&mut out, name);
                    }
                }
            }
            Self::Asks { of, by } => {
                out.put_u8(ASKS);
                out.put_u64(*of);
                out.put_u64(*by);
            }
            Self::Leaves { process } => {
                out.put_u8(LEAVES);
                out.put_u64(*process);
            }
        }
        out
    }

    /// Takes a message apart; `None` where this version cannot read it.
    pub(super) fn parse(mut from: &[u8]) -> Option<Self> {
        if from.try_get_u8().ok()? != VERSION {
            return None;
        }
        let kind = from.try_get_u8().ok()?;
        let process = from.try_get_u64().ok()?;
        match kind {
            TELLS | TELLS_ANEW => {}
            // Some processes do not say who they are.
            ASKS => return Some(Self::Asks { of: process, by: from.try_get_u64().unwrap_or(0) }),
            LEAVES => return Some(Self::Leaves { process }),
            _ => return None,
        }
        let number = from.try_get_u64().ok()?;
        let host = take_text(&mut from)?.to_owned();
        let (pid, since) = (from.try_get_u32().ok()?, from.try_get_u64().ok()?);
        let about = About { host, pid, since, version: take_text(&mut from)?.to_owned() };
        let connections = from.try_get_u32().ok()?;
        let mut changed = Changed::default();
        while let Ok(kind) = from.try_get_u8() {
            let count = from.try_get_u32().ok()?;
            let name = take_text(&mut from)?.into();
            match kind {
                DOCUMENT => changed.documents.push((name, count)),
                USER => changed.users.push((name, count)),
                _ => return None,
            }
        }
        Some(Self::Tells(Tells { process, number, anew: kind == TELLS_ANEW, about, connections, changed }))
    }
}

/// What this process has told the others of who is in it.
#[derive(Debug, Default)]
pub(super) struct Teller {
    documents: HashMap<Arc<str>, u32>,
    users: HashMap<Arc<str>, u32>,
    connections: Option<u32>,
    number: u64,
}

impl Teller {
    /// What is to be told now, one message behind the other; nothing where nothing has changed, unless `always`.
    pub(super) fn tell(
        &mut self,
        process: u64,
        about: &About,
        census: &Census,
        anew: bool,
        always: bool,
    ) -> Vec<Message> {
        if anew {
            *self = Self { number: self.number, ..Self::default() };
        }
        let documents = census.documents.iter().map(|(id, count)| (id.text(), *count));
        let documents = changes(&mut self.documents, documents);
        let users = changes(&mut self.users, census.users.iter().map(|(user, count)| (&**user, *count)));
        let connections = whole(census.connections);
        let is_same = self.connections.replace(connections) == Some(connections);
        if documents.is_empty() && users.is_empty() && is_same && !anew && !always {
            return Vec::new();
        }
        let mut parts = vec![Changed::default()];
        let mut bytes = 0;
        let all = documents.into_iter().map(|each| (true, each));
        for (is_document, (name, count)) in all.chain(users.into_iter().map(|each| (false, each))) {
            if bytes > MESSAGE_BYTES {
                bytes = 0;
                parts.push(Changed::default());
            }
            bytes += name.len() + 9;
            if let Some(part) = parts.last_mut() {
                let counts = if is_document { &mut part.documents } else { &mut part.users };
                counts.push((name, count));
            }
        }
        let message = |(index, changed)| {
            self.number += 1;
            let (number, anew, about) = (self.number, anew && index == 0, about.clone());
            Message::Tells(Tells { process, number, anew, about, connections, changed })
        };
        parts.into_iter().enumerate().map(message).collect()
    }
}

/// What is not as it was told, which is noted. Mostly that is nothing, of ten thousand documents, once a second: then nothing
/// is built anew. No name comes twice.
fn changes<'a>(
    told: &mut HashMap<Arc<str>, u32>,
    now: impl Iterator<Item = (&'a str, usize)> + Clone,
) -> Vec<(Arc<str>, u32)> {
    let (mut changed, mut there) = (Vec::new(), 0);
    for (name, count) in now.clone() {
        there += 1;
        let count = whole(count);
        match told.get_mut(name) {
            Some(before) if *before == count => {}
            Some(before) => {
                *before = count;
                changed.push((name.into(), count));
            }
            None => {
                let name: Arc<str> = name.into();
                told.insert(Arc::clone(&name), count);
                changed.push((name, count));
            }
        }
    }
    if told.len() > there {
        let there: HashSet<_> = now.map(|(name, _)| name).collect();
        let gone = told.extract_if(|name, _| !there.contains(&**name));
        changed.extend(gone.map(|(name, _)| (name, 0)));
    }
    changed
}

fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Who is in the other processes.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<u64, OfProcess>);

#[derive(Debug)]
struct OfProcess {
    about: About,
    connections: u32,
    documents: HashMap<Arc<str>, u32>,
    users: HashMap<Arc<str>, u32>,
    number: u64,
    heard: Instant,
}

impl Table {
    /// A process has told something; returns whether something before that is missing, so that it is to be asked.
    pub(super) fn hear(&mut self, tells: Tells) -> bool {
        let Tells { process, number, anew, about, connections, changed } = tells;
        if anew {
            let (documents, users) = (HashMap::new(), HashMap::new());
            let heard = Instant::now();
            let of =
                OfProcess { about, connections, documents, users, number: number.wrapping_sub(1), heard };
            self.0.insert(process, of);
        }
        let Some(of) = self.0.get_mut(&process) else { return true };
        of.heard = Instant::now();
        if number != of.number.wrapping_add(1) {
            return true;
        }
        (of.number, of.connections) = (number, connections);
        note(&mut of.documents, changed.documents);
        note(&mut of.users, changed.users);
        false
    }

    pub(super) fn leave(&mut self, process: u64) {
        self.0.remove(&process);
    }

    /// Forgets those that have said nothing for too long.
    pub(super) fn forget_silent(&mut self) {
        self.0.retain(|_, of| of.is_there());
    }

    fn there(&self) -> impl Iterator<Item = (&u64, &OfProcess)> {
        self.0.iter().filter(|(_, of)| of.is_there())
    }

    pub(super) fn of_user(&self, user: &str) -> usize {
        self.there().filter_map(|(_, of)| of.users.get(user)).map(|count| *count as usize).sum()
    }

    pub(super) fn of_document(&self, document: &str) -> usize {
        self.there().filter_map(|(_, of)| of.documents.get(document)).map(|count| *count as usize).sum()
    }

    /// What names the processes.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.there().map(|(id, _)| *id)
    }

    /// The processes.
    pub(super) fn processes(&self) -> Vec<Process> {
        let process = |(id, of): (&u64, &OfProcess)| Process {
            id: *id,
            about: of.about.clone(),
            connections: of.connections as usize,
            documents: of.documents.len(),
        };
        self.there().map(process).collect()
    }

    /// Adds the connections that each document has.
    pub(super) fn add_documents(&self, to: &mut HashMap<Arc<str>, usize>) {
        for (name, count) in self.there().flat_map(|(_, of)| &of.documents) {
            *to.entry(Arc::clone(name)).or_default() += *count as usize;
        }
    }
}

impl OfProcess {
    fn is_there(&self) -> bool {
        self.heard.elapsed() <= SILENCE
    }
}

fn note(counts: &mut HashMap<Arc<str>, u32>, changed: Vec<(Arc<str>, u32)>) {
    for (name, count) in changed {
        if count == 0 {
            counts.remove(&name);
        } else {
            counts.insert(name, count);
        }
    }
}

#[cfg(test)]
mod tests;
