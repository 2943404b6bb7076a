//! Documents that stay: the order of their steps, decided without I/O, clock or schema, and where they are kept.
//!
//! The [authority] says which batch of steps comes next and whose turn it is; [batches] are what was delivered since the
//! snapshot, for who reads; [steps] is what a batch must look like to be let in. Steps stay the text in which they came.

pub mod authority;
pub mod batches;
pub mod steps;
pub mod store;
mod turns;

#[cfg(test)]
mod tests;
