//! Our own server as these clients find it: with tokens or without, with a prefix before its paths or without.

use std::io::Read as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::exporter::Exporter;

/// Grafana's API keys and passwords are whatever our token is.
pub(crate) const TOKEN: &str = "glsa_0123456789abcdefghijklmnopqrstuv_01234567";

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) exporter: Exporter,
    /// With the prefix, without a slash at its end.
    pub(crate) url: String,
    token: Option<&'static str>,
    _config: TempDir,
}

impl Server {
    /// One that asks for [`TOKEN`]. `flags` go to `change-events serve`.
    pub(crate) fn with_token(flags: &[&str]) -> Self {
        let hash = hex::encode(Sha256::digest(TOKEN));
        let text = format!("organizations:\n- slug: acme\n  tokens:\n  - {{name: grafana, sha256: {hash}, scopes: [read, write]}}\n");
        let config = tempfile::tempdir().unwrap();
        let path = config.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        let exporter = Exporter::start(&[&[&*format!("--config.file={}", path.display())], flags].concat());
        Self { url: exporter.url.trim_end_matches('/').to_owned(), exporter, token: Some(TOKEN), _config: config }
    }

    /// One that asks nobody who they are.
    pub(crate) fn anonymous() -> Self {
        let exporter = Exporter::start(&[]);
        Self { url: exporter.url.clone(), exporter, token: None, _config: tempfile::tempdir().unwrap() }
    }

    /// The text that a path of ours is answered with, which is 200.
    pub(crate) fn text(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let url = format!("{}/{path}", self.url);
        let mut request = ureq::get(&url).query_pairs(parameters.iter().copied());
        if let Some(token) = self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().unwrap_or_else(|error| panic!("{url} {parameters:?}: {error}"));
        let mut text = String::new();
        answer.body_mut().as_reader().read_to_string(&mut text).unwrap();
        text
    }

    /// `GET /api/annotations` with these parameters.
    pub(crate) fn annotations(&self, parameters: &[(&str, &str)]) -> Vec<Value> {
        serde_json::from_str(&self.text("api/annotations", parameters)).unwrap()
    }

    /// `GET /api/annotations/{id}`.
    pub(crate) fn annotation(&self, id: u64) -> Value {
        serde_json::from_str(&self.text(&format!("api/annotations/{id}"), &[])).unwrap()
    }

    /// The lines of the page that say what is open.
    pub(crate) fn open(&self) -> Vec<String> {
        self.lines("last9_change_events_open_timestamp_seconds{")
    }

    /// The lines of the page that begin so.
    pub(crate) fn lines(&self, with: &str) -> Vec<String> {
        self.text("metrics", &[]).lines().filter(|line| line.starts_with(with)).map(ToOwned::to_owned).collect()
    }
}
