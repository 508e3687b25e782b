//! `change-events open`: what has begun and has not ended.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::cli;
use crate::cli::Failure;
use crate::cli::given::Unusable;
use crate::cli::listing;
use crate::cli::listing::Wanted;
use crate::cli::server::ServerArgs;
use crate::time::Clock as _;
use crate::time::SystemClock;
use crate::time::duration;

const EXAMPLES: &str = "\
Examples:
  change-events open                      # everything, the oldest first
  change-events open '{event_name=\"deployment\",env=\"prod\"}'
  change-events open '{service_name=~\"api|web\"}' --older-than 1h
  change-events open --json | jq -r '.[].id'

A selector is one of Prometheus: =, !=, =~ and !~. An event that matches one of several is shown.
`change-events close` closes what was forgotten.";

/// List what is open, by age.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only events that match one of these selectors
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,

    /// Only events open for at least so long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    older_than: Option<Duration>,

    /// Show the oldest so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    /// Print a JSON array of the events as the server gives them, instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// Prints the list.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let server = args.server.server(Unusable::Fails)?;
    let now = SystemClock.now();
    let wanted = Wanted { selectors: &args.selectors, older_than: args.older_than };
    let mut events = listing::fetch(&server, wanted, now)?;
    let found = events.len();
    events.truncate(args.limit.unwrap_or(usize::MAX));
    if args.json {
        let raw: Vec<Value> = events.into_iter().map(|event| event.raw).collect();
        let text = serde_json::to_string_pretty(&raw).map_err(Failure::running)?;
        cli::print(&format!("{text}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found == 0 {
        cli::note("nothing is open");
        return Ok(ExitCode::SUCCESS);
    }
    cli::print(&listing::table(&events, now))?;
    if events.len() < found {
        cli::note(&format!("{} younger ones are not shown", found - events.len()));
    }
    Ok(ExitCode::SUCCESS)
}
