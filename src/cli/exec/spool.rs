//! Edges that could not be delivered, one file each, for a later run to deliver.
//!
//! A file appears whole or not at all, and is locked while its process is still trying, so that runs at the same time
//! neither see halves nor send what another one is sending. Its token is not in it.

use std::env;
use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

use crate::cli;
use crate::client::Client;
use crate::client::ClientError;
use crate::client::Delivery;
use crate::client::State;
use crate::time::Clock as _;
use crate::time::SystemClock;
use crate::time::Timestamp;
use crate::time::millis_of;

/// Beyond this many the oldest make room; runs that put something there at the same time may be one over it each.
const ENTRIES_MAX: usize = 1000;
/// Longest file that is written or read, in bytes.
const ENTRY_BYTES_MAX: u64 = 1 << 20;
/// Longest time for what earlier runs left: this run has something to say, too.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);
/// A half-written file of this age has nobody who writes it.
const UNFINISHED_AGE_MAX: Duration = Duration::from_hours(1);

const FINISHED: &str = "json";
const UNFINISHED: &str = "tmp";

/// `change-events/spool` where the XDG base directories put what should outlive a run.
pub(super) fn default_directory() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let variable = |name| env::var_os(name).map(PathBuf::from).and_then(absolute);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    Some(state.join("change-events/spool"))
}

/// The part of a spool directory that is for one server and organization.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    url: String,
    /// The files of a run are beside each other, its start before its stop.
    begun: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SpoolEntry {
    url: String,
    key: String,
    body: String,
}

/// A file of the spool, locked.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    _lock: File,
}

impl Kept {
    /// It is not needed any more.
    pub(super) fn remove(self) {
        fs::remove_file(&self.path).ok();
    }
}

impl Spool {
    /// Nothing is created before there is something to keep.
    pub(super) fn new(directory: PathBuf, client: &Client, begun: Timestamp) -> Self {
        Self { directory, url: client.url().to_owned(), begun }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Keeps an edge; it is on the disk when this returns.
    pub(super) fn put(&self, state: State, delivery: &Delivery) -> io::Result<Kept> {
        let entry = SpoolEntry { url: self.url.clone(), key: delivery.key.clone(), body: delivery.body.clone() };
        let text = serde_json::to_vec(&entry)?;
        if text.len() as u64 > ENTRY_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        self.make_room();
        let name = format!("{:013}-{state}-{}", self.begun.millis(), delivery.key);
        let unfinished = self.directory.join(format!("{name}.{UNFINISHED}"));
        let path = self.directory.join(format!("{name}.{FINISHED}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        in_use(&file);
        file.write_all(&text).and_then(|()| file.sync_data()).and_then(|()| fs::rename(&unfinished, &path)).inspect_err(|_| {
            fs::remove_file(&unfinished).ok();
        })?;
        Ok(Kept { path, _lock: file })
    }

    /// Delivers what earlier runs left, oldest first, one try each; the lines are for the user.
    /// Stops at the first sign that the server is away or does not want us.
    pub(super) fn flush(&self, client: &Client) -> Vec<String> {
        let begun = Instant::now();
        let mut lines = Vec::new();
        let mut delivered = 0;
        for path in self.files(&[FINISHED]) {
            if begun.elapsed() > FLUSH_TIME_MAX {
                break;
            }
            let (kept, delivery) = match self.take(&path) {
                Ok(Some(taken)) => taken,
                Ok(None) => continue,
                // Another run was quicker, or it is not ours to read.
                Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => continue,
                Err(error) => {
                    lines.push(format!("warning: {} is no event and is removed: {error}", path.display()));
                    fs::remove_file(&path).ok();
                    continue;
                }
            };
            match client.put(&delivery) {
                Ok(_) => {
                    delivered += 1;
                    kept.remove();
                }
                // What ends something may be behind it, and make room.
                Err(error) if error.is_over_limit() => {}
                Err(error) if error.is_transient() => break,
                Err(error) if error.minds_the_sender() => {
                    lines.push(format!("warning: what earlier runs left stays where it is: {}", cli::with_causes(&error)));
                    break;
                }
                Err(error) => {
                    lines.push(dropped(&delivery, &error));
                    kept.remove();
                }
            }
        }
        if delivered > 0 {
            lines.push(format!("delivered {delivered} that earlier runs left"));
        }
        self.sweep(SystemClock.now());
        lines
    }

    /// The entry in a file, unless it is for another server or its process is still at it.
    fn take(&self, path: &Path) -> io::Result<Option<(Kept, Delivery)>> {
        let file = File::open(path)?;
        if in_use(&file) {
            return Ok(None);
        }
        let mut text = Vec::new();
        (&file).take(ENTRY_BYTES_MAX + 1).read_to_end(&mut text)?;
        let entry: SpoolEntry = serde_json::from_slice(&text)?;
        if entry.url != self.url {
            return Ok(None);
        }
        let kept = Kept { path: path.to_owned(), _lock: file };
        Ok(Some((kept, Delivery { key: entry.key, body: entry.body })))
    }

    /// The oldest go when there are too many, finished or not, but never one that its process still sends.
    fn make_room(&self) {
        let files = self.files(&[FINISHED, UNFINISHED]);
        let excess = (files.len() + 1).saturating_sub(ENTRIES_MAX);
        let mut removed = 0;
        for path in files {
            if removed == excess {
                break;
            }
            if File::open(&path).is_ok_and(|file| !in_use(&file)) && fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        if removed > 0 {
            let place = self.directory.display();
            cli::note(&format!("warning: {place} holds {ENTRIES_MAX} events, the oldest {removed} are given up"));
        }
    }

    /// Removes what a run that was killed did not finish to write.
    fn sweep(&self, now: Timestamp) {
        for path in self.files(&[UNFINISHED]) {
            let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
            let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            if written.is_some_and(|at| now.since(Timestamp::from_millis(millis_of(at))) > UNFINISHED_AGE_MAX) {
                fs::remove_file(&path).ok();
            }
        }
    }

    /// Files with one of these endings, oldest first: their names begin with the time.
    fn files(&self, endings: &[&str]) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        let wanted = |path: &PathBuf| path.extension().is_some_and(|end| endings.iter().any(|ending| end == *ending));
        let mut files: Vec<PathBuf> = paths.filter(wanted).collect();
        files.sort();
        files
    }
}

/// Takes the lock of a file, or says that another process has it.
/// Where a file system has no locks the worst is a repetition, which the server recognizes.
fn in_use(file: &File) -> bool {
    matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

fn dropped(delivery: &Delivery, error: &ClientError) -> String {
    let body: String = delivery.body.chars().take(200).collect();
    format!("warning: an event that an earlier run left is given up: {}: {body}", cli::with_causes(error))
}
