//! What the documents of several processes stand on.

use std::sync::Arc;

use crate::{cluster::kept::KeptDocuments, room::opening::Opener};

/// What the processes share.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) kept: KeptDocuments,
    /// Opens the documents that have no authority.
    pub(crate) relays: Arc<dyn Opener>,
}
