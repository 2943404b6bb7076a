//! One document, one writer, always the same number of messages under way: the price of a delivery.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::meter::{Meter, Reading};
use crate::{
    Outcome,
    flights::Flights,
    histogram::{Histogram, Summary},
    pool::{News, Place, Pool},
    server::Server,
    wire::{self, Template},
};

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fanout {
    members: usize,
    /// Steps for a document with an authority instead of updates: they come back to the writer, too.
    #[serde(default)]
    steps: bool,
    /// Messages under way, one measurement each.
    in_flight: Vec<usize>,
    warm_ms: u64,
    measure_ms: u64,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    in_flight: usize,
    deliveries: u64,
    #[serde(flatten)]
    reading: Reading,
    /// From sending a message until its last member has it.
    last: Summary,
}

/// What the writer sends.
enum Messages {
    Updates(Template),
    Steps {
        document: String,
        /// The next batch is for this one.
        version: u64,
    },
}

/// The writer, and what is under way.
struct Loop {
    pool: Pool,
    messages: Messages,
    flights: Flights,
    /// How many get each message.
    receivers: u32,
}

impl Fanout {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where the server loses, doubles or misdirects a message, or a connection.
    pub fn run(&self, server: &Server) -> Outcome<Vec<Measured>> {
        let mut pool = Pool::new(server)?;
        pool.join((0..self.members).map(|member| Place { document: 0, member }), None)?;
        let place = Place { document: 0, member: 0 };
        let members = self.members as u32;
        let (messages, receivers) = if self.steps {
            (Messages::Steps { document: place.document_id(), version: 0 }, members)
        } else {
            (Messages::Updates(Template::new(&server.dialect.update(&place.document_id()))), members - 1)
        };
        let mut all = Loop { pool, messages, flights: Flights::default(), receivers };
        let mut measured = Vec::new();
        for &in_flight in &self.in_flight {
            all.send(in_flight)?;
            all.keep_going(Duration::from_millis(self.warm_ms))?;
            let meter = Meter::begin(server)?;
            let (deliveries, last) = all.keep_going(Duration::from_millis(self.measure_ms))?;
            let reading = meter.end()?;
            all.finish()?;
            measured.push(Measured { in_flight, deliveries, reading, last: last.summary() });
        }
        Ok(measured)
    }
}

impl Messages {
    fn put(&mut self, stamp: u32, frames: &mut Vec<u8>) {
        match self {
            Self::Updates(template) => template.put(stamp, frames),
            Self::Steps { document, version } => {
                frames.extend(wire::masked(wire::TEXT, steps(document, *version, stamp).as_bytes()));
                *version += 1;
            }
        }
    }
}

/// A batch of one step, as a character that somebody types is one.
fn steps(document: &str, version: u64, stamp: u32) -> String {
    format!(
        r#"{{"type":"steps","documentId":"{document}","version":{version},"steps":[{{"stepType":"replace","from":1042,"to":1042,"slice":{{"content":[{{"type":"text","text":"@{stamp:08x}"}}]}}}}]}}"#
    )
}

impl Loop {
    /// The writer sends `count` messages in one write.
    fn send(&mut self, count: usize) -> Outcome<()> {
        let mut frames = Vec::new();
        let now = Instant::now();
        for _ in 0..count {
            let stamp = self.flights.send(now, self.receivers)?;
            self.messages.put(stamp, &mut frames);
        }
        self.pool.send(0, &frames)
    }

    /// For every message that has reached everyone, sends another.
    fn keep_going(&mut self, time: Duration) -> Outcome<(u64, Histogram)> {
        let end = Instant::now() + time;
        let mut deliveries = 0;
        let mut last = Histogram::default();
        while Instant::now() < end {
            let (count, done) = self.receive(Duration::ZERO, &mut last)?;
            deliveries += count;
            if done > 0 {
                self.send(done)?;
            }
        }
        Ok((deliveries, last))
    }

    /// Waits until nothing is under way.
    fn finish(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.flights.under_way() > 0 {
            if Instant::now() > deadline {
                return Err(format!("{} messages never reached everyone", self.flights.under_way()).into());
            }
            self.receive(Duration::from_millis(10), &mut Histogram::default())?;
        }
        Ok(())
    }

    /// Takes what has come: how many deliveries, and how many messages have now reached everyone.
    fn receive(&mut self, timeout: Duration, last: &mut Histogram) -> Outcome<(u64, usize)> {
        let mut deliveries = 0;
        let mut done = 0;
        self.pool.poll(Some(timeout), &mut |number, news, at| {
            let message = match news {
                News::Message(message) => message,
                News::Gone(reason) => return Err(format!("connection {number}: {reason}").into()),
                News::Joined(_) => return Ok(()),
            };
            let Some(stamp) = wire::stamp(message) else { return Ok(()) };
            let delivery = self.flights.arrive(stamp, at)?;
            deliveries += 1;
            if delivery.last {
                done += 1;
                last.record(delivery.latency);
            }
            Ok(())
        })?;
        Ok((deliveries, done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_steps_follow_each_other_and_carry_their_stamp() {
        let mut messages = Messages::Steps { document: "bench-0".to_owned(), version: 0 };
        let mut frames = Vec::new();
        messages.put(7, &mut frames);
        messages.put(0x1f, &mut frames);
        let first = wire::first_frame(&frames).expect("a frame");
        let second = wire::first_frame(&frames[first.length..]).expect("another");
        for (frame, version, stamp) in [(first, 0, 7), (second, 1, 0x1f)] {
            let mut message = Vec::new();
            frame.unmask_to(&mut message);
            assert_eq!(wire::stamp(&message), Some(stamp));
            let message: serde_json::Value = serde_json::from_slice(&message).expect("JSON");
            assert_eq!(message["version"], version);
        }
    }
}
