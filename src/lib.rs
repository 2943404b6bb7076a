//! A WebSocket hub that lives inside a Next.js process and never waits for JavaScript.
//!
//! # Layout
//!
//! Top may use below, never the other way.
//!
//! - `binding` (feature `binding`): the Node-API boundary; the only place that names napi.
//! - [`hub`]: the registry of rooms and connections, the calls for route handlers, the end.
//! - [`accept`], [`loopback`], [`handshake`], [`admission`]: how a socket comes in.
//! - [`visitors`], `pass`, `expiry`: who is there, what they may do, and until when.
//! - [`shard`], `scheduling`: a thread with its runtime, and what runs on it once for all its connections.
//! - [`endpoint`], [`fabric`], `pace`, [`echo`], [`offences`], [`scripted`]: what serves the connections of a path.
//! - [`room`]: members of a document and the fan-out to them.
//! - [`recovery`], [`history`], [`lineage`], [`token`], [`sent`]: what a room remembers, and how a client comes back.
//! - [`connection`], [`outbox`]: one upgraded socket: reading, writing, the closing handshake.
//! - [`decoder`], [`frame`], [`protocol`], [`batch`]: bytes and messages, without sockets.
//! - [`limits`], [`rate`], [`security`], [`notice`]: how much is too much, who notes it, and what a client is told.
//! - [`config`], [`error`], [`close`], `panics`, `sync`: leaves.

pub mod accept;
pub mod admission;
pub mod batch;
#[cfg(feature = "binding")]
mod binding;
pub mod close;
pub mod config;
pub mod connection;
pub mod decoder;
pub mod echo;
pub mod endpoint;
pub mod error;
mod expiry;
pub mod fabric;
pub mod frame;
pub mod handshake;
pub mod history;
pub mod hub;
pub mod limits;
pub mod lineage;
pub mod loopback;
pub mod notice;
pub mod offences;
pub mod outbox;
mod pace;
mod panics;
mod pass;
pub mod protocol;
pub mod rate;
pub mod recovery;
pub mod room;
mod scheduling;
pub mod scripted;
pub mod security;
pub mod sent;
pub mod shard;
mod sync;
#[cfg(test)]
mod test_clients;
pub mod token;
pub mod visitors;

pub use config::Config;
pub use error::Error;
pub use hub::Hub;
