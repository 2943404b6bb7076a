//! Threads and the sockets that come in, the calls for whoever embeds the hub, and the end.

pub mod accept;
mod broadcast;
pub mod counts;
mod ending;
mod endpoints;
mod health;
pub mod hub;
mod keeper;
pub mod lists;
pub mod loopback;
pub mod metrics;
#[cfg(feature = "redis")]
mod outside;
mod shared;
pub mod users;
