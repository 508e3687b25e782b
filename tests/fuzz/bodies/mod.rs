//! What each fuzz target does with an input. Shared by the test program here, which runs on any toolchain, and the targets of
//! `fuzz/`, which libFuzzer drives.

mod bytes;
mod checks;
mod forge;
pub(crate) mod log;
mod memory;
mod model;
pub(crate) mod record;
pub(crate) mod store;
pub(crate) mod wire;
mod world;
