//! `change-events send`: one edge to a server.

use std::ffi::OsString;
use std::process::ExitCode;

use serde_json::Number;

use crate::cli;
use crate::cli::Failure;
use crate::cli::attribute;
use crate::cli::attribute::Attribute;
use crate::cli::given;
use crate::cli::given::Unusable;
use crate::cli::server::ServerArgs;
use crate::client::Delivery;
use crate::client::NewEdge;
use crate::client::State;
use crate::time::Clock as _;
use crate::time::SystemClock;

const EXAMPLES: &str = "\
Examples:
  # A deployment begins, and ends. The two belong together because their names and attributes
  # are the same; `result` and everything with `duration` in its name may differ.
  change-events send -n deployment --state start -a service_name=api -a env=prod
  change-events send -n deployment --state stop -a service_name=api -a env=prod -a result=success

  # A point in time, without a beginning and an end
  change-events send -n feature_flag -a flag=new-checkout -a enabled:=true

  # Something that happened before, to a server with organizations
  change-events send --url https://events.example.com --org acme --token-file ./token \\
      -n incident --state start --timestamp 2026-02-20T10:00:00+01:00 -a incident_id=1234

Prints the id of what was stored; warnings of the server go to standard error.
Sending the same thing twice stores it once.";

/// Send one event, or one end of it, to a server.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What kind of change it is, e.g. deployment
    #[arg(long, short = 'n', value_name = "NAME")]
    event_name: String,

    /// Whether it begins or ends; without it the event is a point in time
    #[arg(long, short, value_enum)]
    state: Option<State>,

    /// When it happened, in any ISO 8601 form; without it now
    #[arg(long, short, value_name = "TIME")]
    timestamp: Option<String>,

    /// An attribute as name=text, or name:=json for numbers and booleans; may be given more than once
    #[arg(long = "attribute", short, value_name = "NAME=VALUE", value_parser = attribute::parse)]
    attributes: Vec<Attribute>,

    /// Value of the sample, 1 if absent
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = number)]
    value: Option<Number>,

    /// The cluster it belongs to; without it the organization's default
    #[arg(long, value_name = "CLUSTER")]
    data_source_name: Option<OsString>,

    /// Makes a repetition of this very command recognizable, also by other callers; without it one is made up
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    #[command(flatten)]
    server: ServerArgs,
}

/// Text that is no value of a sample.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not a finite decimal number")]
struct ValueError(String);

fn number(text: &str) -> Result<Number, ValueError> {
    serde_json::from_str(text).map_err(|_| ValueError(text.to_owned()))
}

/// Sends it and prints the id.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let edge = NewEdge {
        event_name: args.event_name.clone(),
        state: args.state,
        timestamp: args.timestamp.clone().unwrap_or_else(|| SystemClock.now().to_string()),
        attributes: attribute::collect(&args.attributes).map_err(Failure::usage)?,
        data_source_name: given::text("--data-source-name", args.data_source_name.as_ref())?.map(str::to_owned),
        value: args.value.clone(),
    };
    let key = match &args.idempotency_key {
        Some(key) => key.clone(),
        None => cli::random_key()?,
    };
    let server = args.server.server(Unusable::Fails)?;
    let delivery = Delivery::new(&edge, key);
    let accepted = server.patience.until_done(|| server.client.put(&delivery)).map_err(Failure::running)?;
    for warning in &accepted.warnings {
        cli::note(&format!("warning: {warning}"));
    }
    cli::print(&format!("{}\n", accepted.id.as_deref().unwrap_or("accepted")))?;
    Ok(ExitCode::SUCCESS)
}
