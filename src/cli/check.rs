//! `change-events check`: looks through a log or a configuration file, and salvages a damaged log when asked to.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli;
use crate::cli::Failure;
use crate::config;
use crate::config::Extent;
use crate::files;
use crate::log;
use crate::log::FsDisk;
use crate::log::Problem;
use crate::log::Repaired;
use crate::log::Report;
use crate::writer::RefusedRecord;
use crate::writer::Unread;

const EXAMPLES: &str = "\
Examples:
  # A configuration file, before the server reads it
  change-events check config /etc/change-events.yml
  # A log: every record and every checksum, without changing anything
  change-events check /var/lib/change-events
  # Keep all that is valid of a log; files that are damaged are copied aside first
  change-events check --repair /var/lib/change-events

The server must not be running on the directory of the log; run this as the user that it runs as.
Exit codes: 0 no problem, or repaired; 1 it could not be looked at; 2 the configuration is wrong; 3 the log is damaged.";

/// Look through a log, or a configuration file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,

    /// Directory of the log: the `--storage.path` of the server. One that is called `config` is `./config`
    #[arg(value_name = "DIR", required = true)]
    directory: Option<PathBuf>,

    /// Salvage what is valid of a damaged log, so that the server starts again
    #[arg(long)]
    repair: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Look through a configuration file.
    Config {
        /// The `--config.file` of the server
        file: PathBuf,
    },
}

/// Why nothing was checked, or what was found.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("{} is no directory", .0.display())]
    NoDirectory(PathBuf),
    #[error("{} cannot be looked at", path.display())]
    Closed { path: PathBuf, source: io::Error },
    #[error("{} holds no log", .0.display())]
    NoLog(PathBuf),
    #[error("what the log says cannot be read{}, and no repair changes that", .more.map(|more| format!(", and {more} more like it")).unwrap_or_default())]
    Unread { more: Option<u64>, source: RefusedRecord },
}

/// Checks, and repairs if asked to.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match (&args.what, &args.directory) {
        (Some(What::Config { file }), _) => config(file),
        (None, Some(directory)) => storage(directory, args),
        (None, None) => Err(Failure::usage("neither a directory nor a configuration file is given")),
    }
}

fn config(file: &Path) -> Result<ExitCode, Failure> {
    let found = match config::ConfigFile::load(file).map_err(Failure::usage)?.extent() {
        Extent::Nothing => {
            "it configures nothing: the server asks nobody for a token, and a running one does not take it in place of one that says more"
        }
        Extent::Anonymous => "no problems; without organizations the server asks nobody for a token",
        Extent::Locked => {
            "no organization has a token: nobody can send or read, and a running server does not take it in place of one that says more"
        }
        Extent::Organizations => "no problems",
    };
    cli::print(&format!("{}: {found}\n", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn storage(directory: &Path, args: &Args) -> Result<ExitCode, Failure> {
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let (path, source) = (directory.to_owned(), files::explained(directory, directory, error));
            return Err(Failure::running(CheckError::Closed { path, source }));
        }
        _ => return Err(Failure::running(CheckError::NoDirectory(directory.to_owned()))),
    }
    let disk = FsDisk::open_as_it_is(directory).map_err(Failure::running)?;
    let mut unread = Unread::default();
    let report = log::check_records(&disk, &mut |frame| unread.look_at(frame)).map_err(Failure::running)?;
    if report.segments.is_empty() && report.checkpoint.is_none() && report.problems.is_empty() {
        return Err(Failure::running(CheckError::NoLog(directory.to_owned())));
    }
    cli::print(&summary(&report, &unread))?;
    if report.problems.is_empty() {
        return verdict(unread);
    }
    if args.repair {
        for warning in disk.close_to_others().warnings {
            cli::note(&format!("warning: {warning}"));
        }
        let repaired = log::repair(&disk).map_err(Failure::running)?;
        cli::print(&account(&repaired))?;
        return verdict(unread);
    }
    Err(Failure::Damaged(advice(directory, &report.problems).into()))
}

/// No repair changes what a record says.
fn verdict(unread: Unread) -> Result<ExitCode, Failure> {
    let Some(first) = unread.first else { return Ok(ExitCode::SUCCESS) };
    let more = Some(unread.count.saturating_sub(1)).filter(|more| *more > 0);
    Err(Failure::Damaged(CheckError::Unread { more, source: first }.into()))
}

fn summary(report: &Report, unread: &Unread) -> String {
    let mut out = String::new();
    if let Some((upto, records)) = report.checkpoint {
        writeln!(out, "checkpoint up to position {upto}: {records} records").ok();
    }
    for segment in &report.segments {
        let (path, records, bytes) = (&segment.path, segment.records, segment.bytes);
        if records == 0 {
            writeln!(out, "{path}: no records, the first will be {}", segment.first).ok();
        } else {
            writeln!(out, "{path}: positions {} to {}, {records} records, {bytes} bytes", segment.first, segment.last).ok();
        }
    }
    let end = match (report.torn_bytes, report.closed_cleanly) {
        (0, true) => "closed properly".to_owned(),
        (0, false) => "not closed properly, which is no problem".to_owned(),
        (torn, _) => format!("{torn} bytes of an append that was never acknowledged follow; the next start cuts them"),
    };
    writeln!(out, "the last position is {}; {end}", report.last).ok();
    if report.lost > 0 {
        writeln!(out, "earlier repairs could not save {} records", report.lost).ok();
    }
    for problem in &report.problems {
        writeln!(out, "DAMAGED {} at offset {}: {}", problem.path, problem.offset, problem.what).ok();
    }
    if let Some(first) = &unread.first {
        writeln!(out, "UNREADABLE {}", cli::with_causes(first)).ok();
    }
    if report.problems.is_empty() && unread.first.is_none() {
        out.push_str("no problems\n");
    }
    out
}

fn account(repaired: &Repaired) -> String {
    let mut out = String::new();
    for copy in &repaired.set_aside {
        writeln!(out, "the damaged file is kept as {copy}").ok();
    }
    writeln!(out, "repaired: {} records of the damaged files are saved, {} are lost", repaired.salvaged, repaired.lost).ok();
    if repaired.lost_carried > 0 {
        writeln!(out, "of a damaged checkpoint {} records are lost", repaired.lost_carried).ok();
    }
    out
}

fn advice(directory: &Path, problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "in one place".to_owned(),
        count => format!("in {count} places"),
    };
    format!("the log is damaged {count}; `change-events check --repair {}` saves what is valid", directory.display())
}
