//! Load for a WebSocket server that speaks the fabric protocol, and the bare loops it is compared with.
//!
//! One thread and one epoll: at the rates of this benchmark a client thread of its own for every few connections would
//! fight the server for the processors. Frames are encoded and masked beforehand; of what arrives, only the frame
//! header and a stamp are read.

pub mod dialect;
pub mod flights;
pub mod histogram;
pub mod http;
pub mod limits;
pub mod modes;
pub mod plan;
pub mod pool;
pub mod schedule;
pub mod server;
pub mod usage;
pub mod wire;

/// What a mode answers with: anything that went wrong, in words, ends the measurement.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
