//! The files of the server: for whom they are, whatever the umask, the folder and the program of before were; and whom the lock obeys.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Running;
use crate::users::{Machine, ROOT, SOMEBODY, US, User, all_have, mode, modes, set_mode};

const ORGANIZATIONS: &str = "organizations: [{slug: default, tokens: []}]\n";

/// A file of the log, by the end of its name.
fn file(folder: &Path, ending: &str) -> PathBuf {
    let found = modes(folder).into_iter().find(|(name, _)| name.ends_with(ending));
    folder.join(found.unwrap_or_else(|| panic!("no {ending} in {}", folder.display())).0)
}

/// Runs a server until its key, its log and all else are there.
fn begin(machine: &Machine, user: User, umask: &str, path: &Path) {
    machine.serve_once(user, umask, path, &[]);
    let config = machine.path("config.yml");
    fs::write(&config, ORGANIZATIONS).unwrap();
    set_mode(&config, 0o644);
    let mut server =
        machine.serve(user, umask, path, &[&format!("--config.file={}", config.display())]).unwrap_or_else(|said| panic!("{said}"));
    server.stop();
}

/// Makes all that is in a folder as open as it gets, as a program of before may have.
fn open_up(folder: &Path, files: u32, itself: u32) {
    for (name, _) in modes(folder) {
        set_mode(&folder.join(name), files);
    }
    set_mode(folder, itself);
}

#[test]
fn what_is_made_is_for_its_user_alone_whatever_the_umask() {
    let Some(machine) = Machine::new() else { return };
    for (number, umask) in ["000", "022", "077"].into_iter().enumerate() {
        let home = machine.folder(&format!("home{number}"), US, 0o755);
        let data = home.join("one/data");
        begin(&machine, US, umask, &data);
        all_have(&data, 0o600);
        assert!(modes(&data).iter().any(|(name, _)| name == "access-token.key"), "{:?}", modes(&data));
        assert_eq!((mode(&data), mode(&home.join("one"))), (0o700, 0o700), "{umask}");
    }
}

#[test]
fn copies_that_a_repair_makes_are_too() {
    let Some(machine) = Machine::new() else { return };
    let data = machine.folder("data", US, 0o700);
    begin(&machine, US, "022", &data);
    let segment = file(&data, ".log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60] ^= 1;
    fs::write(&segment, bytes).unwrap();
    open_up(&data, 0o644, 0o755);
    let ended = machine.call(US, &["check", "--repair", data.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    file(&data, ".damaged");
    all_have(&data, 0o600);
}

#[test]
fn what_a_program_of_before_left_open_is_closed_at_the_start() {
    let Some(machine) = Machine::new() else { return };
    for (number, (files, folder)) in [(0o644, 0o755), (0o666, 0o777), (0o664, 0o775)].into_iter().enumerate() {
        let data = machine.folder(&format!("data{number}"), US, 0o755);
        begin(&machine, US, "022", &data);
        for name in
            ["00000000000000000007.log.damaged", "00000000000000000007.log.damaged-2", "00000000000000000007.log.tmp", "access-token.new"]
        {
            fs::write(data.join(name), "secret").unwrap();
            chown(data.join(name), Some(US.0), Some(US.1)).unwrap();
        }
        // What anybody can link to, or have open, is the same file.
        fs::hard_link(file(&data, "1.log"), machine.path(format!("linked{number}"))).unwrap();
        open_up(&data, files, folder);
        let said = machine.serve_once(US, "022", &data, &[]);
        all_have(&data, 0o600);
        assert_eq!((mode(&data), mode(&machine.path(format!("linked{number}")))), (0o700, 0o600));
        assert!(said.contains("are closed to them now"), "{said}");
    }
}

/// A server of that user in a folder, in which there may be something else.
#[track_caller]
fn check_folder(machine: &Machine, user: User, name: &str, folder: u32, other: Option<(&str, User, u32)>, stays: bool) {
    let data = machine.folder(name, user, folder);
    if let Some((name, (uid, gid), mode)) = other {
        fs::write(data.join(name), "").unwrap();
        chown(data.join(name), Some(uid), Some(gid)).unwrap();
        set_mode(&data.join(name), mode);
    }
    let said = machine.serve_once(user, "022", &data, &[]);
    assert_eq!(mode(&data) == folder, stays, "{name}: {:o}: {said}", mode(&data));
    assert_eq!(said.contains("and stays so"), stays, "{name}: {said}");
    for (file, mode) in modes(&data) {
        let expected = other.filter(|(name, ..)| *name == file).map_or(0o600, |(_, _, mode)| mode);
        assert_eq!(mode, expected, "{name}: {file}");
    }
}

#[test]
fn a_folder_in_which_others_have_something_stays_and_a_warning_says_so() {
    let Some(machine) = Machine::new() else { return };
    check_folder(&machine, US, "empty", 0o755, None, false);
    check_folder(&machine, US, "readme", 0o755, Some(("README", US, 0o644)), true);
    check_folder(&machine, US, "private", 0o755, Some((".lost+found", ROOT, 0o600)), false);
    check_folder(&machine, US, "theirs", 0o755, Some(("theirs", SOMEBODY, 0o600)), true);
    check_folder(&machine, ROOT, "tmp", 0o1777, None, true);
}

/// As Kubernetes makes a volume with `fsGroup`, or an image a folder for any user of its group.
#[test]
fn where_the_folder_belongs_to_our_group_the_files_do_and_another_user_of_it_goes_on() {
    let Some(machine) = Machine::new() else { return };
    for (number, (owner, folder)) in [(ROOT.0, 0o2775), (ROOT.0, 0o775), (SOMEBODY.0, 0o770)].into_iter().enumerate() {
        let group = 64_330;
        let data = machine.folder(&format!("data{number}"), (owner, group), folder);
        begin(&machine, (64_331, group), "022", &data);
        all_have(&data, 0o660);
        // What was made before, with a umask.
        for (name, _) in modes(&data) {
            set_mode(&data.join(name), 0o644);
        }
        machine.serve_once((64_331, group), "077", &data, &[]);
        all_have(&data, 0o660);
        assert_eq!(mode(&data), folder);
        let server = machine.serve((64_332, group), "022", &data, &[]).unwrap_or_else(|said| panic!("{said}"));
        assert_eq!(server.names(), ["once", "once"]);
        assert!(modes(&data).iter().all(|(name, _)| fs::metadata(data.join(name)).unwrap().gid() == group));
    }
}

/// A folder of ours before and then, its files, and what only writers get.
#[track_caller]
fn check_group(machine: &Machine, (folder, umask): (u32, &str), then: u32, files: u32, key: u32) {
    let data = machine.folder(&format!("{folder:o}-{umask}"), (US.0, US.1), folder);
    begin(machine, US, umask, &data);
    assert_eq!(mode(&data), then, "{folder:o}");
    for (name, mode) in modes(&data) {
        assert_eq!(mode, if ["access-token.key", "lock"].contains(&&*name) { key } else { files }, "{folder:o}: {name}");
    }
}

#[test]
fn a_group_that_somebody_chose_keeps_what_it_has_but_not_the_key_nor_the_lock() {
    let Some(machine) = Machine::new() else { return };
    check_group(&machine, (0o750, "022"), 0o750, 0o640, 0o600);
    check_group(&machine, (0o750, "077"), 0o750, 0o600, 0o600);
    check_group(&machine, (0o2755, "022"), 0o2750, 0o640, 0o600);
    check_group(&machine, (0o2775, "077"), 0o2770, 0o660, 0o660);
    check_group(&machine, (0o775, "022"), 0o700, 0o600, 0o600);
    check_group(&machine, (0o700, "000"), 0o700, 0o600, 0o600);
}

#[test]
fn a_log_of_another_user_says_so_and_what_mends_it() {
    let Some(machine) = Machine::new() else { return };
    let data = machine.folder("data", US, 0o755);
    begin(&machine, US, "022", &data);
    let path = data.to_str().unwrap();
    let check = |mends: &str| {
        let said = machine.serve(SOMEBODY, "022", &data, &[]).err().unwrap();
        let calls = [&["check", path][..], &["check", "--repair", path]].map(|arguments| machine.call(SOMEBODY, arguments));
        assert!(said.starts_with("Some(1)"), "{said}");
        assert!(calls.iter().all(|ended| ended.code == Some(1)), "{calls:?}");
        for said in [&said, &calls[0].stderr, &calls[1].stderr] {
            assert!(said.contains("belongs to uid 64321") && said.contains("this process is uid 64322") && said.contains(mends), "{said}");
        }
    };
    check(&format!("chown -R 64322: {path}"));
    // One that can be read, and not written.
    open_up(&data, 0o644, 0o755);
    check(&format!("chown -R 64322: {path}"));
    // One that is in a folder that is closed.
    let closed = machine.folder("closed", US, 0o700);
    fs::rename(&data, closed.join("data")).unwrap();
    let inner = closed.join("data");
    let ended = machine.call(SOMEBODY, &["check", inner.to_str().unwrap()]);
    assert!(ended.stderr.contains(&format!("{} belongs to uid 64321", closed.display())), "{ended:?}");
}

#[test]
fn what_root_makes_in_the_folder_of_a_user_is_for_that_user() {
    let Some(machine) = Machine::new() else { return };
    let data = machine.folder("data", US, 0o700);
    begin(&machine, US, "022", &data);
    let segment = file(&data, ".log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60] ^= 1;
    fs::write(&segment, bytes).unwrap();
    fs::remove_file(data.join("lock")).unwrap();
    let ended = machine.call(ROOT, &["check", "--repair", data.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(modes(&data).iter().all(|(name, _)| fs::metadata(data.join(name)).unwrap().uid() == US.0), "{ended:?}");
    machine.serve_once(US, "022", &data, &[]);
}

/// What somebody holds who may only read.
fn hold(lock: &Path) -> Option<Running> {
    let mut command = Command::new("flock");
    command.args(["--nonblock", "--no-fork"]).arg(lock).args(["sh", "-c", "echo held; exec sleep 1000"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
    let mut running = Running::start(command.uid(SOMEBODY.0).gid(SOMEBODY.1));
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (line == "held\n").then_some(running)
}

#[test]
fn whoever_may_only_read_cannot_hold_the_lock() {
    let Some(machine) = Machine::new() else { return };
    let data = machine.folder("data", US, 0o755);
    begin(&machine, US, "022", &data);
    let holds = hold(&data.join("lock"));
    assert!(machine.serve(US, "022", &data, &[]).is_ok(), "it holds the lock: {}", holds.is_some());
    assert!(holds.is_none());
}

#[test]
fn a_lock_that_others_opened_before_is_worth_nothing_after_the_first_start() {
    let Some(machine) = Machine::new() else { return };
    let data = machine.folder("data", US, 0o755);
    begin(&machine, US, "022", &data);
    open_up(&data, 0o644, 0o755);
    // Open, as a reader has it that waits for its moment.
    let opened = File::open(data.join("lock")).unwrap();
    machine.serve_once(US, "022", &data, &[]);
    opened.try_lock().unwrap();
    machine.serve_once(US, "022", &data, &[]);
}

#[test]
fn who_holds_the_lock_is_named() {
    let Some(machine) = Machine::new() else { return };
    let data = machine.folder("data", US, 0o755);
    begin(&machine, US, "022", &data);
    open_up(&data, 0o644, 0o755);
    let (holds, waits) = (hold(&data.join("lock")).unwrap(), File::open(data.join("lock")).unwrap());
    let said = machine.serve(US, "022", &data, &[]).err().unwrap();
    assert!(said.contains(&format!("in use by another process, sleep ({}) of uid 64322", holds.0.id())), "{said}");
    // Whoever had it open meanwhile has nothing, either.
    drop(holds);
    machine.serve_once(US, "022", &data, &[]);
    waits.try_lock().unwrap();
    machine.serve_once(US, "022", &data, &[]);
}

#[test]
fn what_is_no_regular_file_is_neither_opened_nor_written() {
    let Some(machine) = Machine::new() else { return };
    let precious = machine.path("precious");
    for (number, (name, put)) in
        [("hwm", true), ("lock", false), ("hwm", false), ("00000000000000000099.log", false)].into_iter().enumerate()
    {
        let data = machine.folder(&format!("data{number}"), US, 0o755);
        begin(&machine, US, "022", &data);
        fs::write(&precious, "precious").unwrap();
        chown(&precious, Some(US.0), Some(US.1)).unwrap();
        let path = data.join(name);
        fs::remove_file(&path).ok();
        if put {
            symlink(&precious, &path).unwrap();
        } else {
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
        }
        let said = machine.serve(US, "022", &data, &[]).err().unwrap_or_else(|| panic!("{name} was taken"));
        assert!(said.contains("not a regular file"), "{said}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
}
