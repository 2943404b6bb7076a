//! The ends of sessions: one timer for all of them, which sleeps until the next one is due.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::grant::Grant;
use crate::{panics::guarded, sync::lock, websocket::close::Close};

/// When to look at which grant.
#[derive(Debug)]
pub(crate) struct Expiries {
    /// How long before its end a session's client is told.
    warning: Duration,
    due: Mutex<BTreeMap<(Instant, u64), Weak<Grant>>>,
    /// Something is due sooner than before.
    sooner: Notify,
}

impl Expiries {
    pub(crate) fn new(warning: Duration) -> Self {
        Self { warning, due: Mutex::default(), sooner: Notify::new() }
    }

    /// Looks at `grant` in time for its warning.
    pub(crate) fn add(&self, grant: &Arc<Grant>, ends: Instant) {
        let at = ends.checked_sub(self.warning).unwrap_or(ends);
        let mut due = lock(&self.due);
        let sooner = due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        due.insert((at, grant.serial), Arc::downgrade(grant));
        grant.set_due(Some(at));
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// Forgets a grant whose connection has left.
    pub(crate) fn remove(&self, grant: &Grant) {
        if let Some(at) = grant.set_due(None) {
            lock(&self.due).remove(&(at, grant.serial));
        }
    }

    /// Looks at what is due; returns when something will be.
    fn look(&self, now: Instant) -> Option<Instant> {
        loop {
            let (serial, grant) = {
                let mut due = lock(&self.due);
                let ((at, _), _) = due.first_key_value()?;
                if *at > now {
                    return Some(*at);
                }
                let ((_, serial), grant) = due.pop_first()?;
                (serial, grant)
            };
            let Some(grant) = grant.upgrade() else { continue };
            let looked = guarded("ending a session", || grant.look_at_session(now, self.warning));
            if looked.is_none() {
                // Nobody would look at it again.
                grant.end(&Close::unauthorized());
            }
            if let Some(next) = looked.flatten() {
                let mut due = lock(&self.due);
                due.insert((next, serial), Arc::downgrade(&grant));
                grant.set_due(Some(next));
            }
        }
    }
}

/// Warns clients and ends sessions, for as long as its runtime runs.
pub(crate) async fn watch(expiries: Arc<Expiries>) {
    loop {
        match expiries.look(Instant::now()) {
            None => expiries.sooner.notified().await,
            // Either way it is time to look again.
            Some(next) => drop(tokio::time::timeout_at(next, expiries.sooner.notified()).await),
        }
    }
}
