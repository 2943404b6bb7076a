//! Everyone comes at once, as after a restart of the server.
//!
//! All clients want in from the first moment on, and their waiting is counted from there. But only so many have a
//! handshake under way at a time: beyond the listener's backlog the kernel drops packets, and its retry timer of a second
//! would be measured instead of the server.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    idle,
    meter::{Meter, Reading},
};
use crate::{
    Outcome,
    histogram::{Histogram, Summary},
    limits,
    pool::{News, Pool},
    server::Server,
};

/// After this a client counts as refused.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    connections: usize,
    /// Handshakes under way at a time; well below the listener's backlog.
    under_way: usize,
    /// Rounds of 200 connections that come and go before, so that the server's code is warm.
    churn: usize,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    connections: usize,
    refused: usize,
    /// Why, for the first of them.
    reason: Option<String>,
    #[serde(flatten)]
    reading: Reading,
    /// From the beginning of the storm until `connected` has come.
    connected: Summary,
}

#[derive(Default)]
struct Arrivals {
    joined: usize,
    refused: usize,
    reason: Option<String>,
    connected: Histogram,
}

impl Storm {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no sockets; a refusal by the server is counted instead.
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        limits::allow_descriptors(self.connections as u64 + 64)?;
        idle::churn(server, self.churn)?;
        let mut pool = Pool::new(server)?;
        let mut places = idle::places(self.connections);
        let arrivals = RefCell::new(Arrivals::default());
        let meter = Meter::begin(server)?;
        let begun = Instant::now();
        let mut note = |_, news: News<'_>, at: Instant| {
            let mut arrivals = arrivals.borrow_mut();
            match news {
                News::Joined(_) => {
                    arrivals.joined += 1;
                    arrivals.connected.record(at.saturating_duration_since(begun));
                }
                News::Gone(reason) => {
                    arrivals.refused += 1;
                    arrivals.reason.get_or_insert_with(|| reason.to_owned());
                }
                News::Message(_) => {}
            }
            Ok(())
        };
        let mut started = 0;
        loop {
            let known = arrivals.borrow().joined + arrivals.borrow().refused;
            if known == self.connections || begun.elapsed() > TIMEOUT {
                break;
            }
            let mut wait = Duration::from_millis(100);
            if started - known < self.under_way
                && let Some(place) = places.next()
            {
                pool.begin(place)?;
                started += 1;
                wait = Duration::ZERO;
            }
            pool.poll(Some(wait), &mut note)?;
        }
        let reading = meter.end()?;
        let Arrivals { joined, reason, connected, .. } = arrivals.into_inner();
        Ok(Measured {
            connections: self.connections,
            refused: self.connections - joined,
            reason,
            reading,
            connected: connected.summary(),
        })
    }
}
