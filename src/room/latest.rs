//! What the members of a room have sent that outlives the message: their newest awareness and selection, for those who
//! come later, and the number of their last message that was applied, for those who ask whether it was.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{ids::Topic, recovery::shown::Shown};

/// Longest frame that is kept: what is longer is no cursor.
const MAX_FRAME_BYTES: usize = 16 << 10;

/// The place of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

/// One place a member.
#[derive(Debug, Default)]
pub(super) struct Latest {
    /// `None` for a member that has sent none of it, and for a free place.
    places: Vec<Option<Box<OfMember>>>,
    free: Vec<u32>,
    /// What all show, for the next one who joins: a thousand who come back at once share one copy.
    shown: Option<Bytes>,
}

#[derive(Debug, Default)]
struct OfMember {
    shows: Shown,
    applied: u64,
}

impl Latest {
    /// A place for a member whose last applied message has this number, and which goes on to show this.
    pub(super) fn enter(&mut self, applied: u64, shows: Option<Box<Shown>>) -> Place {
        if shows.is_some() {
            self.shown = None;
        }
        let shows = shows.map(|shows| *shows);
        let latest = (applied > 0 || shows.is_some())
            .then(|| Box::new(OfMember { applied, shows: shows.unwrap_or_default() }));
        if let Some(free) = self.free.pop() {
            self.places[free as usize] = latest;
            return Place(free);
        }
        self.places.push(latest);
        // A room with more than 4 billion members does not fit into memory.
        Place(u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX))
    }

    /// Gives a place back; returns the number of the last applied message, and what was shown.
    pub(super) fn leave(&mut self, place: Place) -> (u64, Option<Box<Shown>>) {
        let latest = self.places[place.0 as usize].take();
        let (applied, shows) = latest.map_or((0, None), |latest| {
            let OfMember { applied, shows } = *latest;
            (applied, (!shows.is_empty()).then(|| Box::new(shows)))
        });
        self.shown = None;
        self.free.push(place.0);
        if self.free.len() == self.places.len() {
            *self = Self::default();
        }
        (applied, shows)
    }

    /// The number of the last applied message; 0 before the first.
    pub(super) fn applied(&self, place: Place) -> u64 {
        self.places[place.0 as usize].as_ref().map_or(0, |latest| latest.applied)
    }

    /// Whether a message with this number has not been applied before.
    pub(super) fn is_new(&self, place: Place, number: u64) -> bool {
        number > self.applied(place)
    }

    /// A message with this number was applied.
    pub(super) fn apply(&mut self, place: Place, number: u64) {
        let latest = self.of(place);
        latest.applied = latest.applied.max(number);
    }

    /// Keeps a member's newest frame of a topic that says what is true now.
    pub(super) fn keep(&mut self, place: Place, topic: Topic, frame: &[u8]) {
        self.shown = None;
        let Some(kept) = self.of(place).shows.of(topic) else { return };
        kept.clear();
        if frame.len() <= MAX_FRAME_BYTES {
            kept.extend_from_slice(frame);
        }
    }

    /// Forgets what a member has shown.
    pub(super) fn hide(&mut self, place: Place) {
        self.shown = None;
        if let Some(latest) = &mut self.places[place.0 as usize] {
            latest.shows = Shown::default();
        }
    }

    /// What a member shows.
    pub(super) fn shows(&self, place: Place) -> Option<&Shown> {
        self.places[place.0 as usize].as_ref().map(|latest| &latest.shows)
    }

    /// What all members show, up to `max_bytes`, which is the same for each call; whoever is left out shows it with the next
    /// message.
    pub(super) fn shown(&mut self, max_bytes: usize) -> Bytes {
        if let Some(shown) = &self.shown {
            return shown.clone();
        }
        let mut out = BytesMut::new();
        for latest in self.places.iter().flatten() {
            for frame in latest.shows.frames() {
                if out.len() + frame.len() <= max_bytes {
                    out.put_slice(frame);
                }
            }
        }
        self.shown.insert(out.freeze()).clone()
    }

    fn of(&mut self, place: Place) -> &mut OfMember {
        self.places[place.0 as usize].get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Latest, MAX_FRAME_BYTES, Topic};

    #[test]
    fn the_newest_of_each_topic_is_shown_while_its_member_is_there() {
        let mut latest = Latest::default();
        let (a, b) = (latest.enter(0, None), latest.enter(0, None));
        latest.keep(a, Topic::Awareness, b"a1");
        latest.keep(a, Topic::Selection, b"s1");
        latest.keep(a, Topic::Awareness, b"a2");
        latest.keep(b, Topic::Awareness, b"b1");
        latest.keep(b, Topic::Update, b"never");
        let shown = latest.shown(100);
        assert_eq!(&shown[..], b"a2s1b1");
        assert_eq!(latest.shown(100).as_ptr(), shown.as_ptr(), "who joins next shares the copy");
        latest.leave(a);
        assert_eq!(&latest.shown(100)[..], b"b1");
        assert_eq!(latest.enter(0, None), a, "a place is used again");
        assert_eq!(&latest.shown(100)[..], b"b1", "and shows nothing of who had it before");
        latest.hide(b);
        assert!(latest.shown(100).is_empty());
    }

    #[test]
    fn who_comes_back_goes_on_to_show_what_it_showed() {
        let mut latest = Latest::default();
        let a = latest.enter(0, None);
        latest.keep(a, Topic::Awareness, b"a1");
        let (applied, shows) = latest.leave(a);
        assert!(latest.shown(100).is_empty());
        let a = latest.enter(applied, shows);
        assert_eq!(&latest.shown(100)[..], b"a1");
        latest.keep(a, Topic::Awareness, b"a2");
        assert_eq!(&latest.shown(100)[..], b"a2");
    }

    #[test]
    fn who_joins_is_shown_no_more_than_may_be() {
        let mut latest = Latest::default();
        let (a, b) = (latest.enter(0, None), latest.enter(0, None));
        latest.keep(a, Topic::Awareness, b"a1");
        latest.keep(b, Topic::Awareness, b"b1");
        assert_eq!(&latest.shown(3)[..], b"a1");
    }

    #[test]
    fn a_frame_that_is_too_long_to_keep_takes_the_older_one_with_it() {
        let mut latest = Latest::default();
        let a = latest.enter(0, None);
        latest.keep(a, Topic::Awareness, b"old");
        latest.keep(a, Topic::Awareness, &vec![0; MAX_FRAME_BYTES + 1]);
        assert!(latest.shown(usize::MAX).is_empty(), "what is not true any more is not shown");
    }

    #[test]
    fn a_message_is_applied_once() {
        let mut latest = Latest::default();
        let a = latest.enter(0, None);
        assert!(latest.is_new(a, 1));
        latest.apply(a, 1);
        latest.apply(a, 3);
        assert!(!latest.is_new(a, 3) && !latest.is_new(a, 2) && latest.is_new(a, 4));
        latest.apply(a, 2);
        assert_eq!(latest.applied(a), 3);
        assert_eq!(latest.leave(a).0, 3);
        let b = latest.enter(3, None);
        assert!(!latest.is_new(b, 3), "the next connection of the client_session goes on");
    }

    #[test]
    fn a_member_that_sends_nothing_costs_a_pointer() {
        let mut latest = Latest::default();
        for _ in 0..100 {
            latest.enter(0, None);
        }
        assert!(latest.places.iter().all(Option::is_none));
        assert_eq!(size_of::<Option<Box<super::Latest>>>(), size_of::<usize>());
    }
}
