//! An Alertmanager by itself, without a cluster.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::Process;
use super::{http, servers};

const START_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Alertmanager {
    pub(crate) url: String,
    _process: Process,
    _directory: TempDir,
}

impl Alertmanager {
    pub(crate) fn start(binary: &Path, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config_path = directory.path().join("alertmanager.yml");
        std::fs::write(&config_path, config).unwrap();
        let url = format!("http://127.0.0.1:{}", servers::free_port());
        let mut command = Command::new(binary);
        command
            .arg(format!("--config.file={}", config_path.display()))
            .arg(format!("--storage.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={}", url.trim_start_matches("http://")))
            .arg("--cluster.listen-address=");
        let mut process = Process::spawn(command, &directory.path().join("log"));
        let ready = format!("{url}/-/ready");
        process.ready(START_LIMIT, |_| http::is_ok(&ready).then_some(()));
        Self { url, _process: process, _directory: directory }
    }
}
