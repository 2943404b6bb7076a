//! A route handler sends steps to every member of a document: `GET /broadcast?documentId=&bytes=&changeId=`.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::meter::{Meter, Reading};
use crate::{
    Outcome,
    flights::Flights,
    histogram::{Histogram, Summary},
    http::Http,
    limits,
    pool::{News, Place, Pool},
    server::Server,
    wire,
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broadcast {
    members: usize,
    /// Bytes of steps in a broadcast.
    bytes: usize,
    warm_rounds: usize,
    rounds: usize,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    rounds: usize,
    deliveries: u64,
    #[serde(flatten)]
    reading: Reading,
    /// From asking for it until the last member has it.
    last: Summary,
    /// What the server says of itself: the time the call itself held Node's loop, median and longest.
    held_p50_us: Option<f64>,
    held_max_us: Option<f64>,
}

/// The server's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    held_us: Option<f64>,
}

impl Broadcast {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where the steps do not reach every member.
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        limits::allow_descriptors(self.members as u64 + 64)?;
        let mut pool = Pool::new(server)?;
        pool.join((0..self.members).map(|member| Place { document: 0, member }), None)?;
        let mut http = Http::connect(server.host)?;
        self.repeat(self.warm_rounds, &mut pool, &mut http)?;
        let meter = Meter::begin(server)?;
        let (last, mut held) = self.repeat(self.rounds, &mut pool, &mut http)?;
        let reading = meter.end()?;
        held.sort_by(f64::total_cmp);
        Ok(Measured {
            rounds: self.rounds,
            deliveries: (self.rounds * self.members) as u64,
            reading,
            last: last.summary(),
            held_p50_us: held.get(held.len() / 2).copied(),
            held_max_us: held.last().copied(),
        })
    }

    fn repeat(&self, rounds: usize, pool: &mut Pool, http: &mut Http) -> Outcome<(Histogram, Vec<f64>)> {
        let document = Place { document: 0, member: 0 }.document_id();
        let mut flights = Flights::default();
        let mut last = Histogram::default();
        let mut held = Vec::new();
        for _ in 0..rounds {
            let asked = Instant::now();
            let stamp = flights.send(asked, self.members as u32)?;
            http.ask(&format!(
                "/broadcast?documentId={document}&bytes={}&changeId=@{stamp:08x}",
                self.bytes
            ))?;
            while flights.under_way() > 0 {
                if asked.elapsed() > TIMEOUT {
                    return Err("a broadcast never reached everyone".into());
                }
                pool.poll(Some(Duration::ZERO), &mut |number, news, at| {
                    let message = match news {
                        News::Message(message) => message,
                        News::Gone(reason) => return Err(format!("connection {number}: {reason}").into()),
                        News::Joined(_) => return Ok(()),
                    };
                    let Some(stamp) = wire::stamp(message) else { return Ok(()) };
                    let delivery = flights.arrive(stamp, at)?;
                    if delivery.last {
                        last.record(delivery.latency);
                    }
                    Ok(())
                })?;
            }
            let answer: Answer = serde_json::from_slice(&http.answer()?)?;
            held.extend(answer.held_us);
        }
        Ok((last, held))
    }
}
