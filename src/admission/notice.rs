//! What the hub tells a client of its own accord about what it may do. How it is said is the endpoint's affair.

use std::time::Duration;

use crate::admission::Access;

/// One such message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The session ends after this time, and the connection with it unless it is renewed.
    SessionExpiring(Duration),
    /// The client's access is another now.
    Access(Access),
    /// The client sends too much: nothing more is read from it for this long.
    RateLimited(Duration),
}
