//! Reading the chunks of agents' streams.

use std::time::{Duration, Instant};

use crate::{
    Outcome,
    pool::{News, Pool},
};

/// How the next chunk is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// As a client does.
    Asleep,
    /// Never sleeping, so that the server has nobody to wake.
    Awake,
}

/// Chunks that come to each of so many connections in this time. Fails where a stream ends, or a connection.
pub(super) fn read(pool: &mut Pool, connections: usize, time: Duration, wait: Wait) -> Outcome<Vec<u64>> {
    let mut counts = vec![0; connections];
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(counts);
        }
        let timeout = if wait == Wait::Awake { Duration::ZERO } else { left };
        pool.poll(Some(timeout), &mut |connection, news, _| {
            match news {
                News::Message(message) if message.starts_with(br#"{"type":"chunk""#) => {
                    counts[connection] += 1;
                }
                News::Message(message) if message.starts_with(br#"{"type":"started""#) => {}
                News::Message(message) => {
                    return Err(format!("a stream sent {}", String::from_utf8_lossy(message)).into());
                }
                News::Gone(reason) => return Err(format!("connection {connection}: {reason}").into()),
                News::Joined(_) => {}
            }
            Ok(())
        })?;
    }
}
