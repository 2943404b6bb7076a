//! Agents' answers without end, one a connection, beside something else that is measured.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    dialect::Dialect,
    pool::{News, Place, Pool},
    server::Server,
    wire,
};

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    streams: usize,
    warm_ms: u64,
    measure_ms: u64,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Messages with chunks that came while it was measured.
    chunks: u64,
    /// The streams that brought the least of them.
    least: u64,
    seconds: f64,
}

impl Streams {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where a stream ends, or its connection.
    pub fn run(&self, server: Server) -> Outcome<Measured> {
        let mut pool = Pool::new(server.host, Dialect::Agent)?;
        pool.join((0..self.streams).map(|document| Place { document, member: 0 }), None)?;
        let request = wire::masked(wire::TEXT, br#"{"type":"stream","data":null}"#);
        for connection in 0..self.streams {
            pool.send(connection, &request)?;
        }
        self.read(&mut pool, Duration::from_millis(self.warm_ms))?;
        let begun = Instant::now();
        let counts = self.read(&mut pool, Duration::from_millis(self.measure_ms))?;
        let seconds = begun.elapsed().as_secs_f64();
        let least = counts.iter().copied().min().unwrap_or(0);
        Ok(Measured { chunks: counts.iter().sum(), least, seconds })
    }

    /// Chunks that come to each connection in this time.
    fn read(&self, pool: &mut Pool, time: Duration) -> Outcome<Vec<u64>> {
        let mut counts = vec![0; self.streams];
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(counts);
            }
            pool.poll(Some(left), &mut |connection, news, _| {
                match news {
                    News::Message(message) if message.starts_with(br#"{"type":"chunk""#) => {
                        counts[connection] += 1
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
}
