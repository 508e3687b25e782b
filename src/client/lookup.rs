//! Looks up the addresses of a server's name as ureq does, also where the system has no room for another thread: ureq makes one, to
//! be able to give up, and panics without.

use std::thread;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::resolver::ResolvedSocketAddrs;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration;

/// What ureq is to look up names with.
#[derive(Debug, Default)]
pub(super) struct Lookup(DefaultResolver);

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        // It is on this thread when it cannot time out.
        let after = if has_room() { timeout.after } else { Duration::NotHappening };
        self.0.resolve(uri, config, NextTimeout { after, ..timeout })
    }
}

/// Whether there is room for a thread now.
fn has_room() -> bool {
    thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok())
}
