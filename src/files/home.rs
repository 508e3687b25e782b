//! The folder of the server's data: for whom its files are, which follows from whose the folder is, and closing what is open
//! to others.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::FileType;
use rustix::fs::Stat;
use rustix::process::Gid;
use rustix::process::Uid;

use super::FILE_MODE;
use super::Folder;
use super::OTHERS;
use super::explained;
use super::mode;
use super::owner::Me;
use super::owner::user;

const GROUP: u32 = 0o070;
const GROUP_WRITES: u32 = 0o020;
/// On a folder: what is made in it has its group. Nobody gets it from a umask.
const SET_GROUP: u32 = 0o2000;
/// On a folder that is for everybody, like `/tmp`.
const STICKY: u32 = 0o1000;
/// All that `chmod` sets.
const PERMISSIONS: u32 = 0o7777;

/// Whose something is, and who else may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owned {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl From<&Stat> for Owned {
    fn from(stat: &Stat) -> Self {
        Self { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & PERMISSIONS }
    }
}

/// For whom the files of a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    /// Of a file.
    mode: u32,
    /// Of a file for writers.
    writers_mode: u32,
    /// What the folder should have.
    folder_mode: u32,
    /// To whom a file is given, where that is not who makes it.
    uid: Option<u32>,
    /// The group that `mode` is about.
    gid: Option<u32>,
}

impl Access {
    /// The group may use files where somebody meant it to: the folder belongs to somebody else and lets us write by our
    /// group, or it is ours, gives something to its group, and either is closed to others or hands its group down.
    /// A umask may keep it from reading, not from what it needs to go on with the log.
    fn of(folder: Owned, me: &Me) -> Self {
        let Owned { uid, gid, mode } = folder;
        // Root works on behalf of whose the folder is.
        let ours = uid == me.uid || me.uid == 0;
        let meant = if ours { mode & SET_GROUP != 0 || mode & OTHERS == 0 } else { mode & GROUP_WRITES != 0 && me.groups.contains(&gid) };
        let group = if meant { mode & GROUP } else { 0 };
        let umask = if group & GROUP_WRITES == 0 { me.umask } else { 0 };
        let file_mode = FILE_MODE | (group & 0o060 & !umask);
        Self {
            mode: file_mode,
            writers_mode: if group & GROUP_WRITES == 0 { FILE_MODE } else { file_mode },
            folder_mode: if uid == me.uid { mode & !(OTHERS | GROUP) | group } else { mode },
            uid: (uid != me.uid && me.uid == 0).then_some(uid),
            gid: (group != 0).then_some(gid),
        }
    }

    /// Of a new file.
    fn mode_for(&self, audience: Audience) -> u32 {
        match audience {
            Audience::Group => self.mode,
            Audience::Writers => self.writers_mode,
        }
    }

    /// What an old file should have.
    fn narrowed(&self, file: Owned, audience: Audience) -> u32 {
        let new = self.mode_for(audience);
        match self.gid {
            Some(gid) if gid != file.gid => file.mode & FILE_MODE,
            // Another user of the group may be who reads it next.
            Some(_) if new & GROUP_WRITES != 0 => new,
            _ => file.mode & new,
        }
    }
}

/// For whom a file is, beside its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever of the group may use the folder.
    Group,
    /// Only whoever of it may write there: what signs tokens, and what a reader must not hold.
    Writers,
}

/// Tells the names of the files that are the server's, and for whom they are.
pub type Known<'a> = &'a dyn Fn(&str) -> Option<Audience>;

/// What closing came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// How many files others could use before.
    pub files: usize,
    /// What stays open, and why; each a line.
    pub warnings: Vec<String>,
}

/// The folder of the server's data.
#[derive(Debug)]
pub struct Home {
    folder: Folder,
    access: Access,
    me: Me,
}

impl Home {
    /// Opens the folder, which is made for its user alone when it is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let me = Me::now();
        let open = || {
            let folder = Folder::open_or_make(path)?;
            let access = Access::of(Owned::from(&folder.stat()?), &me);
            Ok((folder, access))
        };
        let (folder, access) = open().map_err(|error| explained(path, path, error))?;
        Ok(Self { folder, access, me })
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    fn explained(&self, name: &str, error: io::Error) -> io::Error {
        explained(self.folder.path(), &self.folder.path().join(name), error)
    }

    /// The names of all that is in it.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.folder.names().and_then(Iterator::collect).map_err(|error| self.explained("", error))
    }

    /// Opens a file for reading.
    pub fn read(&self, name: &str) -> io::Result<File> {
        self.folder.read(name).map_err(|error| self.explained(name, error))
    }

    /// Opens a file for reading and writing.
    pub fn write(&self, name: &str) -> io::Result<File> {
        self.folder.write(name).map_err(|error| self.explained(name, error))
    }

    /// Makes an empty file, or empties the one there is, for reading and writing.
    pub fn create(&self, name: &str, audience: Audience) -> io::Result<File> {
        let file = self.keep(name, audience)?;
        self.give(&file, audience).ok();
        file.set_len(0).map_err(|error| self.explained(name, error))?;
        Ok(file)
    }

    /// Opens a file for reading and writing, as it is, or makes an empty one.
    pub fn keep(&self, name: &str, audience: Audience) -> io::Result<File> {
        let open = || match self.folder.create_new(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.folder.write(name),
            made => made.inspect(|file| drop(self.give(file, audience))),
        };
        open().map_err(|error| self.explained(name, error))
    }

    /// Gives a file to whom it is for. Where the system does not permit that, or knows no such thing, it stays as it is.
    fn give(&self, file: &File, audience: Audience) -> io::Result<()> {
        let is = Owned::from(&rustix::fs::fstat(file)?);
        let uid = self.access.uid.filter(|uid| *uid != is.uid).map(Uid::from_raw);
        let gid = self.access.gid.filter(|gid| *gid != is.gid).map(Gid::from_raw);
        if uid.is_some() || gid.is_some() {
            rustix::fs::fchown(file, uid, gid).ok();
        }
        let is = Owned::from(&rustix::fs::fstat(file)?);
        let wanted = if self.access.gid.is_none_or(|gid| gid == is.gid) { self.access.mode_for(audience) } else { FILE_MODE };
        if is.mode != wanted {
            rustix::fs::fchmod(file, mode(wanted))?;
        }
        Ok(())
    }

    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to).map_err(|error| self.explained(from, error))
    }

    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name).map_err(|error| self.explained(name, error))
    }

    /// Returns when all that was made, renamed and removed in it is durable.
    pub fn sync(&self) -> io::Result<()> {
        self.folder.sync()
    }

    /// Closes to others what is there: the files whose names are `known`, and the folder where it is ours and nothing else is in it.
    /// What cannot be closed is no error.
    pub fn close_to_others(&self, known: Known<'_>) -> Closed {
        let mut closed = Closed::default();
        let names = match self.names() {
            Ok(names) => names,
            Err(error) => {
                closed.warnings.push(format!("{} cannot be looked through for files that others may use: {error}", self.path("")));
                return closed;
            }
        };
        let mut open = Stays::default();
        for (name, audience) in names.iter().filter_map(|name| Some((name, known(name)?))) {
            match self.close_file(name, audience) {
                Ok(true) => closed.files += 1,
                Ok(false) => {}
                Err(error) => open.add(format!("{}: {error}", self.path(name))),
            }
        }
        if open.count > 0 {
            closed.warnings.push(open.to_string());
        }
        closed.warnings.extend(self.close_folder(&names, known).err());
        closed
    }

    /// Whether somebody may use a file who may not use what is made anew.
    pub fn is_open(&self, stat: &Stat, audience: Audience) -> bool {
        let is = Owned::from(stat);
        is.mode & !self.access.narrowed(is, audience) != 0
    }

    /// Whether others could use it before. A name that is no file of the log is left alone: it is never opened.
    fn close_file(&self, name: &str, audience: Audience) -> io::Result<bool> {
        let Ok(stat) = self.folder.stat_of(name) else { return Ok(false) };
        let is = Owned::from(&stat);
        let wanted = self.access.narrowed(is, audience);
        if !FileType::from_raw_mode(stat.st_mode).is_file() || is.mode == wanted {
            return Ok(false);
        }
        let beyond = self.is_open(&stat, audience);
        if is.uid != self.me.uid && self.me.uid != 0 {
            return if beyond { Err(io::Error::other(NotOurs(is))) } else { Ok(false) };
        }
        rustix::fs::fchmod(self.folder.read(name)?, mode(wanted))?;
        Ok(beyond)
    }

    fn close_folder(&self, names: &[String], known: Known<'_>) -> Result<(), String> {
        let path = self.path("");
        let is = self.folder.stat().map(|stat| Owned::from(&stat)).map_err(|error| format!("{path} cannot be looked at: {error}"))?;
        if is.uid != self.me.uid && is.mode & 0o002 != 0 {
            let owner = user(is.uid);
            return Err(format!("{path} belongs to {owner}, its mode is {:04o}: others may remove what is in it", is.mode));
        }
        if is.mode == self.access.folder_mode {
            return Ok(());
        }
        let stays = |why: String| Err(format!("{path} is open to others, its mode is {:04o}, and stays so: {why}", is.mode));
        if is.mode & STICKY != 0 {
            return stays("it is made for everybody; give the log a folder of its own".to_owned());
        }
        if let Some(name) = names.iter().find(|name| known(name).is_none() && self.may_be_of_others(name)) {
            return stays(format!("{name:.80} in it is not of the log; give the log a folder of its own"));
        }
        self.folder.set_mode(self.access.folder_mode).or_else(|error| stays(error.to_string()))
    }

    /// Whether somebody else may need the folder because of what has that name.
    fn may_be_of_others(&self, name: &str) -> bool {
        let Ok(stat) = self.folder.stat_of(name) else { return false };
        let is = Owned::from(&stat);
        (is.uid != self.me.uid && is.uid != 0) || is.mode & (OTHERS | GROUP) != 0
    }

    fn path(&self, name: &str) -> String {
        if name.is_empty() { self.folder.path().display().to_string() } else { self.folder.path().join(name).display().to_string() }
    }
}

/// A file of somebody else that stays open to others.
#[derive(Debug)]
struct NotOurs(Owned);

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it belongs to {}, its mode is {:04o}", user(self.0.uid), self.0.mode)
    }
}

impl std::error::Error for NotOurs {}

/// How many files stay open to others, and the first of them.
#[derive(Debug, Default)]
struct Stays {
    count: usize,
    first: String,
}

impl Stays {
    fn add(&mut self, what: String) {
        if self.count == 0 {
            self.first = what;
        }
        self.count += 1;
    }
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "a file stays open to others: {}", self.first),
            count => write!(f, "{count} files stay open to others, the first is {}", self.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u32 = 1000;
    const OTHER: u32 = 1001;
    const GROUP_OF_US: u32 = 2000;

    #[track_caller]
    fn access(uid: u32, folder: (u32, u32, u32), umask: u32) -> Access {
        let (owner, gid, mode) = folder;
        Access::of(Owned { uid: owner, gid, mode }, &Me { uid, groups: vec![uid, GROUP_OF_US], umask })
    }

    #[test]
    fn for_whom_files_are_follows_from_whose_the_folder_is() {
        #[track_caller]
        fn check(uid: u32, folder: (u32, u32, u32), umask: u32, expected: (u32, u32, u32)) {
            let access = access(uid, folder, umask);
            assert_eq!((access.mode, access.writers_mode, access.folder_mode), expected, "{uid} in {folder:?} with {umask:o}");
        }
        // Ours: what is open to others was nobody's wish.
        check(US, (US, US, 0o700), 0, (0o600, 0o600, 0o700));
        check(US, (US, US, 0o755), 0, (0o600, 0o600, 0o700));
        check(US, (US, GROUP_OF_US, 0o777), 0, (0o600, 0o600, 0o700));
        // Ours, and the group was somebody's wish.
        check(US, (US, GROUP_OF_US, 0o750), 0o022, (0o640, 0o600, 0o750));
        check(US, (US, GROUP_OF_US, 0o750), 0o077, (0o600, 0o600, 0o750));
        check(US, (US, GROUP_OF_US, 0o770), 0o077, (0o660, 0o660, 0o770));
        check(US, (US, GROUP_OF_US, 0o2775), 0o022, (0o660, 0o660, 0o2770));
        check(US, (US, GROUP_OF_US, 0o2705), 0o022, (0o600, 0o600, 0o2700));
        // Of somebody else, with our group.
        check(US, (0, GROUP_OF_US, 0o2775), 0o022, (0o660, 0o660, 0o2775));
        check(US, (OTHER, GROUP_OF_US, 0o775), 0o077, (0o660, 0o660, 0o775));
        // Of somebody else, and all may write to it.
        check(US, (0, 0, 0o777), 0, (0o600, 0o600, 0o777));
        check(US, (0, GROUP_OF_US, 0o757), 0, (0o600, 0o600, 0o757));
        check(US, (0, 3000, 0o1777), 0, (0o600, 0o600, 0o1777));
        // Root, in the folder of a user.
        check(0, (US, US, 0o755), 0, (0o600, 0o600, 0o755));
        check(0, (US, GROUP_OF_US, 0o2770), 0, (0o660, 0o660, 0o2770));
    }

    #[test]
    fn root_gives_what_it_makes_to_whose_the_folder_is() {
        assert_eq!(access(0, (US, US, 0o755), 0).uid, Some(US));
        assert_eq!(access(0, (0, 0, 0o755), 0).uid, None);
        assert_eq!(access(US, (0, GROUP_OF_US, 0o775), 0).uid, None);
        assert_eq!(access(US, (0, GROUP_OF_US, 0o775), 0).gid, Some(GROUP_OF_US));
        assert_eq!(access(US, (US, US, 0o755), 0).gid, None);
    }

    #[test]
    fn old_files_lose_what_new_ones_do_not_get() {
        #[track_caller]
        fn check(folder: (u32, u32, u32), gid: u32, mode: u32, expected: u32) {
            let narrowed = access(US, folder, 0o022).narrowed(Owned { uid: US, gid, mode }, Audience::Group);
            assert_eq!(narrowed, expected, "{mode:o} in {folder:?}");
        }
        check((US, US, 0o755), US, 0o644, 0o600);
        check((US, US, 0o755), US, 0o444, 0o400);
        check((US, GROUP_OF_US, 0o750), GROUP_OF_US, 0o644, 0o640);
        check((US, GROUP_OF_US, 0o750), GROUP_OF_US, 0o600, 0o600);
        check((US, GROUP_OF_US, 0o750), US, 0o644, 0o600);
        check((0, GROUP_OF_US, 0o2775), GROUP_OF_US, 0o644, 0o660);
        check((0, GROUP_OF_US, 0o2775), US, 0o664, 0o600);
        for (folder, expected) in [(0o750, 0o600), (0o2770, 0o660)] {
            let access = access(US, (US, GROUP_OF_US, folder), 0o022);
            assert_eq!(access.narrowed(Owned { uid: US, gid: GROUP_OF_US, mode: 0o644 }, Audience::Writers), expected);
        }
    }
}
