//! One metric: its name, what it says, and its values.

use super::histogram::Distribution;

/// What the values of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// They only grow, from 0 at the start of the process or hub.
    Counter,
    /// They are what is true now.
    Gauge,
    /// They are spread over buckets.
    Histogram,
}

impl Type {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric: its name, what it says, and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// `hub_…`, with its unit.
    pub name: &'static str,
    /// One sentence, without a line break or a backslash.
    pub help: &'static str,
    /// What the values are.
    pub kind: Type,
    /// Each value with its labels.
    pub values: Vec<(Labels, Value)>,
}

/// Names and values of labels, which need no escape.
pub type Labels = Vec<(&'static str, &'static str)>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Spread(Distribution),
}

impl Family {
    /// A counter without values yet.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Type::Counter, values: Vec::new() }
    }

    /// A gauge without values yet.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Type::Gauge, values: Vec::new() }
    }

    /// A histogram without values yet.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Type::Histogram, values: Vec::new() }
    }

    /// The same with a count, which has no labels.
    #[must_use]
    pub fn of(self, count: u64) -> Self {
        self.with(&[], count)
    }

    /// The same with a count that has labels.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    pub fn with(self, labels: &[(&'static str, &'static str)], count: u64) -> Self {
        self.with_number(labels, count as f64)
    }

    /// The same with a number that has labels.
    #[must_use]
    pub fn with_number(mut self, labels: &[(&'static str, &'static str)], number: f64) -> Self {
        self.values.push((labels.to_vec(), Value::Number(number)));
        self
    }

    /// The same with a count for each value of one label.
    #[must_use]
    pub fn by<T>(
        self,
        label: &'static str,
        all: impl IntoIterator<Item = T>,
        value: impl Fn(&T) -> (&'static str, u64),
    ) -> Self {
        all.into_iter().fold(self, |family, one| {
            let (name, count) = value(&one);
            family.with(&[(label, name)], count)
        })
    }

    /// The same with how values are spread.
    #[must_use]
    pub fn spread(mut self, labels: &[(&'static str, &'static str)], spread: Distribution) -> Self {
        self.values.push((labels.to_vec(), Value::Spread(spread)));
        self
    }
}
