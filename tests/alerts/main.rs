//! Every file of `alerts/` in the hands of those who read it: promtool, vmalert, VictoriaMetrics, amtool, Alertmanager.
//!
//! The unit tests in `alerts/tests` prove the PromQL files in promtool; the same tests are replayed for the MetricsQL
//! files in VictoriaMetrics. What the exporter feeds into a running Prometheus is for the end-to-end tests.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod generated;
mod heartbeat;
mod hostile;
mod hours;
mod live;
mod notifications;
mod outcomes;
mod promtool;
mod replay;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

/// `alerts/`, and what is in it.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts")
}

/// The files of a folder whose names end so, sorted.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    found.sort();
    assert!(!found.is_empty(), "no *{ending} in {}", folder.display());
    found
}

/// Runs a tool to its end; what it printed is the failure.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
}
