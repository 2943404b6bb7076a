//! Editors that all type at once, in virtual time, over the real authority: how long until what was typed is confirmed.
//!
//! Each editor is an unchanged `prosemirror-collab` client: one batch in flight, which holds all that is not confirmed, sent
//! again when it was refused. Each types 5 characters a second.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use crate::document::authority::{Attempt, Authority, Turns, Verdict};

/// Microseconds, since what happens at once on a line of some milliseconds must not.
type Time = u64;

const SECOND: Time = 1_000_000;

/// What happens, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// An editor types a character.
    Type(usize),
    /// A batch arrives at the authority, with how many characters.
    Arrive(usize, u64, u32),
    /// A batch is on disk.
    Stored { author: usize, before: u64, count: u32 },
    /// A batch arrives at an editor, its own or not.
    Delivered { to: usize, author: usize, after: u64, count: u32 },
    /// A refusal arrives at an editor.
    Refused(usize, u32),
    /// An editor that was refused has waited.
    Again(usize),
    /// An editor that waits for nothing sends once more.
    Hammer(usize),
}

/// How an editor behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It waits as long as it is told.
    Patient,
    /// It sends every 5 ms, whatever it is told.
    Hammering,
    /// Whenever it is refused its steps come to nothing, so that it does not come again.
    Vanishing,
}

struct Editor {
    manner: Manner,
    /// Its way in one direction.
    way: Time,
    /// Up to where it has seen the document.
    version: u64,
    /// When each character was typed that is not confirmed.
    unconfirmed: VecDeque<Time>,
    is_in_flight: bool,
    /// When the last thing that was sent to it arrives: what is sent later arrives later.
    last_arrival: Time,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) editors: usize,
    /// Every fourth has a round trip of 200 ms, as opposed to 50 ms.
    pub(super) is_unequal: bool,
    /// How the first editor behaves; the others are patient.
    pub(super) first: Manner,
    pub(super) turns: Turns,
    /// Between how many milliseconds an accepted batch needs until it is on disk and delivered.
    pub(super) store: (Time, Time),
    pub(super) seconds: u64,
    pub(super) seed: u64,
}

/// What it showed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    /// Which editor waited how long for a character, in milliseconds; what was not confirmed in the end counts with its time
    /// until then.
    waits: Vec<(usize, u64)>,
}

impl Outcome {
    /// The median, 99 of 100 and the longest wait of the editors that `are_meant`.
    pub(super) fn waits(&self, are_meant: impl Fn(usize) -> bool) -> [u64; 3] {
        let meant = self.waits.iter().filter(|(editor, _)| are_meant(*editor));
        let mut waits: Vec<_> = meant.map(|(_, wait)| *wait).collect();
        waits.sort_unstable();
        [500, 990, 1000].map(|of_1000| waits[(waits.len() * of_1000 / 1000).min(waits.len() - 1)])
    }

    pub(super) fn of_all(&self) -> [u64; 3] {
        self.waits(|_| true)
    }
}

struct World {
    run: Run,
    now: Time,
    random: u64,
    queue: BinaryHeap<Reverse<(Time, u64, Event)>>,
    /// Tells apart what happens at one time, in the order in which it was caused.
    number: u64,
    editors: Vec<Editor>,
    authority: Authority,
    /// Batches that are not on disk yet.
    pending: u32,
    last_stored: Time,
    /// Refusals that wait until what was accepted before them is delivered: up to which version.
    held: Vec<(u64, usize, u32)>,
    outcome: Outcome,
}

impl Run {
    pub(super) fn play(self) -> Outcome {
        let way = |index| if self.is_unequal && index % 4 == 0 { 100_000 } else { 25_000 };
        let editor = |index| Editor {
            manner: if index == 0 { self.first } else { Manner::Patient },
            way: way(index),
            version: 0,
            unconfirmed: VecDeque::new(),
            is_in_flight: false,
            last_arrival: 0,
        };
        let mut world = World {
            run: self,
            now: 0,
            random: self.seed,
            queue: BinaryHeap::new(),
            number: 0,
            editors: (0..self.editors).map(editor).collect(),
            authority: Authority::with_turns(0, self.turns),
            pending: 0,
            last_stored: 0,
            held: Vec::new(),
            outcome: Outcome::default(),
        };
        for index in 0..self.editors {
            let first = world.between(0, SECOND / 5);
            world.at(first, Event::Type(index));
            if world.editors[index].manner == Manner::Hammering {
                world.at(first, Event::Hammer(index));
            }
        }
        while let Some(Reverse((time, _, event))) = world.queue.pop() {
            if time > self.seconds * SECOND {
                break;
            }
            world.now = time;
            world.happen(event);
        }
        world.end()
    }
}

impl World {
    fn between(&mut self, low: Time, high: Time) -> Time {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (self.random >> 33) % (high - low)
    }

    fn at(&mut self, time: Time, event: Event) {
        self.number += 1;
        self.queue.push(Reverse((time, self.number, event)));
    }

    /// The time of one way, a fifth more or less.
    fn way(&mut self, index: usize) -> Time {
        let way = self.editors[index].way;
        self.between(way * 8 / 10, way * 12 / 10)
    }

    fn tell(&mut self, index: usize, event: Event) {
        let arrival = (self.now + self.way(index)).max(self.editors[index].last_arrival);
        self.editors[index].last_arrival = arrival;
        self.at(arrival, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Type(index) => {
                self.editors[index].unconfirmed.push_back(self.now);
                self.send(index);
                let next = self.between(SECOND / 10, SECOND * 3 / 10);
                self.at(self.now + next, Event::Type(index));
            }
            Event::Arrive(index, version, count) => self.arrive(index, version, count),
            Event::Stored { author, before, count } => self.stored(author, before, count),
            Event::Delivered { to, author, after, count } => {
                let editor = &mut self.editors[to];
                assert_eq!(editor.version + u64::from(count), after, "delivered without a gap");
                editor.version = after;
                if to == author {
                    let confirmed = editor.unconfirmed.drain(..count as usize);
                    self.outcome.waits.extend(confirmed.map(|typed| (to, (self.now - typed) / 1000)));
                    editor.is_in_flight = false;
                }
                self.send(to);
            }
            Event::Refused(index, retry) => {
                self.at(self.now + Time::from(retry) * 1000, Event::Again(index));
            }
            Event::Again(index) => {
                let editor = &mut self.editors[index];
                if editor.manner == Manner::Vanishing {
                    editor.unconfirmed.clear();
                }
                editor.is_in_flight = false;
                self.send(index);
            }
            Event::Hammer(index) => {
                self.editors[index].is_in_flight = false;
                self.send(index);
                self.at(self.now + 5_000, Event::Hammer(index));
            }
        }
    }

    fn send(&mut self, index: usize) {
        let editor = &mut self.editors[index];
        if editor.is_in_flight || editor.unconfirmed.is_empty() {
            return;
        }
        editor.is_in_flight = true;
        let (version, count) = (editor.version, u32::try_from(editor.unconfirmed.len()).unwrap());
        let arrival = self.now + self.way(index);
        self.at(arrival, Event::Arrive(index, version, count));
    }

    fn arrive(&mut self, index: usize, version: u64, count: u32) {
        let attempt = Attempt { writer: index as u64, version, count };
        match self.authority.submit(attempt, self.now / 1000) {
            Verdict::Accepted { before, after } => {
                assert_eq!((before, after), (version, version + u64::from(count)));
                self.outcome.accepted += 1;
                self.pending += 1;
                let stored = (self.now + self.between(self.run.store.0 * 1000, self.run.store.1 * 1000))
                    .max(self.last_stored);
                self.last_stored = stored;
                self.at(stored, Event::Stored { author: index, before, count });
            }
            Verdict::Stale { retry_in_ms } => {
                self.outcome.refused += 1;
                let retry = retry_in_ms.unwrap_or_default();
                if self.pending == 0 {
                    self.tell(index, Event::Refused(index, retry));
                } else {
                    self.held.push((self.authority.head(), index, retry));
                }
            }
            Verdict::Ahead => panic!("no editor has seen what was not delivered"),
        }
    }

    fn stored(&mut self, author: usize, before: u64, count: u32) {
        self.pending -= 1;
        let after = before + u64::from(count);
        self.authority.delivered(after);
        for to in 0..self.run.editors {
            self.tell(to, Event::Delivered { to, author, after, count });
        }
        for (_, index, retry) in self.held.extract_if(.., |(head, ..)| *head <= after).collect::<Vec<_>>() {
            self.tell(index, Event::Refused(index, retry));
        }
    }

    fn end(mut self) -> Outcome {
        let end = self.run.seconds * SECOND;
        for (index, editor) in self.editors.iter().enumerate() {
            self.outcome.waits.extend(editor.unconfirmed.iter().map(|typed| (index, (end - typed) / 1000)));
        }
        self.outcome
    }
}
