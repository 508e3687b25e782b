//! The files that users copy, with the addresses and intervals of a test put in: so they cannot rot.

use std::path::{Path, PathBuf};

/// The path of a file of this repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A file of this repository with every replacement made. One that does not occur in it fails the test.
pub(crate) fn with(name: &str, replacements: &[(&str, &str)]) -> String {
    let text = std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    replacements.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{name} no longer says {from:?}");
        text.replace(from, to)
    })
}
