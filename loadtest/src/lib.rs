//! Linnet's load harness.
pub mod seed;
pub mod stack;
