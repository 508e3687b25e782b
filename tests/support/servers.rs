//! Which servers there are, and where: `tests/servers/install` puts them into one folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The path of the server `name` below the folder of servers (`prometheus`, `debian/prometheus` …).
///
/// Where it is missing, a test in CI fails. On a user's machine it says so, gets `None`, and leaves that part out.
pub(crate) fn require(name: &str) -> Option<PathBuf> {
    let path = folder().join(name);
    if path.exists() {
        return Some(path);
    }
    let missing = format!("{} is missing: run tests/servers/install", path.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("\n*** SKIPPED: {missing}\n");
    None
}

pub(crate) fn folder() -> PathBuf {
    std::env::var_os("CHANGE_EVENTS_SERVERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers/bin"), PathBuf::from)
}

/// A loopback port that was free just now and that this process gives out once.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}
