//! What memory there is: of the machine, of the control groups that the process is in, and what the process takes.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::LazyLock;

/// How much memory the program may take, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In bytes.
    pub bytes: usize,
    /// For the log.
    pub because: &'static str,
}

impl Limit {
    /// As `--limit.memory` says; else three quarters of what the machine has, or of what the control groups allow if that is less.
    pub fn settle(flag: Option<usize>) -> Self {
        flag.map_or_else(|| Self::of_machine(Path::new("/")), |bytes| Self { bytes, because: "--limit.memory" })
    }

    fn of_machine(root: &Path) -> Self {
        /// Where nothing says how much there is.
        const UNKNOWN: usize = 1 << 30;
        let machine = machine_bytes(root).map(|bytes| (bytes, "three quarters of the machine's memory"));
        let group = group_bytes(root).map(|bytes| (bytes, "three quarters of what the control group allows"));
        let least = [machine, group].into_iter().flatten().min_by_key(|(bytes, _)| *bytes);
        least.map_or(Self { bytes: UNKNOWN, because: "a guess: the system does not say how much memory there is" }, |(bytes, because)| {
            Self { bytes: bytes / 4 * 3, because }
        })
    }
}

fn machine_bytes(root: &Path) -> Option<usize> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim();
    kilobytes.parse::<usize>().ok()?.checked_mul(1024)
}

/// The smallest limit of the groups that the process is in, of version 1 and 2. What a container shows of them begins at its own,
/// whatever their paths say, so all that lie above are looked at too.
fn group_bytes(root: &Path) -> Option<usize> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return None;
        };
        let path = Path::new(path.trim_start_matches('/'));
        // Without a limit it says `max`, or a number that no machine has.
        let limit = |path: &Path| fs::read_to_string(root.join(mount).join(path).join(file)).ok()?.trim().parse().ok();
        path.ancestors().filter_map(limit).min()
    });
    limits.min()
}

/// What the process takes now, as the system counts it; `None` where it does not say. Cheap enough for each commit.
pub fn resident_bytes() -> Option<usize> {
    static STATM: LazyLock<Option<File>> = LazyLock::new(|| File::open("/proc/self/statm").ok());
    // Seven numbers.
    let mut bytes = [0; 7 * 21];
    let read = STATM.as_ref()?.read_at(&mut bytes, 0).ok()?;
    let text = str::from_utf8(bytes.get(..read)?).ok()?;
    let pages: usize = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit where these files are.
    fn limit(files: &[(&str, &str)]) -> Limit {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Limit::of_machine(root.path())
    }

    #[test]
    fn the_smallest_limit_counts() {
        const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        4000 kB\nMemFree:  17 kB\n");
        const MACHINE: &str = "three quarters of the machine's memory";
        const GROUP: &str = "three quarters of what the control group allows";
        #[track_caller]
        fn check(files: &[(&str, &str)], kilobytes: usize, because: &str) {
            let files: Vec<_> = [MEMINFO].iter().chain(files).copied().collect();
            let found = limit(&files);
            assert_eq!((found.bytes / 1024, found.because), (kilobytes, because), "{files:?}");
        }
        check(&[], 3000, MACHINE);
        let two = ("proc/self/cgroup", "0::/a/b\n");
        check(&[two, ("sys/fs/cgroup/a/b/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.max", "max\n")], 3000, MACHINE);
        check(&[two, ("sys/fs/cgroup/a/b/memory.max", "2048000\n"), ("sys/fs/cgroup/a/memory.max", "max\n")], 1500, GROUP);
        check(&[two, ("sys/fs/cgroup/a/b/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.max", "2048000\n")], 1500, GROUP);
        // In a container that sees its own group as the root.
        check(&[two, ("sys/fs/cgroup/memory.max", "2048000\n")], 1500, GROUP);
        check(&[two, ("sys/fs/cgroup/a/memory.max", "8192000000\n")], 3000, MACHINE);
        let one = ("proc/self/cgroup", "7:cpu,cpuacct:/c\n4:memory:/a\n0::/\n");
        check(&[one, ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2048000\n")], 1500, GROUP);
        check(&[one, ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n")], 3000, MACHINE);
        check(&[one, ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "2048000\n")], 3000, MACHINE);
    }

    #[test]
    fn without_a_word_of_the_system_it_is_a_guess_and_the_flag_goes_before_all() {
        assert_eq!(limit(&[]).bytes, 1 << 30);
        assert_eq!(Limit::settle(Some(7)), Limit { bytes: 7, because: "--limit.memory" });
        assert!(Limit::settle(None).bytes > 0);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
