//! Connections that each have one message under way, which comes back to them: the price of a handler's turn.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::meter::{Meter, Reading};
use crate::{
    Outcome,
    dialect::Dialect,
    flights::Flights,
    histogram::{Histogram, Summary},
    limits,
    pool::{News, Place, Pool},
    server::Server,
    wire::{self, Template},
};

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Echo {
    connections: usize,
    warm_ms: u64,
    measure_ms: u64,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    deliveries: u64,
    #[serde(flatten)]
    reading: Reading,
    /// From sending a message until it is back.
    each: Summary,
}

struct Loop {
    pool: Pool,
    template: Template,
    flights: Flights,
}

impl Echo {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where the server loses or doubles a message, or loses a connection.
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        limits::allow_descriptors(self.connections as u64 + 64)?;
        let mut pool = Pool::new(&Server { dialect: Dialect::Echo, ..server.clone() })?;
        pool.join((0..self.connections).map(|member| Place { document: 0, member }), None)?;
        let template = Template::new(&Dialect::Echo.update(&Place { document: 0, member: 0 }.document_id()));
        let mut all = Loop { pool, template, flights: Flights::default() };
        for connection in 0..self.connections {
            all.send(connection)?;
        }
        all.keep_going(Duration::from_millis(self.warm_ms))?;
        let meter = Meter::begin(server)?;
        let each = all.keep_going(Duration::from_millis(self.measure_ms))?;
        let reading = meter.end()?;
        let summary = each.summary();
        all.finish()?;
        Ok(Measured { deliveries: each.count(), reading, each: summary })
    }
}

impl Loop {
    fn send(&mut self, connection: usize) -> Outcome<()> {
        let stamp = self.flights.send(Instant::now(), 1)?;
        let mut frame = Vec::new();
        self.template.put(stamp, &mut frame);
        self.pool.send(connection, &frame)
    }

    /// Sends another message on every connection whose message is back.
    fn keep_going(&mut self, time: Duration) -> Outcome<Histogram> {
        let end = Instant::now() + time;
        let mut each = Histogram::default();
        while Instant::now() < end {
            for connection in self.receive(&mut each)? {
                self.send(connection)?;
            }
        }
        Ok(each)
    }

    /// Waits until nothing is under way.
    fn finish(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.flights.under_way() > 0 {
            if Instant::now() > deadline {
                return Err(format!("{} messages never came back", self.flights.under_way()).into());
            }
            self.receive(&mut Histogram::default())?;
        }
        Ok(())
    }

    /// Takes what has come; answers the connections it came to. Never sleeps, so that the server has nobody to wake.
    fn receive(&mut self, each: &mut Histogram) -> Outcome<Vec<usize>> {
        let mut back = Vec::new();
        self.pool.poll(Some(Duration::ZERO), &mut |number, news, at| {
            let message = match news {
                News::Message(message) => message,
                News::Gone(reason) => return Err(format!("connection {number}: {reason}").into()),
                News::Joined(_) => return Ok(()),
            };
            let Some(stamp) = wire::stamp(message) else { return Ok(()) };
            each.record(self.flights.arrive(stamp, at)?.latency);
            back.push(number);
            Ok(())
        })?;
        Ok(back)
    }
}
