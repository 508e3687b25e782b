//! The flags of `change-events serve`, named as in the Prometheus family.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::account::Account;
use crate::config::ConfigError;
use crate::config::ConfigFile;
use crate::config::Limits;
use crate::config::listen;
use crate::config::size;
use crate::doors::ets;
use crate::exposition;
use crate::http::app::Settings;
use crate::http::app::WebOptions;
use crate::http::auth::Access;
use crate::http::hosts;
use crate::http::hosts::Hosts;
use crate::http::server;
use crate::shown::cut;
use crate::store;
use crate::telemetry::logging;
use crate::threads::Helpers;
use crate::time::duration;
use crate::writer;

/// What was said on the command line.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Flags {
    /// Configuration file, YAML: organizations and tokens, clusters, labels, pairing, limits
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Directory of the log and its checkpoints
    #[arg(long = "storage.path", value_name = "DIR", default_value = "./data")]
    pub storage_path: PathBuf,

    /// How long after its receipt an event is kept; 0 for ever
    #[arg(long = "storage.retention.time", value_name = "DURATION", default_value = "1y", value_parser = duration::parse)]
    pub storage_retention_time: Duration,

    /// How many bytes the log may take before its oldest events go, like 10GB; what is open, or younger than a day and an hour, stays; 0 for any number
    #[arg(long = "storage.retention.size", value_name = "SIZE", default_value = "0", value_parser = retention_size)]
    pub storage_retention_size: u64,

    /// How much of the disk new events leave free, like 500MB; 0 for nothing. Default 1GB, or a twentieth of the disk where that is less
    #[arg(long = "storage.min-free", value_name = "SIZE", value_parser = size::parse)]
    pub storage_min_free: Option<u64>,

    /// How long a sender waits for a disk that does not answer before it is told so
    #[arg(long = "storage.sync-timeout", value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    pub storage_sync_timeout: Duration,

    /// Address to listen on, HOST:PORT; may be given more than once
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:10555", help_heading = "Web")]
    pub web_listen_address: Vec<String>,

    /// Let anybody read and write even where other machines reach the server
    #[arg(long = "web.allow-anonymous", help_heading = "Web")]
    pub web_allow_anonymous: bool,

    /// Path of the page with samples and own metrics
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics", help_heading = "Web")]
    pub web_telemetry_path: String,

    /// URL under which others reach the server, for example through a proxy: links begin with it, and its path is the default route prefix
    #[arg(long = "web.external-url", value_name = "URL", help_heading = "Web")]
    pub web_external_url: Option<String>,

    /// Host names by which the server may be asked for where it listens on loopback only and asks for no token, beside localhost, addresses, the machine's name and the external URL's; with `*.` before one all below it, `*` any
    #[arg(long = "web.allowed-hosts", value_name = "NAME", value_delimiter = ',', help_heading = "Web")]
    pub web_allowed_hosts: Vec<String>,

    /// Prefix of every path that is served; `/` behind a proxy that takes the path of the external URL away
    #[arg(long = "web.route-prefix", value_name = "PATH", help_heading = "Web")]
    pub web_route_prefix: Option<String>,

    /// Reload the configuration on POST to /-/reload
    #[arg(long = "web.enable-lifecycle", help_heading = "Web")]
    pub web_enable_lifecycle: bool,

    /// Answer 404 when a POST to /api/v1/event/ without `insert` changes an event that is not there; ETS answers 200 and keeps nothing
    #[arg(long = "ets.strict", help_heading = "Web")]
    pub ets_strict: bool,

    /// How long a sample holds its place on the page before the next of its series; twice the scrape interval and some slack
    #[arg(long = "exposure.hold", value_name = "DURATION", default_value = "2m15s", value_parser = duration::parse, help_heading = "Pages")]
    pub exposure_hold: Duration,

    /// How long the last sample of a series stays on the page
    #[arg(long = "exposure.keep", value_name = "DURATION", default_value = "49m", value_parser = duration::parse, help_heading = "Pages")]
    pub exposure_keep: Duration,

    /// Most samples on a page
    #[arg(long = "exposure.max-samples", value_name = "N", default_value_t = 50_000, help_heading = "Pages")]
    pub exposure_max_samples: usize,

    /// Leave the family `last9_change_events_timestamp_seconds` out of the pages
    #[arg(long = "no-exposure.timestamp-family", help_heading = "Pages")]
    pub no_exposure_timestamp_family: bool,

    /// How far before its start a stop may be dated and still close it, since clocks differ
    #[arg(long = "pairing.skew", value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    pub pairing_skew: Duration,

    /// How long an event that nothing but its attributes identifies stays open
    #[arg(long = "open.max-age", value_name = "DURATION", default_value = "7d", value_parser = duration::parse)]
    pub open_max_age: Duration,

    #[command(flatten)]
    pub limits: Limits,

    /// The least severe log lines that are written
    #[arg(long = "log.level", value_enum, default_value_t, help_heading = "Logging")]
    pub log_level: logging::Level,

    /// How log lines look
    #[arg(long = "log.format", value_enum, default_value_t, help_heading = "Logging")]
    pub log_format: logging::LineFormat,
}

impl Flags {
    /// The addresses to listen on. Those that other machines reach are refused where anybody may read and write, unless a flag
    /// says that it is meant so.
    pub fn addresses(&self, access: &Access) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut addresses = Vec::new();
        for text in &self.web_listen_address {
            for address in listen::resolve(text)? {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        if access.is_anonymous() && !self.web_allow_anonymous {
            listen::check_loopback(&addresses)?;
        }
        Ok(addresses)
    }

    /// The limits of flags and file together.
    pub fn limits(&self, file: &ConfigFile) -> Limits {
        self.limits.or(file.limits())
    }

    /// What the store is to be.
    pub fn store(&self, file: &ConfigFile, account: Account) -> store::Options {
        let mut options =
            store::Options { pairing_skew: self.pairing_skew, open_max_age: self.open_max_age, account, ..store::Options::default() };
        self.limits(file).apply_to_store(&mut options);
        options
    }

    /// What the pages are to be.
    pub fn exposition(&self, account: Account, helpers: Helpers) -> Result<exposition::Options, ConfigError> {
        let longest = exposition::AGE_MAX;
        let within = |flag, value: Duration| {
            let rule =
                format!("must be more than 0 and at most {}m, the age of a sample that Prometheus still accepts", longest.as_secs() / 60);
            if value.is_zero() || value > longest { Err(ConfigError::flag(flag, rule)) } else { Ok(value) }
        };
        if self.exposure_max_samples == 0 {
            return Err(ConfigError::flag("--exposure.max-samples", "must be at least 1"));
        }
        Ok(exposition::Options {
            hold: within("--exposure.hold", self.exposure_hold)?,
            keep: within("--exposure.keep", self.exposure_keep)?,
            max_samples: self.exposure_max_samples,
            timestamp_family: !self.no_exposure_timestamp_family,
            account,
            helpers,
        })
    }

    /// What the writer is to do.
    pub fn writer(&self) -> Result<writer::Options, ConfigError> {
        if self.storage_sync_timeout < writer::STALL {
            return Err(ConfigError::flag("--storage.sync-timeout", format!("must be at least {}s", writer::STALL.as_secs())));
        }
        Ok(writer::Options {
            retention: Some(self.storage_retention_time).filter(|retention| !retention.is_zero()),
            retention_size: Some(self.storage_retention_size).filter(|size| *size > 0),
            min_free: self.storage_min_free,
            sync_timeout: self.storage_sync_timeout,
        })
    }

    /// How connections are treated; there are no more than `most`.
    pub fn server(&self, file: &ConfigFile, most: usize) -> server::Options {
        let mut options = server::Options::default();
        self.limits(file).apply_to_server(&mut options);
        options.connections = options.connections.min(most);
        options
    }

    /// What requests are answered by, of the file and of these flags.
    pub fn settings(&self, file: &ConfigFile) -> Result<Settings, ConfigError> {
        let mut settings = file.settings(&self.limits)?;
        settings.doors.insert(ets::Options { strict: self.ets_strict });
        Ok(settings)
    }

    /// Where things are served, by a server that listens on these addresses.
    pub fn web(&self, addresses: &[SocketAddr]) -> Result<WebOptions, ConfigError> {
        let path_of_url = self.web_external_url.as_deref().map(path_of_url).transpose()?.unwrap_or_default();
        check_path("--web.external-url", path_of_url)?;
        let prefix = self.web_route_prefix.as_deref().unwrap_or(path_of_url);
        let trimmed = prefix.trim_matches('/');
        let route_prefix = if trimmed.is_empty() { String::new() } else { format!("/{trimmed}") };
        check_path("--web.route-prefix", &route_prefix)?;
        if !self.web_telemetry_path.starts_with('/') || self.web_telemetry_path.len() < 2 {
            return Err(ConfigError::flag("--web.telemetry-path", "must begin with / and go on"));
        }
        check_path("--web.telemetry-path", &self.web_telemetry_path)?;
        let taken = ["/api/", "/v1/", "/event/", "/-/", "/clusters/"].iter().find(|taken| self.web_telemetry_path.starts_with(**taken));
        if let Some(taken) = taken {
            return Err(ConfigError::flag("--web.telemetry-path", format!("must not begin with {taken}, where other things are served")));
        }
        let external_url = self.web_external_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let telemetry_path = self.web_telemetry_path.clone();
        let hosts = self.hosts()?;
        let hosts = listen::is_on_loopback_only(addresses).then_some(hosts);
        Ok(WebOptions { route_prefix, telemetry_path, external_url, hosts })
    }

    /// The names of this server.
    fn hosts(&self) -> Result<Hosts, ConfigError> {
        let mut hosts = Hosts::default();
        for name in &self.web_allowed_hosts {
            if !hosts.add(name) {
                let rule = format!("`{}` must be a host name without a port, `*.` and such a name, or `*`", cut(name));
                return Err(ConfigError::flag("--web.allowed-hosts", rule));
            }
        }
        let url = self.web_external_url.as_deref().map(listen::host_of_url);
        let listened = self.web_listen_address.iter().map(|address| hosts::host_of(address));
        // What is no name, an address for example, is known anyway or cannot be asked for.
        for name in url.into_iter().chain(listened).chain(listen::machine_names().iter().map(String::as_str)) {
            if !name.starts_with('*') {
                hosts.add(name);
            }
        }
        Ok(hosts)
    }
}

/// The least log that can be kept so small.
const RETENTION_SIZE_MIN: u64 = 16 << 20;

fn retention_size(text: &str) -> Result<u64, String> {
    let size = size::parse(text).map_err(|error| error.to_string())?;
    if size == 0 || size >= RETENTION_SIZE_MIN {
        return Ok(size);
    }
    Err(format!("`{text}` is too small: must be 0, for any size, or at least {}MB", RETENTION_SIZE_MIN >> 20))
}

/// Characters that a path may have without being a pattern of the router or changing on its way.
fn check_path(flag: &'static str, path: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    if path.bytes().all(plain) && !path.contains("//") && !path.ends_with('/') {
        return Ok(());
    }
    Err(ConfigError::flag(flag, format!("`{path}` must hold only letters, digits and -._~ between single slashes")))
}

fn path_of_url(url: &str) -> Result<&str, ConfigError> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let rest = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#']));
    let rest =
        rest.ok_or_else(|| ConfigError::flag("--web.external-url", format!("`{url}` must be an http or https URL without query")))?;
    Ok(rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default().trim_end_matches('/'))
}
