//! Holding back a client that sends more than it may.
//!
//! What was read is obeyed, nothing of it is thrown away. Then nothing more is read until the rate allows it, and TCP
//! pushes back: an honest client that pastes a book is slowed down and loses nothing. One that goes on is closed.

use std::{
    pin::Pin,
    task::Context,
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep};

use super::driver::Driver;
use crate::{close::Close, notice, security::Kind};

/// How often at most a client is told that it is held back.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// There from the first time a client was held back until it stays within its rate.
pub(super) struct Throttle {
    since: Instant,
    told: Instant,
    /// `None` while reading goes on.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    /// Counts what was read, and holds the client back where it was too much.
    pub(super) fn charge(&mut self, messages: u64, bytes: u64) {
        if !self.is_serving() {
            return;
        }
        let visitors = self.shard.visitors();
        let wait = visitors.charge(&mut self.meter, self.connection.pass(), (messages, bytes));
        if wait.is_zero() {
            self.throttle = None;
            return;
        }
        let (patience, now) = (visitors.limits().patience, Instant::now());
        let first = self.throttle.is_none();
        let throttle =
            self.throttle.get_or_insert_with(|| Box::new(Throttle { since: now, told: now, sleep: None }));
        if first || now - throttle.told >= TELL_EVERY {
            throttle.told = now;
            self.connection.notify(notice::rate_limited(wait));
        }
        if now - throttle.since + wait > patience {
            log::info!("connection {} goes on sending too much: closed with 1013", self.connection.id());
            self.connection.report(Kind::RateClosed, 1);
            self.leave();
            self.connection.close(&Close::limit("Too much was sent"));
            return;
        }
        throttle.sleep = Some(Box::pin(sleep(wait)));
        // It cannot be heard meanwhile, and is not to blame for its silence.
        self.connection.set_unread(true);
        if first {
            log::info!("connection {} sends too much: held back for {wait:?}", self.connection.id());
            self.connection.report(Kind::RateLimited, 1);
        }
    }

    /// Whether nothing is to be read now; then the task is woken when it is.
    pub(super) fn is_held(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(throttle) = &mut self.throttle else { return false };
        let Some(sleep) = &mut throttle.sleep else { return false };
        if sleep.as_mut().poll(cx).is_pending() {
            return true;
        }
        throttle.sleep = None;
        self.connection.set_unread(false);
        false
    }
}
