//! VictoriaMetrics (a single node, which may scrape by itself) and vmagent.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::Process;
use super::query::{self, Series};
use super::{http, servers};

const START_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Victoria {
    pub(crate) url: String,
    process: Process,
    _directory: TempDir,
}

impl Victoria {
    /// Starts VictoriaMetrics; with a scrape configuration it scrapes by itself.
    pub(crate) fn start(binary: &Path, scrape_config: Option<&str>, arguments: &[&str]) -> Self {
        Self::spawn(binary, scrape_config, arguments, "-storageDataPath")
    }

    /// Starts vmagent, which scrapes and passes on to `-remoteWrite.url`.
    pub(crate) fn start_agent(binary: &Path, scrape_config: &str, remote_write_url: &str) -> Self {
        let remote = format!("-remoteWrite.url={remote_write_url}");
        Self::spawn(binary, Some(scrape_config), &[&remote], "-remoteWrite.tmpDataPath")
    }

    fn spawn(binary: &Path, scrape_config: Option<&str>, arguments: &[&str], data_flag: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = servers::free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(binary);
        command
            .arg(format!("{data_flag}={}", directory.path().join("data").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .args(arguments);
        if let Some(config) = scrape_config {
            let path = directory.path().join("scrape.yml");
            std::fs::write(&path, config).unwrap();
            command.arg(format!("-promscrape.config={}", path.display()));
        }
        let mut process = Process::spawn(command, &directory.path().join("log"));
        let health = format!("{url}/health");
        process.ready(START_LIMIT, |_| http::is_ok(&health).then_some(()));
        Self { url, process, _directory: directory }
    }

    pub(crate) fn instant(&self, expression: &str) -> Vec<Series> {
        query::instant(&self.url, expression, None).expect("VictoriaMetrics answers a query")
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}
