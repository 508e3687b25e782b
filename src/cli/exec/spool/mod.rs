//! Edges that could not be delivered, one file each, for a later run to deliver.
//!
//! A file appears whole or not at all, and is locked while its process is still trying, so that runs at the same time
//! neither see halves nor send what another one is sending. Its token is not in it.

mod places;

use std::env;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Write as _;
use std::path;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
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
use crate::files;
use crate::files::Folder;
use crate::time::Clock as _;
use crate::time::SystemClock;
use crate::time::Timestamp;
use crate::time::millis_of;
use places::ENTRY_BYTES_MAX;
use places::FINISHED;
use places::Places;
use places::UNFINISHED;

/// Beyond this many the oldest make room; runs that put something there at the same time may be one over it each.
const ENTRIES_MAX: usize = 1000;
/// Longest time for what earlier runs left: this run has something to say, too.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);
/// After so many files of others no more are looked at.
const FOREIGN_MAX: usize = 1000;
/// A half-written file of this age has nobody who writes it.
const UNFINISHED_AGE_MAX: Duration = Duration::from_hours(1);

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
    folder: Arc<Folder>,
    name: String,
    _lock: File,
}

impl Kept {
    /// The folder that it is in, for words.
    pub(super) fn place(&self) -> PathBuf {
        absolute(self.folder.path())
    }

    /// It is not needed any more.
    pub(super) fn remove(self) {
        self.folder.remove(&self.name).ok();
    }
}

/// What a file of the spool turned out to be.
enum Found {
    Entry(Kept, Delivery),
    /// It is for another server, or another run is at it.
    NotForUs,
    /// Somebody else may have written it: it is left alone.
    Foreign(io::Error),
    /// We wrote it, and it says nothing.
    Broken(serde_json::Error),
}

/// What is left alone.
#[derive(Default)]
struct Foreign {
    count: usize,
    first: String,
}

impl Foreign {
    fn add(&mut self, what: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = what();
        }
        self.count += 1;
    }

    fn told(&self) -> Option<String> {
        let Self { count, first } = self;
        let more = if *count > 1 { format!(", and so are {} more", count - 1) } else { String::new() };
        (*count > 0).then(|| format!("warning: {first}; no earlier run of ours left it there, and it is left alone{more}"))
    }
}

impl Spool {
    /// Nothing is created before there is something to keep.
    pub(super) fn new(directory: PathBuf, client: &Client, begun: Timestamp) -> Self {
        Self { directory, url: client.url().to_owned(), begun }
    }

    /// For words: the folders above it may be closed to us, so it is used as it was given.
    pub(super) fn directory(&self) -> PathBuf {
        absolute(&self.directory)
    }

    /// Keeps an edge; it is on the disk when this returns, and so is its name.
    pub(super) fn put(&self, state: State, delivery: &Delivery) -> io::Result<Kept> {
        let entry = SpoolEntry { url: self.url.clone(), key: delivery.key.clone(), body: delivery.body.clone() };
        let text = serde_json::to_vec(&entry)?;
        if text.len() as u64 > ENTRY_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let folder = places::to_keep_in(&self.directory).map_err(|error| files::explained(&self.directory, &self.directory, error))?;
        make_room(&folder);
        let name = format!("{:013}-{state}-{}", self.begun.millis(), delivery.key);
        let (unfinished, name) = (format!("{name}{UNFINISHED}"), format!("{name}{FINISHED}"));
        let mut file = folder.create_new(&unfinished)?;
        in_use(&file);
        file.write_all(&text).and_then(|()| file.sync_data()).and_then(|()| folder.rename(&unfinished, &name)).inspect_err(|_| {
            folder.remove(&unfinished).ok();
        })?;
        folder.sync().inspect_err(|_| {
            folder.remove(&name).ok();
        })?;
        Ok(Kept { folder: Arc::new(folder), name, _lock: file })
    }

    /// Delivers what earlier runs left, oldest first, one try each; the lines are for the user.
    /// Stops at the first sign that the server is away or does not want us.
    pub(super) fn flush(&self, client: &Client) -> Vec<String> {
        let begun = Instant::now();
        let mut lines = Vec::new();
        let (mut delivered, mut foreign) = (0, Foreign::default());
        for (name, folder) in self.waiting() {
            if begun.elapsed() > FLUSH_TIME_MAX {
                break;
            }
            let path = folder.path().join(&name);
            let (kept, delivery) = match self.take(folder, name) {
                Ok(Found::Entry(kept, delivery)) => (kept, delivery),
                // Another run was quicker.
                Ok(Found::NotForUs) | Err(_) => continue,
                Ok(Found::Foreign(error)) if foreign.count < FOREIGN_MAX => {
                    foreign.add(|| format!("{}: {error}", path.display()));
                    continue;
                }
                // They come last.
                Ok(Found::Foreign(_)) => break,
                Ok(Found::Broken(error)) => {
                    lines.push(format!("warning: {} is no event and is left alone: {error}", path.display()));
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
        lines.extend(foreign.told());
        if delivered > 0 {
            lines.push(format!("delivered {delivered} that earlier runs left"));
        }
        sweep(&places::existing(&self.directory).own, SystemClock.now());
        lines
    }

    /// What is there to be delivered, oldest first, and what others may have put there after all that.
    fn waiting(&self) -> Vec<(String, Arc<Folder>)> {
        let named = |folder: Folder| {
            let folder = Arc::new(folder);
            places::files(&folder, &[FINISHED]).into_iter().map(move |name| (name, Arc::clone(&folder)))
        };
        let Places { own, shared } = places::existing(&self.directory);
        let mut waiting: Vec<_> = own.into_iter().flat_map(named).collect();
        waiting.sort_by(|(one, _), (other, _)| one.cmp(other));
        waiting.extend(shared.into_iter().flat_map(named));
        waiting
    }

    /// What is in a file of the spool. An error where it has gone.
    fn take(&self, folder: Arc<Folder>, name: String) -> io::Result<Found> {
        let file = match places::open(&folder, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(error) => return Ok(Found::Foreign(error)),
            Ok(file) => file,
        };
        if in_use(&file) {
            return Ok(Found::NotForUs);
        }
        let entry: SpoolEntry = match serde_json::from_slice(&places::read(&file)?) {
            Ok(entry) => entry,
            Err(error) => return Ok(Found::Broken(error)),
        };
        if entry.url != self.url {
            return Ok(Found::NotForUs);
        }
        Ok(Found::Entry(Kept { folder, name, _lock: file }, Delivery { key: entry.key, body: entry.body }))
    }
}

/// As whoever is somewhere else needs it.
fn absolute(path: &Path) -> PathBuf {
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The oldest go when there are too many, finished or not, but never one that its process still sends.
fn make_room(folder: &Folder) {
    let files = places::files(folder, &[FINISHED, UNFINISHED]);
    let excess = (files.len() + 1).saturating_sub(ENTRIES_MAX);
    let mut removed = 0;
    for name in files {
        if removed == excess {
            break;
        }
        if places::open(folder, &name).is_ok_and(|file| !in_use(&file)) && folder.remove(&name).is_ok() {
            removed += 1;
        }
    }
    if removed > 0 {
        let place = folder.path().display();
        cli::note(&format!("warning: {place} holds {ENTRIES_MAX} events, the oldest {removed} are given up"));
    }
}

/// Removes what a run that was killed did not finish to write.
fn sweep(folders: &[Folder], now: Timestamp) {
    let is_old = |file: File| {
        let written = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        written.is_some_and(|at| now.since(Timestamp::from_millis(millis_of(at))) > UNFINISHED_AGE_MAX)
    };
    for folder in folders {
        for name in places::files(folder, &[UNFINISHED]) {
            if places::open(folder, &name).is_ok_and(is_old) {
                folder.remove(&name).ok();
            }
        }
    }
}

/// Takes the lock of a file, or says that another process has it.
/// Where a file system has no locks the worst is a repetition, which the server recognizes.
fn in_use(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn dropped(delivery: &Delivery, error: &ClientError) -> String {
    let body: String = delivery.body.chars().take(200).collect();
    format!("warning: an event that an earlier run left is given up: {}: {body}", cli::with_causes(error))
}
