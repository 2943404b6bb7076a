//! Client sessions: a connection and those that took its place one after the other.
//!
//! Only those without a connection are kept here, each until its window is over. What an open connection needs for its
//! client session is its own.

use std::{collections::HashMap, sync::Arc};

use super::{budget::Budget, saved::SavedClientSession, shown::Shown};
use crate::ids::ClientSessionId;

/// The client sessions of a document that are away.
#[derive(Debug)]
pub struct DetachedSessions {
    away: HashMap<ClientSessionId, Away>,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Away {
    /// The room's clock when its connection ended.
    since: u32,
    /// The number of its last message that was applied.
    applied: u64,
    /// What it shows once it is back; `None` for nothing.
    shown: Option<Box<Shown>>,
}

/// A client session that comes back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// The number of its last message that was applied.
    pub applied: u64,
    /// What it goes on to show; `None` where that is not known.
    pub shown: Option<Box<Shown>>,
}

/// What one costs of the budget: its entry, at the load that a hash map keeps.
const COST: usize = 2 * size_of::<(ClientSessionId, Away)>();

impl DetachedSessions {
    /// None; those there will be come out of `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { away: HashMap::new(), budget }
    }

    /// A client session's connection has ended. `shown` is what it goes on to show when it is back.
    pub fn leave(
        &mut self,
        client_session: ClientSessionId,
        applied: u64,
        shown: Option<Box<Shown>>,
        now: u32,
    ) {
        if self.away.insert(client_session, Away { since: now, applied, shown }).is_none() {
            self.budget.charge(COST);
        }
    }

    /// Those that are away.
    pub fn save(&self, now: u32) -> Vec<SavedClientSession> {
        let away = self.away.iter();
        away.map(|(id, Away { since, applied, shown })| SavedClientSession {
            id: *id,
            applied: *applied,
            age: now.wrapping_sub(*since),
            shown: shown.as_deref().cloned().unwrap_or_default(),
        })
        .collect()
    }

    /// A message of a client session that is away was applied: it was published before that, and only now has its place.
    pub(crate) fn apply(&mut self, client_session: ClientSessionId, number: u64) {
        if let Some(away) = self.away.get_mut(&client_session) {
            away.applied = away.applied.max(number);
        }
    }

    /// A client session comes back that was away for `window` milliseconds at most.
    pub fn take(&mut self, client_session: ClientSessionId, now: u32, window: u32) -> Option<Returned> {
        let Away { since, applied, shown } = self.away.remove(&client_session)?;
        self.budget.give_back(COST);
        (now.wrapping_sub(since) <= window).then_some(Returned { applied, shown })
    }

    /// Forgets who was away for longer than `window` milliseconds, or than what is left of that where more are away than
    /// the budget is made for.
    pub fn forget(&mut self, now: u32, window: u32) {
        let window = self.budget.shortened(window);
        let before = self.away.len();
        self.away.retain(|_, away| now.wrapping_sub(away.since) <= window);
        if self.away.is_empty() {
            self.away = HashMap::new();
        }
        self.budget.give_back((before - self.away.len()) * COST);
    }
}

impl Drop for DetachedSessions {
    fn drop(&mut self) {
        self.budget.give_back(self.away.len() * COST);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{COST, DetachedSessions, Returned};
    use crate::{ids::ClientSessionId, recovery::budget::Budget};

    const A: ClientSessionId = ClientSessionId::new(1);
    const B: ClientSessionId = ClientSessionId::new(2);

    fn applied(returned: Option<Returned>) -> Option<u64> {
        returned.map(|returned| returned.applied)
    }

    #[test]
    fn a_client_session_comes_back_once_and_within_its_window() {
        let budget = Arc::new(Budget::new(1 << 20));
        let mut detached = DetachedSessions::new(Arc::clone(&budget));
        detached.leave(A, 7, None, 1000);
        detached.leave(B, 0, None, 1000);
        assert_eq!(applied(detached.take(A, 1100, 100)), Some(7));
        assert_eq!(detached.take(A, 1100, 100), None, "somebody is there for it");
        assert_eq!(detached.take(B, 1101, 100), None, "too late");
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_clock_may_wrap_meanwhile() {
        let mut detached = DetachedSessions::new(Arc::new(Budget::new(1 << 20)));
        detached.leave(A, 7, None, u32::MAX);
        detached.forget(99, 100);
        assert_eq!(applied(detached.take(A, 99, 100)), Some(7));
    }

    #[test]
    fn what_is_forgotten_is_given_back() {
        let budget = Arc::new(Budget::new(2 * COST));
        let mut detached = DetachedSessions::new(Arc::clone(&budget));
        detached.leave(A, 1, None, 0);
        detached.leave(B, 2, None, 50);
        detached.forget(101, 100);
        assert_eq!(budget.used(), COST);
        assert_eq!(applied(detached.take(B, 101, 100)), Some(2));
        detached.leave(A, 1, None, 0);
        drop(detached);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn where_too_many_are_away_those_give_way_who_left_first() {
        let budget = Arc::new(Budget::new(2 * COST));
        let mut detached = DetachedSessions::new(Arc::clone(&budget));
        for (client_session, since) in [(1, 0), (2, 40), (3, 60), (4, 90)] {
            detached.leave(ClientSessionId::new(client_session), client_session, None, since);
        }
        detached.forget(100, 100);
        assert_eq!(budget.used(), 2 * COST);
        assert_eq!(detached.take(ClientSessionId::new(2), 100, 100), None);
        assert_eq!(applied(detached.take(ClientSessionId::new(3), 100, 100)), Some(3));
    }
}
