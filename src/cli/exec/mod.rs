//! `change-events exec`: runs a command between the start and the stop of an event.
//!
//! The job comes first: it starts at once, its signals and its exit code pass through, and a server that is away
//! costs it nothing but the time to say so. What could not be delivered waits in the spool for the next run.

mod inbox;
mod job;
mod reporter;
mod signals;
mod spool;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use serde_json::Map;
use serde_json::Value;

use crate::cli;
use crate::cli::Failure;
use crate::cli::attribute;
use crate::cli::attribute::Attribute;
use crate::cli::attribute::AttributeError;
use crate::cli::given::NotText;
use crate::cli::given::Unusable;
use crate::cli::given::given;
use crate::cli::server::Patience;
use crate::cli::server::Server;
use crate::cli::server::ServerArgs;
use crate::client::Delivery;
use crate::client::NewEdge;
use crate::client::State;
use crate::time::Clock as _;
use crate::time::SystemClock;
use crate::time::Timestamp;
use crate::time::millis_of;
use inbox::Inbox;
use inbox::KEPT_WITHIN;
use inbox::Wake;
use job::Ending;
use reporter::Parcel;
use signals::Relay;
use spool::Spool;

/// What the stop says beyond the start. The server leaves these names out of what makes a start and a stop belong
/// together, whatever else identifies the event.
const RESULT: &str = "result";
const DURATION: &str = "duration_ms";
const EXIT_CODE: &str = "exit_result";

const EXAMPLES: &str = "\
Examples:
  change-events exec -n deployment -a service_name=api -a env=prod -- ./deploy.sh --fast
  change-events exec -n backup -a database=orders -- sh -c 'pg_dump orders | gzip > orders.gz'
  change-events exec -n deployment -a deployment_id=$CI_JOB_ID --strict -- make deploy

The stop carries `result` (success, failure, or cancelled when a signal ended it), `duration_ms`, and in `exit_result` \
the exit code. Two runs at the same time that say the same of themselves are one event: where that may happen give \
each a `deployment_id` or `entity_id` of its own.

The exit code is that of the command: 128 + n when signal n ended it, 127 when there is no such command, 126 when it \
cannot be run. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to it.

The command never waits for the server, and is run whatever is wrong with the server's address, its token or an attribute: \
that is a warning, unless --strict is given. At its end the stop is tried for --retry-for; a signal cuts that short, and so \
does a server that says to come back later than that, or, after 5 s, a disk of the spool that hangs. What is not \
delivered then is kept in the spool and delivered by the next `exec` to the same server and organization. With \
--strict the command is run only once the server has taken the start, and a stop that is not taken makes exit code 1 \
of 0.";

/// Run a command, and report its start, its end and its outcome.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(crate) struct Args {
    /// What kind of change it is, e.g. deployment
    #[arg(long, short = 'n', value_name = "NAME")]
    event_name: OsString,

    /// An attribute as name=text, or name:=json for numbers and booleans; may be given more than once
    #[arg(long = "attribute", short, value_name = "NAME=VALUE")]
    attributes: Vec<OsString>,

    /// The cluster it belongs to; without it the organization's default
    #[arg(long, value_name = "CLUSTER")]
    data_source_name: Option<OsString>,

    /// Fail when the server does not take the start or the stop, or when it cannot be asked
    #[arg(long)]
    strict: bool,

    /// Where undelivered events wait for the next run [default: `change-events/spool` in `$XDG_STATE_HOME` or `~/.local/state`]
    #[arg(long, value_name = "DIR", env = "CHANGE_EVENTS_SPOOL_DIR")]
    spool_dir: Option<OsString>,

    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command, reports about it, and ends as it ended.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let report = match Report::new(args) {
        Err(failure) if !args.strict => {
            cli::note(&format!("warning: this run is not reported: {}", cli::with_causes(&failure)));
            None
        }
        report => Some(report?),
    };
    let (wakes, inbox) = mpsc::channel();
    let relay = Relay::listen();
    let Some(Report { subject, server, started, start }) = report else {
        return Ok(ExitCode::from(job(args, &relay).exit_code()));
    };
    let directory = given(args.spool_dir.as_ref()).map(PathBuf::from).or_else(spool::default_directory);
    let spool = directory.map(|directory| Spool::new(directory, &server.client, started));
    let mut inbox = Inbox::new(inbox, relay.clone());
    let reporter = match reporter::spawn(server.client, spool.clone(), start.clone(), wakes.clone()) {
        Ok(stops) => Some(Reporter { stops, wakes }),
        Err(error) if args.strict => {
            return Err(Failure::running(format!("the command was not run, because it cannot be reported: {error}")));
        }
        Err(error) => {
            // Nobody else will say anything. What is in the spool is delivered by the next run.
            drop(wakes);
            inbox.trouble = Some(format!("there is no room for the thread that reports: {error}"));
            inbox.start_kept = spool.as_ref().map(|spool| Parcel::new(start).keep(spool, State::Start));
            None
        }
    };
    let mut run = Run { subject, started, patience: server.patience, spool, inbox, reporter };
    if args.strict {
        run.await_start(&relay)?;
    }
    let begun = Instant::now();
    let outcome = job(args, &relay);
    let asked = relay.take_asked_to_end();
    let found_out = [
        (RESULT, Value::from(outcome.result(asked))),
        (DURATION, Value::from(millis_of(begun.elapsed()))),
        (EXIT_CODE, Value::from(outcome.exit_code())),
    ];
    let delivered = run.finish(found_out).inspect_err(cli::report).unwrap_or(false);
    let code = outcome.exit_code();
    Ok(ExitCode::from(if args.strict && !delivered && code == 0 { 1 } else { code }))
}

/// Runs the command to its end; says why where that is none.
fn job(args: &Args, relay: &Relay) -> Ending {
    let outcome = job::run(&args.command, relay);
    if let Ending::NotStarted { error, .. } = &outcome {
        cli::note(&format!("error: {}", cli::with_causes(error)));
    }
    outcome
}

/// What there is to report, and to whom.
struct Report {
    subject: Subject,
    server: Server,
    started: Timestamp,
    start: Delivery,
}

impl Report {
    /// Whatever can be left out is told, and does not fail, unless `--strict` says so: without a token, for example, the server will
    /// say no, and the spool keeps what it refused.
    fn new(args: &Args) -> Result<Self, Failure> {
        let unusable = if args.strict { Unusable::Fails } else { Unusable::IsTold };
        let subject = Subject::new(args, unusable)?;
        let server = args.server.server(unusable)?;
        let started = SystemClock.now();
        let start = Delivery::new(&subject.edge(State::Start, started, []), cli::random_key()?);
        Ok(Self { subject, server, started, start })
    }
}

/// What is said of the run, at its start and at its end.
struct Subject {
    event_name: String,
    attributes: Map<String, Value>,
    data_source_name: Option<String>,
}

impl Subject {
    fn new(args: &Args, unusable: Unusable) -> Result<Self, Failure> {
        let mut attributes = Map::new();
        for raw in &args.attributes {
            let attribute = attribute::parse(&as_text("--attribute", raw, unusable)?).and_then(|attribute| own(attribute, &attributes));
            if let Some(Attribute { name, value }) = unusable.settle(attribute.map_err(Failure::usage))? {
                attributes.insert(name, value);
            }
        }
        let data_source_name = args.data_source_name.as_ref().filter(|raw| given(Some(raw)).is_some());
        let data_source_name = data_source_name.map(|raw| as_text("--data-source-name", raw, unusable)).transpose()?;
        Ok(Self {
            event_name: as_text("--event-name", &args.event_name, unusable)?.into_owned(),
            attributes,
            data_source_name: data_source_name.map(Cow::into_owned),
        })
    }

    fn edge<const N: usize>(&self, state: State, at: Timestamp, more: [(&str, Value); N]) -> NewEdge {
        let mut attributes = self.attributes.clone();
        attributes.extend(more.map(|(name, value)| (name.to_owned(), value)));
        NewEdge {
            event_name: self.event_name.clone(),
            state: Some(state),
            timestamp: at.to_string(),
            attributes,
            data_source_name: self.data_source_name.clone(),
            value: None,
        }
    }
}

/// An attribute that is neither there yet nor one of ours.
fn own(attribute: Attribute, known: &Map<String, Value>) -> Result<Attribute, AttributeError> {
    if [RESULT, DURATION, EXIT_CODE].contains(&&*attribute.name) {
        return Err(AttributeError::FoundOut(attribute.name));
    }
    if known.contains_key(&attribute.name) { Err(AttributeError::Twice(attribute.name)) } else { Ok(attribute) }
}

/// What was given as text: where it is none and that is told, with a sign for each byte that is none.
fn as_text<'a>(name: &'static str, raw: &'a OsStr, unusable: Unusable) -> Result<Cow<'a, str>, Failure> {
    let text = raw.to_string_lossy();
    if matches!(text, Cow::Owned(_)) {
        let error = NotText::new(name, raw);
        match unusable {
            Unusable::Fails => return Err(Failure::usage(error)),
            Unusable::IsTold => cli::note(&format!("warning: {error}: it is sent as it is shown here")),
        }
    }
    Ok(text)
}

/// What the main thread has in hand while a job is on.
struct Run {
    subject: Subject,
    started: Timestamp,
    patience: Patience,
    spool: Option<Spool>,
    inbox: Inbox,
    /// Who reports; nobody where there is no room for a thread that does, and nobody any more once the stop is handed over.
    reporter: Option<Reporter>,
}

/// The way to the thread that reports, and the way on which it is heard.
struct Reporter {
    stops: Sender<Parcel>,
    wakes: Sender<Wake>,
}

impl Run {
    /// Waits until the server has the start; without it the job is not run. A signal is for the job to see.
    fn await_start(&mut self, relay: &Relay) -> Result<(), Failure> {
        self.inbox.wait(self.patience, State::Start, None);
        let reason = match (&self.inbox.start, relay.asked_to_end()) {
            (Some(Ok(_)), _) | (None, Some(_)) => return Ok(()),
            (Some(Err(error)), _) => cli::with_causes(error),
            (None, None) => {
                // Perhaps it arrived and only the answer was lost: with this stop beside it, it does not stay open.
                let stop = self.stop([(RESULT, Value::from("cancelled"))])?;
                self.keep(stop, Then::Leave);
                self.wait_kept(Instant::now() + KEPT_WITHIN);
                self.inbox.trouble.clone().unwrap_or_else(|| "no answer yet".to_owned())
            }
        };
        self.inbox.tell();
        Err(Failure::running(format!("the command was not run, because the start is not reported: {reason}")))
    }

    /// Sends the stop, for as long as the flags say and the spool allows; whether the server has both ends.
    fn finish<const N: usize>(&mut self, found_out: [(&str, Value); N]) -> Result<bool, Failure> {
        let kept_by = Instant::now() + KEPT_WITHIN;
        let stop = self.stop(found_out)?;
        self.keep(stop, Then::Send);
        self.inbox.wait(self.patience, State::Stop, self.spool.is_some().then_some(kept_by));
        self.wait_kept(kept_by);
        self.inbox.tell();
        let delivered = matches!((&self.inbox.start, &self.inbox.stop), (Some(Ok(_)), Some(Ok(_))));
        if !delivered {
            self.inbox.tell_undelivered(self.spool.as_ref());
        }
        Ok(delivered)
    }

    /// Waits until it is known what the spool has, where there is one.
    fn wait_kept(&mut self, kept_by: Instant) {
        if self.spool.is_some() {
            self.inbox.wait_kept(kept_by);
        }
    }

    /// A clock that was set back does not put it before the start.
    fn stop<const N: usize>(&self, found_out: [(&str, Value); N]) -> Result<Delivery, Failure> {
        let stop = self.subject.edge(State::Stop, SystemClock.now().max(self.started), found_out);
        Ok(Delivery::new(&stop, cli::random_key()?))
    }

    /// Puts the stop into the spool. A thread of its own does that, because a disk may hang and the job's exit code does not wait for
    /// it; where there is no room for one, this one does.
    fn keep(&mut self, stop: Delivery, then: Then) {
        let keep = |spool: Option<Spool>, mut stop: Parcel| (spool.map(|spool| stop.keep(&spool, State::Stop)), stop);
        let Some(Reporter { stops, wakes }) = self.reporter.take() else {
            (self.inbox.stop_kept, _) = keep(self.spool.clone(), Parcel::new(stop));
            return;
        };
        let (spool, parcel, by_thread) = (self.spool.clone(), Parcel::new(stop.clone()), stops.clone());
        let keeper = move || {
            let (kept, parcel) = keep(spool, parcel);
            if let Some(kept) = kept {
                wakes.send(Wake::StopKept(kept)).ok();
            }
            if then == Then::Send {
                by_thread.send(parcel).ok();
            }
        };
        if thread::Builder::new().name("keeper".to_owned()).spawn(keeper).is_err() {
            let (kept, parcel) = keep(self.spool.clone(), Parcel::new(stop));
            self.inbox.stop_kept = kept;
            if then == Then::Send {
                stops.send(parcel).ok();
            }
        }
    }
}

/// What becomes of a stop that is in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Send,
    /// The next run sends it.
    Leave,
}
