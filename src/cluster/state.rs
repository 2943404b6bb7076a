//! Whether a hub can publish.

/// Whether a hub can publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Every open document has everything, and what is published is taken.
    Ready,
    /// Redis is away, for this reason: clients stay, and what is published waits.
    Away(String),
}
