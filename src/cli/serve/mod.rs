//! `change-events serve`: the server, from reading its configuration to the last synced byte.
//!
//! Wiring only. Order: configuration, listening, replay of the log while pages answer 503, ready; on a signal: not ready,
//! drain, sync, exit. Exit codes: 0 stopped, 1 failed while running, 2 wrong flags or configuration, 3 log damaged.

mod allocator;
mod panics;
mod reload;
mod threads;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rustix::event;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::account::Account;
use crate::account::CONNECTION_BYTES;
use crate::account::Limit;
use crate::account::Shares;
use crate::cli;
use crate::cli::Failure;
use crate::cli::serve::reload::Reloader;
use crate::cli::serve::threads::Made;
use crate::config::ConfigError;
use crate::config::ConfigFile;
use crate::config::Extent;
use crate::config::Flags;
use crate::doors;
use crate::exposition::Pages;
use crate::files::Closed;
use crate::http::app::App;
use crate::http::app::Parts;
use crate::http::auth::Secret;
use crate::http::router::router;
use crate::http::server;
use crate::http::threads::Threads;
use crate::log::Disk as _;
use crate::log::FsDisk;
use crate::log::OpenError;
use crate::log::ReadError;
use crate::log::Replayed;
use crate::log::SegmentLog;
use crate::store::Store;
use crate::telemetry;
use crate::telemetry::Telemetry;
use crate::telemetry::logging;
use crate::threads::Helpers;
use crate::threads::Workers;
use crate::time::BelievedClock;
use crate::writer;
use crate::writer::Memory;
use crate::writer::Opened;
use crate::writer::ReplayError;
use crate::writer::Running;
use crate::writer::Writer;

/// How long the writer may take to write what waits, once nobody sends any more.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  change-events serve                                   # ./data, 127.0.0.1:10555, no tokens
  change-events serve --config.file=events.yml --storage.path=/var/lib/change-events --web.listen-address=:10555

Signals: TERM and INT stop the server, a second one at once; HUP reads the configuration file again.

Exit codes: 0 stopped, 1 failed while running, 2 wrong flags or configuration, 3 the log is damaged (see `change-events check`).";

/// Why the server does not run, or did not end as it should.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("stopped at once by a second signal; the log is safe")]
    SecondSignal,
    #[error("the writer ended by itself")]
    WriterEnded,
    #[error("the writer did not end within {} s", CLOSE_PATIENCE.as_secs())]
    WriterStays,
}

/// Run the server
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// Serves until a signal says stop.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let flags = &args.flags;
    allocator::set_up(flags);
    logging::init(flags.log_level, flags.log_format);
    let ended = panics::ending(|| run_all(flags));
    if ended.is_ok() {
        // An error is said behind all lines, and waited for then.
        logging::flush();
    }
    ended
}

fn run_all(flags: &Flags) -> Result<ExitCode, Failure> {
    let Made { runtime, threads, writer, helpers } = threads::make()?;
    let plan = Plan::new(flags, threads, helpers).map_err(Failure::usage)?;
    let ended = runtime.block_on(serve(plan, writer));
    // What still runs by now was cut off by a second signal or by its time.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Says a line on standard output, unless nobody reads that: then it is left out, after a second.
fn say(line: &str) -> Result<(), Failure> {
    const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    let stdout = io::stdout();
    let mut ready = [PollFd::new(&stdout, PollFlags::OUT)];
    // A pipe that says that it has room has it for a line.
    loop {
        match event::poll(&mut ready, Some(&PATIENCE)) {
            Ok(0) => return Ok(()),
            Err(Errno::INTR) => {}
            _ => return cli::print(line),
        }
    }
}

/// Everything that was asked for, checked.
struct Plan {
    flags: Flags,
    addresses: Vec<SocketAddr>,
    app: Arc<App>,
    reloader: Arc<Reloader>,
    memory: Memory,
    server: server::Options,
    writer: writer::Options,
    telemetry: Arc<Telemetry>,
    clock: Arc<BelievedClock>,
    operations: Workers,
}

impl Plan {
    fn new(flags: &Flags, threads: Threads, helpers: Helpers) -> Result<Self, ConfigError> {
        let file = flags.config_file.as_deref().map_or_else(|| Ok(ConfigFile::default()), ConfigFile::load)?;
        if let Some(path) = flags.config_file.as_ref().filter(|_| file.extent() == Extent::Nothing) {
            tracing::warn!(file = %path.display(), "the configuration file configures nothing: nobody is asked for a token");
        }
        let settings = flags.settings(&file)?;
        let addresses = flags.addresses(&settings.access)?;
        let telemetry = Arc::new(Telemetry::new());
        telemetry.set_build(env!("CARGO_PKG_VERSION"), option_env!("CHANGE_EVENTS_REVISION").unwrap_or("unknown"));
        let (limit, shares) = flags.limits(&file).memory();
        let account = Account::new(limit.bytes, shares);
        say_memory(&limit, &shares);
        let pages = Pages::new(&flags.exposition(account.clone(), helpers)?);
        let memory = Memory { store: Arc::new(Store::new(flags.store(&file, account))), pages: Arc::new(pages) };
        let clock = Arc::new(BelievedClock::default());
        let parts = Parts {
            store: Arc::clone(&memory.store),
            pages: Arc::clone(&memory.pages),
            telemetry: Arc::clone(&telemetry),
            clock: Arc::<BelievedClock>::clone(&clock),
            threads: threads.clone(),
        };
        reload::note_loaded(&telemetry, &*clock);
        let app = Arc::new(App::new(parts, flags.web(&addresses)?, settings));
        let reloader = Arc::new(Reloader::new(flags, &file, &app));
        if flags.web_enable_lifecycle {
            let reloader = Arc::clone(&reloader);
            app.set_reload(Box::new(move || reloader.reload()));
        }
        let writer = flags.writer()?;
        let server = flags.server(&file, shares.connections / CONNECTION_BYTES);
        if let Some(asked) = flags.limits(&file).connections.filter(|asked| *asked > server.connections) {
            tracing::warn!(
                asked,
                connections = server.connections,
                "--limit.connections is more than there is memory for: there are fewer"
            );
        }
        Ok(Self {
            flags: flags.clone(),
            addresses,
            app,
            reloader,
            memory,
            server,
            writer,
            telemetry,
            clock,
            operations: threads.operations,
        })
    }
}

fn say_memory(limit: &Limit, shares: &Shares) {
    let Limit { bytes, because } = limit;
    let Shares { connections, bodies, small_bodies, commands, answers, pages, private_pages, events } = shares;
    tracing::info!(bytes, because, events, pages, private_pages, bodies, small_bodies, commands, answers, connections, "memory is divided");
    if *events == 0 {
        tracing::warn!(bytes, because, "there is no memory for events: all new ones will be refused");
    }
}

async fn serve(mut plan: Plan, writer: writer::Thread) -> Result<(), Failure> {
    fit_files(&mut plan.server);
    let mut signals = Signals::new().map_err(Failure::running)?;
    // Before the log is read, or a hangup would end the process until then.
    let hangups = signal(SignalKind::hangup()).map_err(Failure::running)?;
    let reloading = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&plan.reloader).on_signal(hangups, plan.operations.clone())));
    let listeners = listen(&plan).await?;
    let stop = plan.app.stopping().clone();
    let router = router(&plan.app, doors::ALL);
    let connections = Arc::clone(plan.app.connections());
    let serving = tokio::spawn(server::run(listeners, router, plan.server.clone(), connections, Arc::clone(&plan.telemetry), stop));

    let opened = tokio::select! {
        opened = open(&plan) => opened,
        () = signals.stop() => return Ok(()),
    };
    let mut running = match opened {
        Ok(opened) => start(&plan, opened, writer)?,
        Err(error) => return Err(error),
    };
    let _watching = running.watch().map(|watch| AbortOnDropHandle::new(tokio::spawn(watch.run())));

    let writer_ended = signals.stop_or_end(&running).await;
    drop(reloading);
    tracing::info!("stopping: requests have {} s to end", plan.server.drain.as_secs());
    plan.app.set_stopping();
    tokio::select! {
        ended = close(plan, serving, running) => ended?,
        () = signals.stop() => return Err(Failure::running(ServeError::SecondSignal)),
    }
    if writer_ended { Err(Failure::running(ServeError::WriterEnded)) } else { Ok(()) }
}

/// Lets there be no more connections than the process may open files.
fn fit_files(server: &mut server::Options) {
    let wanted = server.connections.saturating_add(server.reserved_connections);
    let fit = server::raise_file_limit(wanted);
    if fit < wanted {
        server.reserved_connections = server.reserved_connections.min(fit / 2);
        server.connections = fit - server.reserved_connections;
        tracing::warn!(connections = server.connections, "the limit of open files is below --limit.connections: there are fewer");
    }
}

/// Binds every address, and says so where a person or a script looks for it.
async fn listen(plan: &Plan) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for address in &plan.addresses {
        let listener = bind(*address).await.map_err(|source| Failure::running(ServeError::Listen { address: *address, source }))?;
        let address = listener.local_addr().map_err(Failure::running)?;
        say(&format!("listening on http://{address}{}\n", plan.app.route_prefix()))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        // "All addresses" on a machine without IPv6.
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], address.port()))).await.map_err(|_| error)
        }
        bound => bound,
    }
}

struct OpenedLog {
    opened: Opened<SegmentLog<FsDisk>>,
    secret: Secret,
    took: Duration,
}

/// Reads the log into memory.
async fn open(plan: &Plan) -> Result<OpenedLog, Failure> {
    let (path, memory) = (plan.flags.storage_path.clone(), plan.memory.clone());
    let retention_size = plan.writer.retention_size;
    let opening = plan.operations.run(move || {
        let begun = Instant::now();
        let disk = FsDisk::open(&path).map_err(damaged_or_not)?;
        let home = disk.home();
        say_closed(&disk.close_to_others());
        let space = disk.space().map_err(|source| Failure::running(OpenError::Io { file: path.display().to_string(), source }))?;
        let options = crate::log::Options::default().fitting(space.size, retention_size);
        let opened = writer::open(disk, options, &memory).map_err(|error| match error {
            ReplayError::Open(error) => damaged_or_not(error),
            ReplayError::Panicked => Failure::running(error),
        })?;
        let secret = Secret::open(&home).or_else(|error| {
            if !error.is_of_room() {
                return Err(error);
            }
            tracing::warn!(%error, "there is no room for the key of access tokens: those made until the next start are refused after it");
            Secret::passing()
        });
        let secret = secret.map_err(Failure::running)?;
        Ok(OpenedLog { opened, secret, took: begun.elapsed() })
    });
    opening.await.map_err(Failure::running)?
}

fn say_closed(closed: &Closed) {
    if closed.files > 0 {
        tracing::info!(files = closed.files, "files of the log that others could use are closed to them now");
    }
    for warning in &closed.warnings {
        tracing::warn!("{warning}");
    }
}

fn damaged_or_not(error: OpenError) -> Failure {
    match error {
        OpenError::Read(ReadError::Corrupt { .. } | ReadError::Newer { .. } | ReadError::Refused { .. }) => {
            Failure::Damaged(Box::new(error))
        }
        OpenError::Read(ReadError::Io { .. }) | OpenError::InUse { .. } | OpenError::Io { .. } => Failure::running(error),
    }
}

/// Starts the writer: from here on everything is answered.
fn start(plan: &Plan, open: OpenedLog, thread: writer::Thread) -> Result<Running, Failure> {
    let OpenedLog { opened, secret, took } = open;
    let replayed = say_replayed(&opened.replayed, took, &plan.telemetry);
    plan.clock.not_before(opened.received());
    let (clock, telemetry) = (Arc::<BelievedClock>::clone(&plan.clock), Arc::clone(&plan.telemetry));
    let (writer, running) = Writer::start_on(thread, opened, plan.writer.clone(), clock, telemetry, Vec::new());
    plan.app.set_ready(writer, secret);
    say(&replayed)?;
    Ok(running)
}

fn say_replayed(replayed: &Replayed, took: Duration, telemetry: &Telemetry) -> String {
    telemetry.replay_seconds.set(took.as_secs_f64());
    telemetry::set_size(&telemetry.replay_records, replayed.records);
    telemetry::set_size(&telemetry.log_torn_bytes, replayed.torn_bytes);
    if replayed.torn_bytes > 0 {
        tracing::warn!(bytes = replayed.torn_bytes, "the log ended in an unfinished append, which nobody was told had worked; it was cut");
    }
    if replayed.lost > 0 {
        tracing::warn!(records = replayed.lost, "an earlier repair of the log could not save some records");
    }
    if let Some(error) = &replayed.damaged_checkpoint {
        tracing::warn!(%error, "the newest checkpoint is damaged; an older one was used and nothing is missing");
    }
    format!("ready: replayed {} records ({} bytes) in {:.3} s\n", replayed.records, replayed.bytes, took.as_secs_f64())
}

/// Lets requests end, then the writer.
async fn close(plan: Plan, serving: JoinHandle<()>, running: Running) -> Result<(), Failure> {
    serving.await.map_err(Failure::running)?;
    let operations = plan.operations.clone();
    // The last way to the writer; without it the writer's thread ends when it has written what waits.
    drop(plan);
    let joined = tokio::time::timeout(CLOSE_PATIENCE, operations.run(move || running.join())).await;
    match joined {
        Ok(Ok(Ok(()))) => say("stopped\n"),
        Ok(Ok(Err(error))) => Err(Failure::running(error)),
        Ok(Err(error)) => Err(Failure::running(error)),
        Err(_) => Err(Failure::running(ServeError::WriterStays)),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for a signal, or for the end of the writer, which does not end by itself; answers whether it did.
    async fn stop_or_end(&mut self, running: &Running) -> bool {
        const EVERY: Duration = Duration::from_secs(1);
        loop {
            tokio::select! {
                () = self.stop() => return false,
                () = tokio::time::sleep(EVERY) => if running.has_ended() { return true },
            }
        }
    }
}
