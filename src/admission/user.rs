//! A user as limits count it.

use std::sync::{Arc, Mutex};

use super::rate::Meter;

/// A user with open connections. The connections without a user share one.
#[derive(Debug)]
pub(crate) struct User {
    /// Empty for those without a user.
    pub(super) id: Arc<str>,
    /// What all its connections send together.
    pub(super) meter: Mutex<Meter>,
}

impl User {
    pub(super) fn new(id: Arc<str>) -> Arc<Self> {
        Arc::new(Self { id, meter: Mutex::default() })
    }

    /// `None` for those without a user.
    pub(crate) fn id(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(&*self.id)
    }
}
