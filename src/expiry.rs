//! The ends of sessions: one timer for all of them, which sleeps until the next one is due.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{close::Close, panics::guarded, pass::Pass, sync::lock, visitors::Visitors};

/// When to look at which pass.
#[derive(Debug)]
pub(crate) struct Expiries {
    /// How long before its end a session's client is told.
    warning: Duration,
    due: Mutex<BTreeMap<(Instant, u64), Weak<Pass>>>,
    /// Something is due sooner than before.
    sooner: Notify,
}

impl Expiries {
    pub(crate) fn new(warning: Duration) -> Self {
        Self { warning, due: Mutex::default(), sooner: Notify::new() }
    }

    /// Looks at `pass` in time for its warning.
    pub(crate) fn add(&self, pass: &Arc<Pass>, ends: Instant) {
        let at = ends.checked_sub(self.warning).unwrap_or(ends);
        let mut due = lock(&self.due);
        let sooner = due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        due.insert((at, pass.serial), Arc::downgrade(pass));
        pass.set_due(Some(at));
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// Forgets a pass whose connection has left.
    pub(crate) fn remove(&self, pass: &Pass) {
        if let Some(at) = pass.set_due(None) {
            lock(&self.due).remove(&(at, pass.serial));
        }
    }

    /// Looks at what is due; answers when something will be.
    fn look(&self, now: Instant) -> Option<Instant> {
        loop {
            let (serial, pass) = {
                let mut due = lock(&self.due);
                let ((at, _), _) = due.first_key_value()?;
                if *at > now {
                    return Some(*at);
                }
                let ((_, serial), pass) = due.pop_first()?;
                (serial, pass)
            };
            let Some(pass) = pass.upgrade() else { continue };
            let looked = guarded("ending a session", || pass.look_at_session(now, self.warning));
            if looked.is_none() {
                // Nobody would look at it again.
                pass.end(&Close::unauthorized());
            }
            if let Some(next) = looked.flatten() {
                let mut due = lock(&self.due);
                due.insert((next, serial), Arc::downgrade(&pass));
                pass.set_due(Some(next));
            }
        }
    }
}

/// Warns clients and ends sessions, for as long as its runtime runs.
pub(crate) async fn watch(visitors: Arc<Visitors>) {
    let Expiries { sooner, .. } = &visitors.expiries;
    loop {
        match visitors.expiries.look(Instant::now()) {
            None => sooner.notified().await,
            // Either way it is time to look again.
            Some(next) => drop(tokio::time::timeout_at(next, sooner.notified()).await),
        }
    }
}
