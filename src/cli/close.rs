//! `change-events close`: the stop of something that is open, sent by hand.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::cli;
use crate::cli::Failure;
use crate::cli::attribute;
use crate::cli::attribute::Attribute;
use crate::cli::given::Unusable;
use crate::cli::listing;
use crate::cli::listing::Wanted;
use crate::cli::server::Server;
use crate::cli::server::ServerArgs;
use crate::client::Delivery;
use crate::client::ListedEdge;
use crate::client::ListedEvent;
use crate::client::NewEdge;
use crate::client::State;
use crate::time::Clock as _;
use crate::time::SystemClock;
use crate::time::Timestamp;
use crate::time::duration;

const EXAMPLES: &str = "\
Examples:
  change-events close 00000000000000000000000000000000   # an id that `change-events open` shows
  change-events close --match '{event_name=\"deployment\",service_name=\"api\"}' --result cancelled
  change-events close --match '{env=\"test\"}' --older-than 1d --all

The stop carries the attributes of the start, so that the two belong together.
Prints the id of each event that was closed. More than one is closed only with --all.";

/// Close what is open: one event by its id, or those that match.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").args(["id", "selectors", "older_than"]).required(true).multiple(true)))]
pub(crate) struct Args {
    /// Id of the event, or of its start
    #[arg(value_name = "ID", conflicts_with_all = ["selectors", "older_than", "all"])]
    id: Option<String>,

    /// Close what matches this selector; may be given more than once
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,

    /// Close what is open for at least so long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    older_than: Option<Duration>,

    /// Close all of them when there are more than one
    #[arg(long)]
    all: bool,

    /// How it ended, e.g. success, failure or cancelled; the attribute `result` of the stop
    #[arg(long, value_name = "RESULT")]
    result: Option<String>,

    /// One more attribute of the stop; may be given more than once
    #[arg(long = "attribute", short, value_name = "NAME=VALUE", value_parser = attribute::parse)]
    attributes: Vec<Attribute>,

    /// When it ended, in any ISO 8601 form; without it now
    #[arg(long, short, value_name = "TIME")]
    timestamp: Option<String>,

    /// Name of the stop, where a pairing rule of the server has another one for it
    #[arg(long, short = 'n', value_name = "NAME")]
    event_name: Option<String>,

    #[command(flatten)]
    server: ServerArgs,
}

/// Closes, and looks whether it worked.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut extra = attribute::collect(&args.attributes).map_err(Failure::usage)?;
    if let Some(result) = &args.result
        && extra.insert("result".to_owned(), Value::String(result.clone())).is_some()
    {
        return Err(Failure::usage("--result and -a result=.. say the same thing twice"));
    }
    let server = args.server.server(Unusable::Fails)?;
    let chosen = choose(args, &server)?;
    let mut closed: Vec<&ListedEvent> = Vec::new();
    let mut refused = 0;
    for event in &chosen {
        let edge = stop_of(event, args, &extra, SystemClock.now());
        let delivery = Delivery::new(&edge, cli::random_key()?);
        match server.patience.until_done(|| server.client.put(&delivery)) {
            Ok(accepted) => {
                closed.push(event);
                for warning in &accepted.warnings {
                    cli::note(&format!("warning: {}: {warning}", event.id));
                }
            }
            Err(error) if error.is_transient() => return Err(Failure::running(error)),
            Err(error) => {
                refused += 1;
                cli::note(&format!("cannot close {}: {}", event.id, cli::with_causes(&error)));
            }
        }
    }
    let still_open = still_open(args, &server)?;
    let (left, done): (Vec<_>, Vec<_>) = closed.into_iter().partition(|event| still_open.contains(&event.id));
    for event in &done {
        cli::print(&format!("{}\n", event.id))?;
    }
    for event in &left {
        cli::note(&format!(
            "{} is still open: the server does not take this stop for its end (another name for the stop? see --event-name)",
            event.id
        ));
    }
    Ok(if refused == 0 && left.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The events that the flags name; more than one only when that was asked for.
fn choose(args: &Args, server: &Server) -> Result<Vec<ListedEvent>, Failure> {
    let now = SystemClock.now();
    let wanted = Wanted { selectors: &args.selectors, older_than: args.older_than };
    let mut events = listing::fetch(server, wanted, now)?;
    if let Some(id) = &args.id {
        events.retain(|event| event.id == *id || event.start.as_ref().is_some_and(|start| start.id == *id));
        if events.is_empty() {
            return Err(Failure::running(format!("nothing that is open has the id \"{id}\"")));
        }
    }
    if events.is_empty() {
        return Err(Failure::running("nothing that is open matches"));
    }
    if events.len() > 1 && !args.all {
        cli::show(&listing::table(&events, now));
        return Err(Failure::usage(format!("{} events match: give --all to close them all", events.len())));
    }
    Ok(events)
}

/// The edge that ends an event: everything the start said, so that it is the same change, and what is known now.
fn stop_of(event: &ListedEvent, args: &Args, extra: &Map<String, Value>, now: Timestamp) -> NewEdge {
    let mut attributes = match &event.start {
        Some(ListedEdge { attributes: Some(sent), .. }) => sent.clone(),
        Some(start) => start.labels.clone(),
        None => Map::new(),
    };
    if event.start.as_ref().is_some_and(|start| start.attributes.is_none()) {
        attributes.remove("event_name");
        attributes.remove("event_state");
    }
    attributes.extend(extra.clone());
    // This machine's clock may be behind: a stop before the last sign of life would not end anything.
    let earliest = listing::since(event).max(event.last_heartbeat);
    let at = earliest.map_or(now, |earliest| now.max(earliest));
    NewEdge {
        event_name: args.event_name.clone().unwrap_or_else(|| event.event_name.clone()),
        state: Some(State::Stop),
        timestamp: args.timestamp.clone().unwrap_or_else(|| at.to_string()),
        attributes,
        data_source_name: event.data_source_name.clone(),
        value: None,
    }
}

/// Ids of what is open now.
fn still_open(args: &Args, server: &Server) -> Result<HashSet<String>, Failure> {
    let wanted = Wanted { selectors: &args.selectors, older_than: None };
    let events = listing::fetch(server, wanted, SystemClock.now())?;
    Ok(events.into_iter().map(|event| event.id).collect())
}
