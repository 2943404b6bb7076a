//! How often what a member shows goes out to the others.
//!
//! A mouse sends hundreds of positions a second, for as long as it moves, and of all of them the newest counts. So nobody is
//! held back or closed for them: what comes too fast waits here, the newer in place of the older, until there is room.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use crate::{
    admission::rate::{self, Bucket, Rate},
    ids::Topic,
};

/// Of so many messages that waited one counts against the rate of a connection: it costs a parse, and no fan-out.
const HELD_FOR_ONE: u64 = 16;

/// The pace of one member.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Rate,
    bucket: Bucket,
    held: Option<Box<Held>>,
    /// Messages that had to wait.
    waited: u64,
    /// Of those, how many do not count, and have not been told to [`Pace::uncounted`].
    uncounted: u64,
}

#[derive(Debug)]
struct Held {
    due: Pin<Box<Sleep>>,
    /// The newest payload of each topic.
    payloads: Vec<(Topic, String)>,
}

impl Pace {
    /// A pace of half of what a connection may send: the other half stays for updates and steps.
    pub(crate) fn new(messages: Rate) -> Self {
        Self { rate: messages.half(), bucket: Bucket::default(), held: None, waited: 0, uncounted: 0 }
    }

    /// Whether a payload of `topic` goes out now. If not it waits, in place of the one before.
    pub(crate) fn admit(&mut self, topic: Topic, payload: &str) -> bool {
        if self.held.is_none() {
            let wait = self.bucket.take(self.rate, 1, rate::now());
            if wait == 0 {
                return true;
            }
            // It has paid for going out when it is due.
            let due = Box::pin(sleep(Duration::from_nanos(wait)));
            self.held = Some(Box::new(Held { due, payloads: Vec::new() }));
        }
        self.waited += 1;
        self.uncounted += u64::from(!self.waited.is_multiple_of(HELD_FOR_ONE));
        if let Some(held) = &mut self.held {
            held.keep(topic, payload);
        }
        false
    }

    /// What has waited for long enough, or else wakes the task when it has.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Vec<(Topic, String)>> {
        let Some(held) = &mut self.held else { return Poll::Pending };
        held.due.as_mut().poll(cx).map(|()| self.take_held())
    }

    /// What waits, without waiting for it any more.
    pub(crate) fn take_held(&mut self) -> Vec<(Topic, String)> {
        self.held.take().map(|held| held.payloads).unwrap_or_default()
    }

    /// How many messages since the last call do not count against the rate of the connection.
    pub(crate) fn uncounted(&mut self) -> u64 {
        std::mem::take(&mut self.uncounted)
    }
}

impl Held {
    fn keep(&mut self, topic: Topic, payload: &str) {
        match self.payloads.iter_mut().find(|(kept, _)| *kept == topic) {
            Some((_, newest)) => {
                newest.clear();
                newest.push_str(payload);
            }
            None => self.payloads.push((topic, payload.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        task::{Context, Waker},
    };

    use super::Pace;
    use crate::{admission::rate::Rate, ids::Topic};

    #[tokio::test]
    async fn above_its_pace_the_newest_of_each_topic_waits_and_goes_out_when_it_is_due() {
        // Slow, so that nothing is due before it has been looked at.
        let mut pace = Pace::new(Rate::new(2, 4));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pace.admit(Topic::Awareness, "1") && pace.admit(Topic::Selection, "1"));
        for payload in ["2", "3", "4"] {
            assert!(!pace.admit(Topic::Awareness, payload));
        }
        assert!(!pace.admit(Topic::Selection, "5"));
        assert!(pace.poll_due(&mut cx).is_pending());
        let due = [(Topic::Awareness, "4".to_owned()), (Topic::Selection, "5".to_owned())];
        assert_eq!(poll_fn(|cx| pace.poll_due(cx)).await, due.to_vec());
        assert!(pace.poll_due(&mut cx).is_pending(), "once");
    }

    #[tokio::test]
    async fn what_waits_counts_next_to_nothing() {
        let mut pace = Pace::new(Rate::new(2, 1));
        let mut counted = 0;
        for message in 0..321 {
            pace.admit(Topic::Awareness, &message.to_string());
            counted += 1 - pace.uncounted();
        }
        assert_eq!(counted, 1 + 320 / 16);
        assert_eq!(pace.take_held(), [(Topic::Awareness, "320".to_owned())]);
    }

    #[test]
    fn without_a_limit_there_is_no_pace() {
        let mut pace = Pace::new(Rate::NONE);
        assert!((0..100_000).all(|_| pace.admit(Topic::Awareness, "1")));
    }
}
