//! What the parts of a document promise together.

mod editors;
mod model;
mod starvation;
