//! Inputs that failed once, each with a name for what was wrong. They are in `fuzz/found`.
