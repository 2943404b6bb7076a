//! Documents of kind `steps`: one order of `ProseMirror` steps, decided without I/O, clock or schema.
//!
//! The [authority](authority) says which batch of steps comes next and whose turn it is; [batches](batches) are what was
//! delivered since the snapshot, for who reads; [steps](steps) is what a batch must look like to be let in. Steps stay the
//! text in which they came.

pub mod authority;
pub mod batches;
pub mod steps;
mod turns;

#[cfg(test)]
mod tests;
