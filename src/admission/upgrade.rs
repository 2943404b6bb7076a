//! A request for an upgrade together with what was decided about it.

use std::{borrow::Cow, sync::Arc};

use crate::{admission::Admission, websocket::handshake::Request};

/// A request for an upgrade together with what was decided about it.
#[derive(Debug, Clone, Default)]
pub struct Upgrade {
    /// The request.
    pub request: Request,
    /// The user's id, where sessions are used. Never empty.
    pub user: Option<Arc<str>>,
    /// What else was decided.
    pub admission: Admission,
}

impl Upgrade {
    /// The path of the request's target.
    pub fn path(&self) -> &str {
        self.request.path()
    }

    /// See [`Request::parameter`].
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.request.parameter(name)
    }
}

impl From<Request> for Upgrade {
    /// A request about which nobody has decided anything.
    fn from(request: Request) -> Self {
        Self { request, user: None, admission: Admission::default() }
    }
}
