//! Where log lines go: standard error, as `key=value` text or as JSON.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::telemetry::lines::Lines;

/// How long the process, when it ends, waits for whoever reads its lines.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Standard error is one for the process.
static LINES: LazyLock<Lines> = LazyLock::new(|| Lines::new(io::stderr()));

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

/// Sends every log line of this process to standard error. A second call changes nothing. Who has a line writes it and waits for
/// who reads it, until [`start`].
pub fn init(level: Level, format: LineFormat) {
    let filter = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let lines = tracing_subscriber::fmt().with_max_level(filter).with_writer(|| LINES.clone());
    let set = match format {
        LineFormat::Logfmt => lines.with_target(false).with_ansi(false).try_init(),
        LineFormat::Json => lines.json().try_init(),
    };
    set.ok();
}

/// Makes a thread that writes the lines from now on, so that nobody waits for who reads them; 256 KiB of lines wait for it at most.
/// An error where the system has no room for it.
pub fn start() -> io::Result<()> {
    LINES.start(|lines| tracing::warn!(lines, "log lines were left out: what is written to standard error was not read"))
}

/// Says something that is no log line, behind those that wait; false where nobody does that, and who says it has to write it.
pub fn say(line: &str) -> bool {
    use io::Write as _;
    let is_started = LINES.is_started();
    if is_started {
        drop(LINES.clone().write_all(line.as_bytes()));
        flush();
    }
    is_started
}

/// How many lines were left out.
pub fn left_out() -> u64 {
    LINES.left_out()
}

/// Waits until all lines are written, for a second at most: to be called before the process ends.
pub fn flush() {
    LINES.flush(FLUSH_PATIENCE);
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
