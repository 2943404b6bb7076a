//! What `hub` and `script` share: events that wait for JavaScript, and connections as numbers.

use crate::{handlers::Events, ids::ConnectionId};

/// Events on their way to JavaScript.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) events: Events,
    /// The first that was not given out.
    pub(super) next: usize,
}

/// A connection's number as JavaScript has it: exact up to 2^53, which no process reaches.
#[expect(clippy::cast_precision_loss, reason = "there are never 2^53 connections")]
pub(super) fn number(id: ConnectionId) -> f64 {
    id.number() as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it came from `number`")]
pub(super) fn id(number: f64) -> ConnectionId {
    ConnectionId::new(number as u64)
}

/// A number of bytes; infinity is more than there can be.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
pub(super) fn bytes(number: f64) -> usize {
    number as usize
}
