//! `change-events rules`: alert rule files, ready to load.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli;
use crate::cli::Failure;
use crate::rules;
use crate::rules::Dialect;
use crate::rules::Notify;
use crate::rules::Pattern;
use crate::rules::Stuck;

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
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
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

/// Prints the file, or says why there is none.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let About::Stuck(args) = &args.about;
    let text = rules::stuck(&Stuck {
        event_name: args.event_name.clone(),
        state: args.state.clone(),
        entity: args.entity.clone(),
        limit: args.limit,
        pattern: match args.pattern {
            PatternArg::Open => Pattern::Open,
            PatternArg::Duration => Pattern::Duration,
            PatternArg::Heartbeat => Pattern::Heartbeat,
        },
        dialect: match args.dialect {
            DialectArg::Promql => Dialect::Promql,
            DialectArg::Metricsql => Dialect::Metricsql,
        },
        notify: if args.grouped { Notify::Grouped } else { Notify::Each },
    })
    .map_err(|error| Failure::Usage(format!("cannot write the rule file: {error}")))?;
    cli::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Whole numbers with a unit each, from days to seconds, the larger first: `1d`, `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let mut units = [('d', 86_400_u64), ('h', 3_600), ('m', 60), ('s', 1)].into_iter();
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, tail) = rest.split_at(digits);
        let part = tail.chars().next().and_then(|unit| {
            let (_, each) = units.find(|(letter, _)| *letter == unit)?;
            count.parse::<u64>().ok()?.checked_mul(each)
        });
        seconds = part
            .and_then(|part| seconds.checked_add(part))
            .ok_or_else(|| format!("`{text}` is not a duration such as 4h, 90m, 1h30m or 2d"))?;
        rest = tail.get(1..).unwrap_or_default();
    }
    if seconds == 0 {
        return Err("the duration is zero".to_owned());
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    fn check(text: &str, seconds: Option<u64>) {
        assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs), "{text}");
    }

    #[test]
    fn durations() {
        check("4h", Some(14_400));
        check("90m", Some(5_400));
        check("1h30m", Some(5_400));
        check("2d", Some(172_800));
        check("1d1h1m1s", Some(90_061));
        for bad in
            ["", "0h", "4", "h", "-4h", "4H", "1m1h", "1h1h", "4 h", "1.5h", "4\u{fffd}", "99999999999999999999h", "99999999999999999d"]
        {
            check(bad, None);
        }
    }
}
