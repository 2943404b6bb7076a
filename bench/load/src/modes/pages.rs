//! One page after the other, as one visitor would ask for them.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    histogram::{Histogram, Summary},
    http::Http,
    server::Server,
};

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    target: String,
    warm_ms: u64,
    measure_ms: u64,
    /// Time between an answer and the next request.
    pause_ms: u64,
}

/// The measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// From the request until the whole page is there.
    page: Summary,
}

impl Pages {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where a page is not answered by 200.
    pub fn run(&self, server: &Server) -> Outcome<Measured> {
        let mut http = Http::connect(server.host)?;
        self.ask(&mut http, Duration::from_millis(self.warm_ms))?;
        let page = self.ask(&mut http, Duration::from_millis(self.measure_ms))?.summary();
        Ok(Measured { page })
    }

    fn ask(&self, http: &mut Http, time: Duration) -> Outcome<Histogram> {
        let end = Instant::now() + time;
        let mut histogram = Histogram::default();
        while Instant::now() < end {
            let asked = Instant::now();
            http.get(&self.target)?;
            histogram.record(asked.elapsed());
            thread::sleep(Duration::from_millis(self.pause_ms));
        }
        Ok(histogram)
    }
}
