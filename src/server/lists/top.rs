//! The largest of many, of which only those are kept.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// Something with what it is ranked by; the largest comes first.
#[derive(Debug)]
pub(super) struct Ranked<K, T> {
    pub(super) key: K,
    pub(super) item: T,
}

impl<K: Ord, T> PartialEq for Ranked<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Ord, T> Eq for Ranked<K, T> {}

impl<K: Ord, T> PartialOrd for Ranked<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T> Ord for Ranked<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

/// The largest of many.
#[derive(Debug)]
pub(super) struct Top<K: Ord, T> {
    limit: usize,
    /// The smallest of those that are kept is on top.
    kept: BinaryHeap<Reverse<Ranked<K, T>>>,
    total: usize,
}

impl<K: Ord, T> Top<K, T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: BinaryHeap::new(), total: 0 }
    }

    /// There is one more; `item` is made only where it is among the largest so far.
    pub(super) fn offer(&mut self, key: K, item: impl FnOnce() -> T) {
        self.total += 1;
        if self.kept.len() >= self.limit {
            if self.kept.peek().is_none_or(|Reverse(smallest)| smallest.key >= key) {
                return;
            }
            self.kept.pop();
        }
        self.kept.push(Reverse(Ranked { key, item: item() }));
    }

    /// How many there were, and the largest of them.
    pub(super) fn into_parts(self) -> (usize, Vec<Ranked<K, T>>) {
        (self.total, self.kept.into_iter().map(|Reverse(ranked)| ranked).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Top;

    #[test]
    fn only_the_largest_are_kept_and_all_are_counted() {
        let mut top = Top::new(3);
        for number in [5, 1, 9, 7, 3, 8] {
            top.offer(number, || number * 10);
        }
        let (total, mut kept) = top.into_parts();
        kept.sort();
        let items: Vec<_> = kept.iter().map(|ranked| ranked.item).collect();
        assert_eq!((total, items), (6, vec![70, 80, 90]));
    }
}
