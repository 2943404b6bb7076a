//! Many documents whose writers keep a fixed rate: what a server costs at a given load, and how late it delivers.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::meter::{Meter, Reading};
use crate::{
    Outcome,
    flights::Flights,
    histogram::{Histogram, Summary},
    http::Http,
    limits,
    pool::{News, Place, Pool},
    schedule::Schedule,
    server::Server,
    wire::{self, Template},
};

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steady {
    documents: usize,
    /// Members of each document.
    members: usize,
    /// How many of them write.
    writers: usize,
    /// Messages a second of each writer.
    rate: f64,
    warm_ms: u64,
    measure_ms: u64,
    /// Blocks Node's loop this long in every second, by `GET /block?ms=`.
    block_ms: Option<u64>,
    /// Never sleeps, so that the server has nobody to wake: its figures are then its own. Costs a processor.
    #[serde(default)]
    spin: bool,
    /// Connections opened a second; as fast as they go without it.
    per_second: Option<f64>,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    deliveries: u64,
    #[serde(flatten)]
    reading: Reading,
    /// From the moment a message was due until each member had it.
    each: Summary,
    /// From the moment a message was due until its last member had it.
    last: Summary,
}

impl Steady {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where the server loses, doubles or misdirects a message, or a connection.
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        limits::allow_descriptors((self.documents * self.members + 64) as u64)?;
        let mut pool = Pool::new(server)?;
        let places = (0..self.documents)
            .flat_map(|document| (0..self.members).map(move |member| Place { document, member }));
        pool.join(places, self.per_second)?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let stop = &stop;
            let blocker = self.block_ms.map(|ms| scope.spawn(move || block(server, ms, stop)));
            let measured = self.measure(server, &mut pool);
            stop.store(true, Ordering::Relaxed);
            if let Some(blocker) = blocker {
                blocker.join().map_err(|_| "the thread that blocks Node's loop died")??;
            }
            measured
        })
    }

    fn measure(&self, server: &Server, pool: &mut Pool) -> Outcome<Measured> {
        let mut templates: Vec<_> = (0..self.documents)
            .map(|document| Place { document, member: 0 }.document_id())
            .map(|document| Template::new(&server.dialect.update(&document)))
            .collect();
        let mut flights = Flights::default();
        let mut schedule = Schedule::new(self.documents * self.writers, self.rate, Instant::now());
        let mut frame = Vec::new();
        let mut window = Window::default();
        let warm = Instant::now() + Duration::from_millis(self.warm_ms);
        let end = warm + Duration::from_millis(self.measure_ms);
        let mut meter = None;
        loop {
            let now = Instant::now();
            if meter.is_none() && now >= warm {
                meter = Some(Meter::begin(server)?);
                window = Window::default();
            }
            if now >= end {
                break;
            }
            while let Some((due, writer)) = schedule.take(now) {
                let (document, member) = (writer / self.writers, writer % self.writers);
                frame.clear();
                let stamp = flights.send(due, self.members as u32 - 1)?;
                templates[document].put(stamp, &mut frame);
                pool.send(document * self.members + member, &frame)?;
            }
            let sleep =
                if self.spin { Duration::ZERO } else { schedule.due().saturating_duration_since(now) };
            window.receive(pool, &mut flights, sleep.min(Duration::from_millis(100)))?;
        }
        let reading = meter.ok_or("measure_ms is too short")?.end()?;
        let measured = Measured {
            deliveries: window.deliveries,
            reading,
            each: window.each.summary(),
            last: window.last.summary(),
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while flights.under_way() > 0 {
            if Instant::now() > deadline {
                return Err(format!("{} messages never reached everyone", flights.under_way()).into());
            }
            window.receive(pool, &mut flights, Duration::from_millis(10))?;
        }
        Ok(measured)
    }
}

/// What arrived in a window.
#[derive(Default)]
struct Window {
    deliveries: u64,
    each: Histogram,
    last: Histogram,
}

impl Window {
    fn receive(&mut self, pool: &mut Pool, flights: &mut Flights, timeout: Duration) -> Outcome<()> {
        pool.poll(Some(timeout), &mut |number, news, at| {
            let message = match news {
                News::Message(message) => message,
                News::Gone(reason) => return Err(format!("connection {number}: {reason}").into()),
                News::Joined(_) => return Ok(()),
            };
            let Some(stamp) = wire::stamp(message) else { return Ok(()) };
            let delivery = flights.arrive(stamp, at)?;
            self.deliveries += 1;
            self.each.record(delivery.latency);
            if delivery.last {
                self.last.record(delivery.latency);
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// Blocks Node's loop once a second until told to stop.
fn block(server: &Server, ms: u64, stop: &AtomicBool) -> Result<(), String> {
    let mut http = Http::connect(server.host).map_err(|error| error.to_string())?;
    while !stop.load(Ordering::Relaxed) {
        let next = Instant::now() + Duration::from_secs(1);
        http.get(&format!("/block?ms={ms}")).map_err(|error| format!("GET /block: {error}"))?;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
