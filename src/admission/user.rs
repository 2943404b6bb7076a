//! A user as limits count it.

use std::sync::{Arc, Mutex};

use super::rate::{Bucket, Meter};
use crate::sync::lock;

/// A user with open connections. The connections without a user share one.
#[derive(Debug)]
pub(crate) struct User {
    /// Empty for those without a user.
    pub(super) id: Arc<str>,
    /// What all its connections send together.
    pub(super) meter: Mutex<Meter>,
    /// The steps among that, which have a rate of their own.
    pub(super) steps: Mutex<Bucket>,
}

impl User {
    pub(super) fn new(id: Arc<str>) -> Arc<Self> {
        Arc::new(Self { id, meter: Mutex::default(), steps: Mutex::default() })
    }

    /// When it may send as much as a newcomer, in nanoseconds of [`rate::now`](super::rate::now).
    pub(super) fn full_at(&self) -> u64 {
        lock(&self.meter).full_at().max(lock(&self.steps).full_at())
    }

    /// `None` for those without a user.
    pub(crate) fn id(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(&*self.id)
    }
}
