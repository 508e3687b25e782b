//! What is free is kept for a moment where there is ample memory, and given back at once where there is little.

use std::path::Path;
use std::path::PathBuf;

use crate::support::exporter::Exporter;

/// For how many milliseconds its allocator keeps what is free.
fn delay(arguments: &[&str], environment: &[(&'static str, PathBuf)]) -> String {
    let exporter = Exporter::start_with(arguments, environment);
    let variables = std::fs::read_to_string(format!("/proc/{}/environ", exporter.id())).unwrap();
    let found = variables.split('\0').find_map(|variable| variable.strip_prefix("MIMALLOC_PURGE_DELAY="));
    found.unwrap().to_owned()
}

#[test]
fn what_is_free_is_kept_where_there_is_ample_memory() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("--config.file={}", path.display())
    };
    let (little, ample) = (file("little.yml", "limits: {memory: 500000000}\n"), file("ample.yml", "limits: {memory: 2000000000}\n"));
    for (arguments, expected) in [
        (&["--limit.memory=1073741823"][..], "0"),
        (&["--limit.memory=1073741824"], "250"),
        (&[&little], "0"),
        (&[&ample], "250"),
        (&[&little, "--limit.memory=2000000000"], "250"),
        // It can be read only once.
        (&["--config.file=/dev/null"], "0"),
    ] {
        assert_eq!(delay(arguments, &[]), expected, "{arguments:?}");
    }
    assert_eq!(delay(&[&ample], &[("MIMALLOC_PURGE_DELAY", Path::new("7").into())]), "7", "somebody chose that");
}
