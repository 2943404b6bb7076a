//! Agents' answers without end, each watched by many: the price of a chunk that is delivered to one of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    chunks::{self, Wait},
    meter::{Meter, Reading},
};
use crate::{
    Outcome,
    dialect::Dialect,
    limits,
    pool::{Place, Pool},
    server::Server,
    wire,
};

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchers {
    threads: usize,
    /// Of each thread.
    watchers: usize,
    warm_ms: u64,
    measure_ms: u64,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Chunks that came to somebody.
    deliveries: u64,
    /// Those that came to whoever got the fewest.
    least: u64,
    #[serde(flatten)]
    reading: Reading,
}

impl Watchers {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where a stream ends, or a connection.
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        let Self { threads, watchers, .. } = *self;
        limits::allow_descriptors((threads * watchers) as u64 + 64)?;
        let mut pool = Pool::new(&Server { dialect: Dialect::Agent, ..server.clone() })?;
        let of_thread = |document| (0..watchers).map(move |member| Place { document, member });
        pool.join((0..threads).flat_map(of_thread), None)?;
        let request = wire::masked(wire::TEXT, br#"{"type":"stream","data":null}"#);
        for thread in 0..threads {
            pool.send(thread * watchers, &request)?;
        }
        chunks::read(&mut pool, threads * watchers, Duration::from_millis(self.warm_ms), Wait::Awake)?;
        let meter = Meter::begin(server)?;
        let counts =
            chunks::read(&mut pool, threads * watchers, Duration::from_millis(self.measure_ms), Wait::Awake)?;
        let reading = meter.end()?;
        let least = counts.iter().copied().min().unwrap_or(0);
        Ok(Measured { deliveries: counts.iter().sum(), least, reading })
    }
}
