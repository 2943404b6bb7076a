//! Latencies, and what the report says of them.

use std::time::Duration;

use serde::Serialize;

/// From 1 µs to 2 minutes with three digits.
#[derive(Debug)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub struct Summary {
    count: u64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    max_us: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self(hdrhistogram::Histogram::new_with_bounds(1_000, 120_000_000_000, 3).expect("bounds that fit"))
    }
}

impl Histogram {
    /// Notes one latency; what is outside the bounds counts as the bound.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos().try_into().unwrap_or(u64::MAX));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What the report says.
    pub fn summary(&self) -> Summary {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        let max_us = self.0.max() as f64 / 1_000.0;
        Summary { count: self.0.len(), p50_us: at(0.5), p90_us: at(0.9), p99_us: at(0.99), max_us }
    }
}
