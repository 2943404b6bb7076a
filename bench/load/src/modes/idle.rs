//! Connections that do nothing: what each takes in memory.

use std::{thread, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    http::Http,
    limits,
    pool::{Place, Pool},
    server::Server,
    usage::Memory,
};

/// Members of each document.
const MEMBERS: usize = 10;
const CHURN_CONNECTIONS: usize = 200;
/// For what a server does a moment later, such as giving memory back.
const SETTLE: Duration = Duration::from_secs(1);

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    connections: usize,
    per_second: f64,
    /// Rounds of 200 connections that come and go before, so that what a server takes once is not counted.
    churn: usize,
    /// Whether the server collects its garbage on `GET /gc`.
    gc: bool,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    connections: usize,
    before: Memory,
    after: Memory,
}

impl Idle {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where the server refuses a connection.
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        limits::allow_descriptors(self.connections as u64 + 64)?;
        churn(server, self.churn)?;
        let before = self.settled(server)?;
        let mut pool = Pool::new(server)?;
        pool.join(places(self.connections), Some(self.per_second))?;
        let after = self.settled(server)?;
        Ok(Measured { connections: self.connections, before, after })
    }

    fn settled(&self, server: &Server) -> Outcome<Memory> {
        thread::sleep(SETTLE);
        if self.gc {
            Http::connect(server.host)?.get("/gc")?;
            thread::sleep(SETTLE);
        }
        Ok(Memory::of(server.pid)?)
    }
}

/// `connections` in documents of [`MEMBERS`].
pub fn places(connections: usize) -> impl Iterator<Item = Place> {
    (0..connections).map(|number| Place { document: number / MEMBERS, member: number % MEMBERS })
}

/// Lets few connections come and go many times.
///
/// # Errors
///
/// Where the server refuses one.
pub fn churn(server: &Server, rounds: usize) -> Outcome<()> {
    for _ in 0..rounds {
        Pool::new(server)?.join(places(CHURN_CONNECTIONS), None)?;
    }
    Ok(())
}
