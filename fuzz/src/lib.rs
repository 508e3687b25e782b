//! The bodies of the targets, which `tests/fuzz` runs too.

#[path = "../../tests/fuzz/bodies/mod.rs"]
mod bodies;

macro_rules! targets {
    ($($target:ident),*) => {
        $(
            /// One input.
            pub fn $target(input: &[u8]) {
                bodies::$target::run(input);
            }
        )*
    };
}

targets!(store, log, record, wire);
