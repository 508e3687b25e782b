//! Where the files of a spool are: in its folder, where nobody else may write to that, and else in a folder of our own within it.
//! What others may have put there is looked at from outside only.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::Stat;

use crate::files;
use crate::files::Folder;

/// Longest file that is written or read, in bytes.
pub(super) const ENTRY_BYTES_MAX: u64 = 1 << 20;
/// How many names may belong to somebody else before a folder of our own is given up.
const FOLDERS_MAX: usize = 8;
/// Of a folder that others write to, so many names are looked at.
const NAMES_MAX: usize = 100_000;
/// Digits of the time that the name of a file of the spool begins with.
const TIME_DIGITS: usize = 13;

const WRITTEN_BY_OTHERS: u32 = 0o022;
const USED_BY_OTHERS: u32 = 0o077;

pub(super) const FINISHED: &str = ".json";
pub(super) const UNFINISHED: &str = ".tmp";

/// Why there is no place for what is to be kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "others may write to it, and {name} in it belongs to somebody else, like {FOLDERS_MAX} names in all that a folder of our own may have"
)]
struct Crowded {
    name: String,
}

/// Where what we make belongs to somebody else, as on a file system from elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("others may write to it, and {name}, which was made in it, is not ours alone")]
struct NotOurs {
    name: String,
}

/// What is in a spool and is not taken.
#[derive(Debug, thiserror::Error)]
enum Foreign {
    #[error("it belongs to {}", files::user(*.0))]
    User(u32),
    #[error("others may write to it, its mode is {0:04o}")]
    Writable(u32),
    #[error("it has {0} bytes, more than {ENTRY_BYTES_MAX}")]
    Long(i64),
}

/// The names that a folder of our own may have, in the order in which they are tried.
fn names() -> impl Iterator<Item = String> {
    let base = format!("change-events-{}", files::our_uid());
    (1..=FOLDERS_MAX).map(move |number| if number == 1 { base.clone() } else { format!("{base}-{number}") })
}

/// Whether nobody else may write to it.
fn is_private(stat: &Stat) -> bool {
    stat.st_uid == files::our_uid() && stat.st_mode & WRITTEN_BY_OTHERS == 0
}

/// A folder of that name that is ours; nobody else may use it when it is answered.
fn own(shared: &Folder, name: &str) -> io::Result<Option<Folder>> {
    let folder = shared.within(name)?;
    let is = folder.stat()?;
    if is.st_uid != files::our_uid() {
        return Ok(None);
    }
    if is.st_mode & USED_BY_OTHERS != 0 {
        folder.set_mode(is.st_mode & 0o700)?;
    }
    Ok(is_private(&folder.stat()?).then_some(folder))
}

/// The folders in which there is what earlier runs kept.
#[derive(Default)]
pub(super) struct Places {
    /// Nobody else may write to them.
    pub(super) own: Vec<Folder>,
    /// Somebody may.
    pub(super) shared: Option<Folder>,
}

/// Those that are there.
pub(super) fn existing(directory: &Path) -> Places {
    let Ok(folder) = Folder::open(directory) else { return Places::default() };
    let mut own: Vec<Folder> = names().filter_map(|name| own(&folder, &name).ok().flatten()).collect();
    if folder.stat().is_ok_and(|stat| is_private(&stat)) {
        own.push(folder);
        return Places { own, shared: None };
    }
    Places { own, shared: Some(folder) }
}

/// The folder to put something in; made when it is not there.
pub(super) fn to_keep_in(directory: &Path) -> io::Result<Folder> {
    let folder = Folder::open_or_make(directory)?;
    if is_private(&folder.stat()?) {
        return Ok(folder);
    }
    if let Some(own) = names().find_map(|name| own(&folder, &name).ok().flatten()) {
        return Ok(own);
    }
    for name in names() {
        match folder.make(&name) {
            Ok(()) => {
                let Some(own) = own(&folder, &name)? else {
                    folder.remove_folder(&name).ok();
                    return Err(io::Error::other(NotOurs { name }));
                };
                folder.sync()?;
                return Ok(own);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Another run of ours was quicker, or it is somebody else's.
                if let Some(own) = own(&folder, &name).ok().flatten() {
                    return Ok(own);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(Crowded { name: names().next().unwrap_or_default() }))
}

/// The names of files of a spool with one of these endings, oldest first: they begin with the time.
pub(super) fn files(folder: &Folder, endings: &[&str]) -> Vec<String> {
    let Ok(all) = folder.names() else { return Vec::new() };
    let mut files: Vec<String> = all.take(NAMES_MAX).flatten().filter(|name| is_of_spool(name, endings)).collect();
    files.sort();
    files
}

/// Whether a name is `TIME-start-KEY` or `TIME-stop-KEY`, and ends so: another one is not ours, whatever is in the file.
fn is_of_spool(name: &str, endings: &[&str]) -> bool {
    let Some((time, rest)) = name.split_at_checked(TIME_DIGITS) else { return false };
    time.bytes().all(|byte| byte.is_ascii_digit())
        && (rest.starts_with("-start-") || rest.starts_with("-stop-"))
        && endings.iter().any(|ending| rest.ends_with(ending))
}

/// Opens a file that nobody else can have written.
pub(super) fn open(folder: &Folder, name: &str) -> io::Result<File> {
    let file = folder.read(name)?;
    let is = rustix::fs::fstat(&file)?;
    let foreign = if is.st_uid != files::our_uid() {
        Foreign::User(is.st_uid)
    } else if is.st_mode & WRITTEN_BY_OTHERS != 0 {
        Foreign::Writable(is.st_mode & 0o7777)
    } else if u64::try_from(is.st_size).is_ok_and(|size| size > ENTRY_BYTES_MAX) {
        Foreign::Long(is.st_size)
    } else {
        return Ok(file);
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, foreign))
}

/// All bytes of such a file.
pub(super) fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(ENTRY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn names_of_the_spool_are_told_from_others() {
        #[track_caller]
        fn check(name: &str, expected: bool) {
            assert_eq!(is_of_spool(name, &[FINISHED]), expected, "{name}");
        }
        check("0000000000001-start-x.json", true);
        check("1700000000000-stop-00ff.json", true);
        check("1700000000000-stop-00ff.tmp", false);
        check("1700000000000-report.json", false);
        check("170000000000x-stop-00ff.json", false);
        check("package.json", false);
        check("", false);
        check("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}-start-.json", false);
    }

    #[track_caller]
    fn check_place(directory: &Path, expected: &Path) {
        let folder = to_keep_in(directory).unwrap();
        assert_eq!(folder.path(), expected);
        assert!(existing(directory).own.iter().any(|folder| folder.path() == expected));
        assert_eq!(existing(directory).shared.is_some(), directory != expected);
        assert_eq!(folder.stat().unwrap().st_mode & 0o777, 0o700);
    }

    #[test]
    fn in_a_folder_that_others_may_write_to_there_is_one_of_our_own() {
        let home = tempfile::tempdir().unwrap();
        let uid = files::our_uid();
        let made = home.path().join("made");
        check_place(&made, &made);
        for mode in [0o777, 0o1777, 0o770, 0o2775, 0o702] {
            let shared = home.path().join(format!("{mode:o}"));
            std::fs::create_dir(&shared).unwrap();
            set_mode(&shared, mode);
            let own = shared.join(format!("change-events-{uid}"));
            check_place(&shared, &own);
            // One that others got into is closed.
            set_mode(&own, 0o777);
            check_place(&shared, &own);
            // What is no folder of ours is passed by.
            std::fs::remove_dir(&own).unwrap();
            std::os::unix::fs::symlink(&made, &own).unwrap();
            check_place(&shared, &shared.join(format!("change-events-{uid}-2")));
        }
    }

    #[test]
    fn where_all_names_are_taken_nothing_is_put_anywhere() {
        let home = tempfile::tempdir().unwrap();
        set_mode(home.path(), 0o777);
        for name in names() {
            std::fs::write(home.path().join(name), "").unwrap();
        }
        let error = to_keep_in(home.path()).unwrap_err();
        assert!(error.to_string().contains("belongs to somebody else"), "{error}");
    }
}
