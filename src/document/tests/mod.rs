//! What the parts of a document promise together.

mod editors;
mod killed;
mod model;
mod starvation;
