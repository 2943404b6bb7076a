//! RFC 6455 without sockets: the handshake, frames and messages, close codes.

pub mod close;
// For benchmarks and fuzzing.
#[doc(hidden)]
pub mod decoder;
pub mod frame;
pub mod handshake;
