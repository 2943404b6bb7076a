//! Holding back a client that sends more than it may.
//!
//! What was read is obeyed, nothing of it is thrown away. Then nothing more is read until the rate allows it, and TCP
//! pushes back: an honest client that pastes a book is slowed down and loses nothing. One that goes on is closed.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep};

/// How often at most a client is told that it is held back.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// There from the first time a client was held back until it stays within its rate.
pub(super) struct Throttle {
    since: Instant,
    told: Instant,
    /// `None` while reading goes on.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What is to be done about a client that has sent too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// It was not held back before.
    pub(super) is_first: bool,
    /// It is to be told.
    pub(super) tells: bool,
    /// It went on for longer than it may, and is to be closed.
    pub(super) is_over: bool,
}

impl Throttle {
    /// Holds a client back for `wait`, unless that is longer than `patience` behind the first time.
    pub(super) fn hold(throttle: &mut Option<Box<Self>>, wait: Duration, patience: Duration) -> Held {
        let (is_first, now) = (throttle.is_none(), Instant::now());
        let throttle = throttle.get_or_insert_with(|| Box::new(Self { since: now, told: now, sleep: None }));
        let tells = is_first || now - throttle.told >= TELL_EVERY;
        if tells {
            throttle.told = now;
        }
        let is_over = now - throttle.since + wait > patience;
        if !is_over {
            throttle.sleep = Some(Box::pin(sleep(wait)));
        }
        Held { is_first, tells, is_over }
    }

    /// Whether reading goes on; `Ready(true)` the first time that it does. Until then the task is woken when it may.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(sleep) = &mut self.sleep else { return Poll::Ready(false) };
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.sleep = None;
        Poll::Ready(true)
    }
}
