//! Agents' answers without end, one a connection, beside something else that is measured.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::chunks::{self, Wait};
use crate::{
    Outcome,
    dialect::Dialect,
    pool::{Place, Pool},
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
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        let mut pool = Pool::new(&Server { dialect: Dialect::Agent, ..server.clone() })?;
        pool.join((0..self.streams).map(|document| Place { document, member: 0 }), None)?;
        let request = wire::masked(wire::TEXT, br#"{"type":"stream","data":null}"#);
        for connection in 0..self.streams {
            pool.send(connection, &request)?;
        }
        chunks::read(&mut pool, self.streams, Duration::from_millis(self.warm_ms), Wait::Asleep)?;
        let begun = Instant::now();
        let counts =
            chunks::read(&mut pool, self.streams, Duration::from_millis(self.measure_ms), Wait::Asleep)?;
        let seconds = begun.elapsed().as_secs_f64();
        let least = counts.iter().copied().min().unwrap_or(0);
        Ok(Measured { chunks: counts.iter().sum(), least, seconds })
    }
}
