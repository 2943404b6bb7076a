//! The Node-API boundary: thin and mechanical. What it passes on is decided in the core or in `js/`.

mod admission;
#[cfg(feature = "redis")]
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod channels;
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod cluster;
mod counts;
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod documents;
mod hooks;
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod hub;
mod log;
mod log_line;
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod monitoring;
mod notifier;
mod numbers;
mod redis;
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod rooms;
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod script;
#[expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned values")]
mod security;
mod settles;
