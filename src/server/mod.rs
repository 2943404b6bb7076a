//! Threads and the sockets that come in, the calls for whoever embeds the hub, and the end.

pub mod accept;
mod endpoints;
pub mod hub;
pub mod loopback;
mod shared;
pub mod users;
