//! A WebSocket hub that lives inside a Next.js process and never waits for JavaScript.
//!
//! # Layout
//!
//! The folders show the way of a message, and stand here from the top to the bottom: a file uses what stands in its own
//! folder or further down, and no two files use each other. `npm run layers` checks both.
//!
//! - `binding` (feature `binding`): the Node-API boundary; the only place that names napi.
//! - [`server`]: sockets that come in, the calls of a [`Hub`], its start and its end.
//! - [`fabric`]: the endpoint that serves documents.
//! - [`handlers`]: endpoints that are written in TypeScript.
//! - [`document`]: documents with an authority, their store, and how they are loaded and saved.
//! - `cluster` (feature `redis`): documents that several processes order by one Redis.
//! - [`room`]: the members of a document, and the fan-out to them.
//! - [`recovery`]: what a room remembers, and how a client comes back.
//! - `shard`: a thread, its clock, and what it does for all its connections.
//! - [`connection`]: the life of one upgraded socket.
//! - [`protocol`]: the messages of the fabric endpoint, as JSON.
//! - [`config`]: what a hub can be told.
//! - [`admission`]: who may come in, and how much.
//! - [`websocket`]: RFC 6455, without sockets.
//! - [`metrics`]: what is counted, and the forms in which it is told.
//! - [`ids`], `json`, [`error`], `panics`, `sync`: what all of them use.
//!
//! # What an embedder needs
//!
//! [`Hub`], [`Config`] and [`Error`]; [`server`] for sockets and users, with what was decided about them in [`admission`];
//! [`connection::endpoint`] to serve a path, [`handlers`] to do so from another language; [`room::document_log`] and
//! [`room::opening`] for documents that are ordered and kept elsewhere. What is public for benchmarks and fuzzing alone is
//! hidden from this documentation.

pub mod admission;
#[cfg(feature = "binding")]
mod binding;
#[cfg(feature = "redis")]
pub mod cluster;
pub mod config;
pub mod connection;
pub mod document;
pub mod error;
pub mod fabric;
pub mod handlers;
pub mod ids;
mod json;
pub mod metrics;
mod panics;
// For benchmarks and fuzzing.
#[doc(hidden)]
pub mod protocol;
#[doc(hidden)]
pub mod recovery;
pub mod room;
pub mod server;
mod shard;
mod sync;
#[cfg(test)]
mod tests;
pub mod websocket;

pub use config::Config;
pub use error::Error;
pub use server::hub::Hub;
