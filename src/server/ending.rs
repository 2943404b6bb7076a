//! The end of a hub: who is told what, and when it is over.

use std::{
    collections::HashMap,
    ops::Bound,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{hub::Hub, keeper::Keeper};
use crate::{
    ids::ConnectionId,
    recovery::state_dir::StateLock,
    shard::{Shard, Work},
    sync::lock,
    websocket::close::Close,
};

/// For how many rounds, 900 ms in all, the end waits for a peer that takes nothing and answers nothing. There is always one, a
/// phone without network, and until the process has ended nobody can come back.
const PATIENCE: u32 = 18;

/// How long the end waits for the logs of documents.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

/// How often the end looks, and closes the next clients.
const ROUND: Duration = Duration::from_millis(50);

/// Clients a second that are told to come back. A process that has just started has other things to do, too.
const RETURNS_A_SECOND: u32 = 2500;

/// Shortest and longest time over which clients come back.
const RETURNS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// How long the process is there after the last client was told, where all answer.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Longest part of the time that is kept for what is left to the next process, and its share of a short time.
const STATE_TIME: (Duration, u32) = (Duration::from_secs(1), 4);

impl Hub {
    /// As [`Hub::close_for`], where the next process is there at once.
    pub fn close(&self, timeout: Duration) -> usize {
        self.close_for(timeout, Duration::ZERO)
    }

    /// Ends the hub: takes no new connection, sends what waits, closes every connection with 1012, spread over
    /// [`Config::drain`](crate::Config::drain) and each with another hint of when to come back, and leaves what is remembered
    /// to the next process, which is expected to serve `away` after this one has ended. Blocks until the last one is gone, or
    /// cuts off what is left after `timeout`; who neither answers nor takes anything is cut off after a second. Returns how
    /// many had to be cut off.
    pub fn close_for(&self, timeout: Duration, away: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        let shared = &self.shared;
        shared.drain();
        let keeper = shared.keeper.as_ref().filter(|keeper| keeper.is_owner());
        match keeper {
            Some(_) => shared.rooms.keep_shown(),
            // What is published now would reach nobody who is closed already.
            None => shared.seal(),
        }
        // What a log has not answered yet would be unknown to its client after this.
        self.settle(deadline);
        let for_state = keeper.map_or(Duration::ZERO, |_| STATE_TIME.0.min(timeout / STATE_TIME.1));
        let for_clients = deadline.checked_sub(for_state).unwrap_or(deadline);
        let terminated = self.end_connections(for_clients, away);
        let lock = keeper.and_then(|keeper| self.leave(keeper, deadline));
        if let Some(documents) = &shared.documents {
            documents.finish(deadline);
        }
        // Not before: the next process takes it for a sign that this one has done all it had to do.
        drop(lock);
        terminated
    }

    fn settle(&self, deadline: Instant) {
        self.shared.rooms.settle(deadline.min(Instant::now() + SETTLE_PATIENCE));
    }

    /// Leaves what rooms remember to the next process.
    fn leave(&self, keeper: &Keeper, deadline: Instant) -> Option<StateLock> {
        self.shared.seal();
        // What route handlers have published meanwhile.
        self.settle(deadline);
        keeper.leave(self.shared.rooms.save(deadline), deadline)
    }

    /// Closes all connections and waits until they are gone, or cuts off what is left.
    fn end_connections(&self, deadline: Instant, away: Duration) -> usize {
        let shards = &self.shared.shards;
        let left = deadline.saturating_duration_since(Instant::now());
        let mut goodbye = Goodbye::new(shards, self.shared.config.drain.min(left / 2), away);
        let mut terminated = 0;
        let mut waits = HashMap::new();
        loop {
            if goodbye.say_next() {
                // Nobody edits any more.
                if let Some(documents) = &self.shared.documents {
                    documents.save_now();
                }
            }
            let stuck = shards.iter().map(|shard| shard.thread().terminate_stuck(&mut waits, PATIENCE));
            terminated += stuck.sum::<usize>();
            let round = deadline.min(Instant::now() + ROUND);
            if self.shared.wait_until_ended(round) {
                break;
            }
            if round == deadline {
                terminated += shards.iter().map(|shard| shard.thread().terminate_all()).sum::<usize>();
                // They are only dropped now, which takes no peer's consent.
                self.shared.wait_until_ended(Instant::now() + Duration::from_secs(1));
                break;
            }
        }
        if let Some(documents) = &self.shared.documents {
            documents.save_now();
        }
        terminated
    }
}

/// Tells clients in turn that the process ends.
struct Goodbye {
    began: Instant,
    /// The time over which they are told.
    spread: Duration,
    /// Since `began`, until the first had better come back.
    back_from: Duration,
    /// The time over which they had better come back.
    returns: Duration,
    shards: Vec<Arc<OfShard>>,
    is_over: bool,
}

/// Those of one shard.
struct OfShard {
    shard: Arc<Shard>,
    /// How many there were at the beginning.
    count: usize,
    told: Mutex<Told>,
}

struct Told {
    /// Who was told last.
    after: Bound<ConnectionId>,
    count: usize,
}

impl Goodbye {
    fn new(shards: &[Arc<Shard>], longest: Duration, away: Duration) -> Self {
        let of_shard = |shard: &Arc<Shard>| OfShard {
            count: shard.thread().count(),
            shard: Arc::clone(shard),
            told: Mutex::new(Told { after: Bound::Unbounded, count: 0 }),
        };
        let shards: Vec<_> = shards.iter().map(|shard| Arc::new(of_shard(shard))).collect();
        let clients = u32::try_from(shards.iter().map(|of| of.count).sum::<usize>()).unwrap_or(u32::MAX);
        // In steps of a round, so that a few are told at once.
        let spread = Duration::from_millis(clients.into()).min(longest);
        let spread = if spread < ROUND { Duration::ZERO } else { spread };
        let returns = (Duration::from_secs(clients.into()) / RETURNS_A_SECOND).clamp(RETURNS.0, RETURNS.1);
        let back_from = spread + LAST_WORDS + away;
        Self { began: Instant::now(), spread, back_from, returns, shards, is_over: false }
    }

    /// Tells those whose turn it is by now; returns whether these are the last.
    fn say_next(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        let elapsed = self.began.elapsed();
        self.is_over = elapsed >= self.spread;
        let (back_from, returns) = (self.back_from.saturating_sub(elapsed), self.returns);
        for of in &self.shards {
            // In the end those who came meanwhile, too.
            let due = if self.is_over { usize::MAX } else { of.due(elapsed + ROUND, self.spread) };
            let here = Arc::clone(of);
            of.shard.push(Work::Close(Box::new(move || here.tell(due, back_from, returns))));
        }
        self.is_over
    }
}

impl OfShard {
    /// How many are to be told in the first `elapsed` of `spread`.
    fn due(&self, elapsed: Duration, spread: Duration) -> usize {
        let share =
            elapsed.as_millis().min(spread.as_millis()) * self.count as u128 / spread.as_millis().max(1);
        usize::try_from(share).unwrap_or(self.count)
    }

    /// Closes those up to the `due`th, who are to come back one after the other within `returns`. On the shard's thread.
    fn tell(&self, due: usize, back_from: Duration, returns: Duration) {
        let mut told = lock(&self.told);
        let Told { after, count } = &mut *told;
        let next = due.saturating_sub(*count);
        let of_all = u32::try_from(self.count.max(1)).unwrap_or(u32::MAX);
        let close = || {
            let place = u32::try_from(*count).unwrap_or(u32::MAX).min(of_all);
            *count += 1;
            Close::restart(Some(back_from + returns * place / of_all))
        };
        if let Some(last) = self.shard.thread().close_some(*after, next, close) {
            *after = Bound::Excluded(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Goodbye;
    use crate::{Config, Hub, tests::join};

    #[test]
    fn few_are_told_at_once_and_many_over_the_whole_time() {
        let hub = Hub::start(Config { threads: 2, ..Config::default() }).unwrap();
        let _clients: Vec<_> = (0..3).map(|n| join(&hub, &n.to_string())).collect();
        let mut goodbye = Goodbye::new(&hub.shared.shards, Duration::from_secs(2), Duration::ZERO);
        assert_eq!(goodbye.spread, Duration::ZERO);
        assert!(goodbye.say_next(), "all are told in one go");
        assert!(!goodbye.say_next(), "and nobody twice");
        assert_eq!(hub.close(Duration::from_secs(5)), 3, "who does not answer is cut off");
    }
}
