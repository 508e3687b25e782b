//! Where log lines go: standard error, as `key=value` text or as JSON.

use std::io;

use tracing::level_filters::LevelFilter;

/// The least severe lines that are written (`--log.level`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// How lines look (`--log.format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LineFormat {
    /// A line of text with `key=value` fields.
    #[default]
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Sends every log line of this process to standard error. A second call changes nothing.
pub fn init(level: Level, format: LineFormat) {
    let filter = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let lines = tracing_subscriber::fmt().with_max_level(filter).with_writer(io::stderr);
    let set = match format {
        LineFormat::Logfmt => lines.with_target(false).with_ansi(false).try_init(),
        LineFormat::Json => lines.json().try_init(),
    };
    set.ok();
}

/// An error and every cause of it on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
