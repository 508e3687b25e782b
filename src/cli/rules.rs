//! `change-events rules`: alert rule files, ready to load.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli;
use crate::cli::Failure;
use crate::rules;
use crate::rules::Dialect;
use crate::rules::Notify;
use crate::rules::Pattern;
use crate::rules::RulesError;
use crate::rules::Stuck;
use crate::time::duration;

const EXAMPLES: &str = "\
Examples:
  change-events rules stuck --event-name job_lifecycle --state queued --entity entity_id --for 4h > stuck.rules.yml
  change-events rules stuck --event-name deployment --entity service_name,deployment_environment --for 1h --grouped";

/// Write an alert rule file to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    about: About,
}

#[derive(Debug, clap::Subcommand)]
enum About {
    Stuck(StuckArgs),
    Deployments(DeploymentsArgs),
    /// How the rules tell success from failure, as parts of an expression, for rules and dashboards of one's own.
    Outcomes,
}

/// Deployments that failed or run for too long, and too many rollbacks: the file that is shipped.
#[derive(Debug, clap::Args)]
struct DeploymentsArgs {
    /// Who evaluates the rules: Prometheus, or vmalert.
    #[arg(long, value_enum, default_value_t = DialectArg::Promql)]
    dialect: DialectArg,
}

/// An alert for each entity that stays in a state for too long.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct StuckArgs {
    /// Name of the event whose start and stop bound the state.
    #[arg(long, value_name = "NAME")]
    event_name: String,

    /// Value of the attribute `state`, where the events have one.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// Label that tells one entity from another; several, separated by commas, when it takes more than one.
    #[arg(long, value_name = "LABEL", value_delimiter = ',', default_value = "entity_id")]
    entity: Vec<String>,

    /// How long the state may last, as in `4h`, `90m`, `1h30m`, `2d`.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    limit: Duration,

    /// What in the data tells that the state lasts: the gauge of open events, a start without a later stop, or
    /// starts that are sent again and again.
    #[arg(long, value_enum, default_value_t = PatternArg::Open)]
    pattern: PatternArg,

    /// Who evaluates the rule: Prometheus, or vmalert.
    #[arg(long, value_enum, default_value_t = DialectArg::Promql)]
    dialect: DialectArg,

    /// One alert for all entities, with their count and the oldest of them.
    #[arg(long)]
    grouped: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PatternArg {
    Open,
    Duration,
    Heartbeat,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum DialectArg {
    Promql,
    Metricsql,
}

impl From<DialectArg> for Dialect {
    fn from(dialect: DialectArg) -> Self {
        match dialect {
            DialectArg::Promql => Self::Promql,
            DialectArg::Metricsql => Self::Metricsql,
        }
    }
}

/// No rule file.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the rule file")]
struct WriteError(#[source] RulesError);

/// Prints the file, or says why there is none.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let text = match &args.about {
        About::Stuck(args) => stuck(args)?,
        About::Deployments(args) => rules::deployments(args.dialect.into()),
        About::Outcomes => rules::parts(),
    };
    cli::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn stuck(args: &StuckArgs) -> Result<String, Failure> {
    let stuck = Stuck {
        event_name: args.event_name.clone(),
        state: args.state.clone(),
        entity: args.entity.clone(),
        limit: args.limit,
        pattern: match args.pattern {
            PatternArg::Open => Pattern::Open,
            PatternArg::Duration => Pattern::Duration,
            PatternArg::Heartbeat => Pattern::Heartbeat,
        },
        dialect: args.dialect.into(),
        notify: if args.grouped { Notify::Grouped } else { Notify::Each },
    };
    let text = rules::stuck(&stuck).map_err(|error| Failure::usage(WriteError(error)))?;
    if stuck.is_near_max_age() {
        cli::note(
            "warning: the limit is near 7d or beyond, after which an event that its attributes alone identify leaves the gauge: \
             the alert ends then, or never fires; send an entity_id, or start the server with a longer --open.max-age",
        );
    }
    Ok(text)
}
