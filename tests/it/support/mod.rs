//! What the loader's tests and benches share: recordings written by hand, by script, or at
//! random, and a naive loader to compare with.

pub mod generate;
pub mod naive;
pub mod random;
pub mod writer;
