//! What can be measured. Each mode takes its settings from the plan and returns what it saw.

pub mod broadcast;
mod chunks;
pub mod echo;
pub mod fanout;
pub mod idle;
pub mod meter;
pub mod pages;
pub mod steady;
pub mod storm;
pub mod streams;
pub mod watchers;
