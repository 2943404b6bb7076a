//! What a hub counts, and the forms in which it is told.
//!
//! What is counted often is counted by one thread each, so that it costs a load and a store and no lock: a shard has its own
//! [`ThreadCounters`], and whoever asks adds them up. Nothing here knows a document, a client or a user: what tells one
//! number from another are a few [labels] that are known beforehand.

pub mod counter;
pub mod family;
pub mod histogram;
mod json;
pub mod labels;
mod text;
pub mod thread;

pub use self::{
    counter::Counter,
    family::{Family, Type},
    histogram::{Distribution, Histogram},
    json::to_json,
    text::to_text,
    thread::ThreadCounters,
};
