//! What the loader's tests and benches share: recordings written by hand, by script, or at
//! random, and a naive loader to compare with.
#![allow(unreachable_pub, reason = "two crates take this in, and neither hands it on")]
#![allow(missing_docs, reason = "names say it")]
#![allow(dead_code, reason = "each of the two uses its part")]

pub mod generate;
pub mod naive;
pub mod random;
pub mod scripted;
pub mod writer;
