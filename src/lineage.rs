//! Lineages: a connection and those that took its place one after the other.
//!
//! Only those without a connection are kept here, each until its window is over. What an open connection needs for its
//! lineage is its own.

use std::{collections::HashMap, sync::Arc};

use crate::{connection::ConnectionId, history::Budget};

/// Names a lineage, for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineageId(u64);

impl LineageId {
    /// The lineage with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl From<ConnectionId> for LineageId {
    /// A connection that takes nobody's place begins a lineage, which has its number.
    fn from(first: ConnectionId) -> Self {
        Self(first.number())
    }
}

/// The lineages of a document that are without a connection.
#[derive(Debug)]
pub struct Lineages {
    away: HashMap<LineageId, Away>,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Away {
    /// The room's clock when its connection ended.
    since: u32,
    /// The number of its last message that was applied.
    applied: u64,
}

/// What one costs of the budget: its entry, at the load that a hash map keeps.
const COST: usize = 2 * size_of::<(LineageId, Away)>();

impl Lineages {
    /// None; those there will be come out of `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { away: HashMap::new(), budget }
    }

    /// A lineage's connection has ended.
    pub fn leave(&mut self, lineage: LineageId, applied: u64, now: u32) {
        if self.away.insert(lineage, Away { since: now, applied }).is_none() {
            self.budget.charge(COST);
        }
    }

    /// A lineage comes back that was away for `window` milliseconds at most. Answers its last applied message.
    pub fn take(&mut self, lineage: LineageId, now: u32, window: u32) -> Option<u64> {
        let away = self.away.remove(&lineage)?;
        self.budget.give_back(COST);
        (now.wrapping_sub(away.since) <= window).then_some(away.applied)
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

impl Drop for Lineages {
    fn drop(&mut self) {
        self.budget.give_back(self.away.len() * COST);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{COST, LineageId, Lineages};
    use crate::history::Budget;

    const A: LineageId = LineageId::new(1);
    const B: LineageId = LineageId::new(2);

    #[test]
    fn a_lineage_comes_back_once_and_within_its_window() {
        let budget = Arc::new(Budget::new(1 << 20));
        let mut lineages = Lineages::new(Arc::clone(&budget));
        lineages.leave(A, 7, 1000);
        lineages.leave(B, 0, 1000);
        assert_eq!(lineages.take(A, 1100, 100), Some(7));
        assert_eq!(lineages.take(A, 1100, 100), None, "somebody is there for it");
        assert_eq!(lineages.take(B, 1101, 100), None, "too late");
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_clock_may_wrap_meanwhile() {
        let mut lineages = Lineages::new(Arc::new(Budget::new(1 << 20)));
        lineages.leave(A, 7, u32::MAX);
        lineages.forget(99, 100);
        assert_eq!(lineages.take(A, 99, 100), Some(7));
    }

    #[test]
    fn what_is_forgotten_is_given_back() {
        let budget = Arc::new(Budget::new(2 * COST));
        let mut lineages = Lineages::new(Arc::clone(&budget));
        lineages.leave(A, 1, 0);
        lineages.leave(B, 2, 50);
        lineages.forget(101, 100);
        assert_eq!(budget.used(), COST);
        assert_eq!(lineages.take(B, 101, 100), Some(2));
        lineages.leave(A, 1, 0);
        drop(lineages);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn where_too_many_are_away_those_give_way_who_left_first() {
        let budget = Arc::new(Budget::new(2 * COST));
        let mut lineages = Lineages::new(Arc::clone(&budget));
        for (lineage, since) in [(1, 0), (2, 40), (3, 60), (4, 90)] {
            lineages.leave(LineageId::new(lineage), lineage, since);
        }
        lineages.forget(100, 100);
        assert_eq!(budget.used(), 2 * COST);
        assert_eq!(lineages.take(LineageId::new(2), 100, 100), None);
        assert_eq!(lineages.take(LineageId::new(3), 100, 100), Some(3));
    }
}
