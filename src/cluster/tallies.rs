//! How many connections got what a route handler has published, over all processes. Redis says how many processes it went to;
//! each of them says how many members it was sent to.

use std::{collections::HashMap, fmt};

use tokio::time::{Duration, Instant};

/// How long one who wants to know waits: then he is told what is known.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How long a count stays for which nobody asks.
const KEPT: Duration = Duration::from_secs(5);

/// How often those are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Is told how many connections it were.
pub(super) type Tell = Box<dyn FnOnce(usize) + Send>;

/// Names a publication: the channel of its document, and its offset.
pub(super) type Key = (String, u64);

/// Publications whose connections are counted.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    by_key: HashMap<Key, Tally>,
    swept: Option<Instant>,
    /// Nothing more becomes known.
    is_over: bool,
}

struct Tally {
    since: Instant,
    /// Processes it went to; `None` until Redis has said so.
    processes: Option<usize>,
    /// What they have said, each once.
    counts: Vec<(u64, usize)>,
    tell: Option<Tell>,
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("processes", &self.processes).finish_non_exhaustive()
    }
}

impl Tally {
    fn sum(&self) -> usize {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

/// Somebody who is to be told, once nothing is locked.
#[must_use]
pub(super) struct Told(Option<(Tell, usize)>);

impl Told {
    pub(super) fn tell(self) {
        if let Some((tell, count)) = self.0 {
            tell(count);
        }
    }
}

impl Tallies {
    /// A process has sent it to so many connections.
    pub(super) fn count(&mut self, key: &Key, process: u64, connections: usize) -> Told {
        let tally = self.of(key);
        if !tally.counts.iter().any(|(of, _)| *of == process) {
            tally.counts.push((process, connections));
        }
        self.complete(key)
    }

    /// It went to so many processes.
    pub(super) fn expect(&mut self, key: &Key, processes: usize) -> Told {
        self.of(key).processes = Some(processes);
        self.complete(key)
    }

    /// Somebody wants to know.
    pub(super) fn ask(&mut self, key: &Key, tell: Tell) -> Told {
        self.of(key).tell = Some(tell);
        self.complete(key)
    }

    /// Who wants to know has waited for long enough.
    pub(super) fn give_up(&mut self, key: &Key) -> Told {
        let tally = self.by_key.remove(key);
        Told(tally.and_then(|tally| {
            let sum = tally.sum();
            Some((tally.tell?, sum))
        }))
    }

    /// The hub has ended: who waits is told what is known, and so is whoever asks after this.
    pub(super) fn end(&mut self) -> Vec<Told> {
        self.is_over = true;
        let keys: Vec<_> = self.by_key.keys().cloned().collect();
        keys.iter().map(|key| self.give_up(key)).collect()
    }

    fn of(&mut self, key: &Key) -> &mut Tally {
        if self.swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            self.swept = Some(Instant::now());
            self.by_key.retain(|_, tally| tally.tell.is_some() || tally.since.elapsed() < KEPT);
        }
        self.by_key.entry(key.clone()).or_insert_with(|| Tally {
            since: Instant::now(),
            processes: None,
            counts: Vec::new(),
            tell: None,
        })
    }

    fn complete(&mut self, key: &Key) -> Told {
        let is_complete = self.by_key.get(key).is_some_and(|tally| {
            tally.tell.is_some() && tally.processes.is_some_and(|processes| tally.counts.len() >= processes)
        });
        if is_complete || self.is_over { self.give_up(key) } else { Told(None) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::{Key, Tallies, Tell};
    use crate::sync::lock;

    fn key() -> Key {
        ("hub:{doc}:said".to_owned(), 7)
    }

    fn teller() -> (Tell, Arc<Mutex<Vec<usize>>>) {
        let told = Arc::<Mutex<Vec<usize>>>::default();
        let of_test = Arc::clone(&told);
        (Box::new(move |count| lock(&told).push(count)), of_test)
    }

    #[test]
    fn who_asks_is_told_once_every_process_has_said_it_in_whatever_order_that_comes() {
        let steps: [fn(&mut Tallies); 3] = [
            |tallies| tallies.count(&key(), 1, 3).tell(),
            |tallies| tallies.count(&key(), 2, 4).tell(),
            |tallies| tallies.expect(&key(), 2).tell(),
        ];
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            for asked_at in 0..=3 {
                let (mut tallies, (tell, told)) = (Tallies::default(), teller());
                let mut tell = Some(tell);
                for (index, step) in order.into_iter().enumerate() {
                    if index == asked_at {
                        tallies.ask(&key(), tell.take().unwrap()).tell();
                    }
                    assert!(lock(&told).is_empty());
                    steps[step](&mut tallies);
                }
                if let Some(tell) = tell {
                    tallies.ask(&key(), tell).tell();
                }
                assert_eq!(*lock(&told), [7]);
                assert!(tallies.by_key.is_empty());
            }
        }
    }

    #[test]
    fn what_one_process_says_twice_counts_once_and_who_gives_up_is_told_what_is_known() {
        let (mut tallies, (tell, told)) = (Tallies::default(), teller());
        tallies.ask(&key(), tell).tell();
        for _ in 0..2 {
            tallies.count(&key(), 1, 3).tell();
        }
        tallies.expect(&key(), 2).tell();
        assert!(lock(&told).is_empty());
        tallies.give_up(&key()).tell();
        tallies.give_up(&key()).tell();
        assert_eq!(*lock(&told), [3]);
    }
}
