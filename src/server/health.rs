//! Whether a hub lives, and whether it is ready for more.

use std::time::Duration;

use super::hub::Hub;
use crate::admission::limits::is_reached;
#[cfg(feature = "redis")]
use crate::cluster::State;

/// How long a thread may be at one thing. Its clock is looked at once a second, and a turn takes a millisecond.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

impl Hub {
    /// Why it does not live, in words: a thread of its that is at one thing for 10 s. None where it does.
    pub fn stuck(&self) -> Vec<String> {
        let shards = self.shared.shards.iter().enumerate();
        let silent = shards.map(|(index, shard)| (index, shard.counters().silent()));
        silent
            .filter(|(_, silent)| *silent > LONGEST_SILENCE)
            .map(|(index, silent)| format!("thread hub-{index} has done nothing for {} s", silent.as_secs()))
            .collect()
    }

    /// Why no more clients should be sent to it, in words. None where they should.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = self.stuck();
        if self.shared.is_draining() {
            reasons.push("the hub is ending".to_owned());
        }
        if let Some(documents) = &self.shared.documents {
            reasons.extend(documents.store().problem());
        }
        #[cfg(feature = "redis")]
        if let Some(State::Away(reason)) = self.cluster_state() {
            reasons.push(format!("Redis is away: {reason}"));
        }
        let most = self.shared.config.limits.connections;
        if is_reached(self.total_count(), most) {
            reasons.push(format!("there are as many connections as there may be: {most}"));
        }
        reasons
    }
}
