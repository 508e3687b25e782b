//! The names by which a server that asks for no token may be asked for, where only this machine reaches it.
//!
//! A page in a browser on this machine could let its own name lead to 127.0.0.1 (DNS rebinding) and would then read and write
//! everything as its own: only the name in `Host` tells it from somebody who means this server. An address is no such name.

use std::collections::HashSet;
use std::net::IpAddr;
use std::net::Ipv6Addr;

/// What systems call themselves beside `localhost`, in `/etc/hosts`.
const LOOPBACK: [&str; 6] = ["localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback"];
/// The longest name that there is.
const NAME_BYTES: usize = 253;

/// The names of one server, beside those of loopback and all addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    names: HashSet<String>,
    /// What stands behind the `*` of those that begin with `*.`; empty for `*` alone.
    ends: Vec<String>,
}

impl Hosts {
    /// Adds a name, `*.` and a name for all below it, or `*` for any; answers whether it was one of those.
    pub fn add(&mut self, name: &str) -> bool {
        if name == "*" {
            self.ends.push(String::new());
            return true;
        }
        let (is_pattern, rest) = name.strip_prefix("*.").map_or((false, name), |rest| (true, rest));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let rest = canonical(rest);
        if rest.is_empty() || rest.len() > NAME_BYTES || !rest.bytes().all(plain) {
            return false;
        }
        if is_pattern {
            self.ends.push(format!(".{rest}"));
        } else {
            self.names.insert(rest);
        }
        true
    }

    /// Whether this server may be asked for as `authority` says, `HOST` or `HOST:PORT`. Ports are not compared.
    pub fn know(&self, authority: &str) -> bool {
        let host = host_of(authority);
        // What most ask for costs nothing.
        if host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok() || authority.parse::<IpAddr>().is_ok() {
            return true;
        }
        if let Some(literal) = host.strip_prefix('[') {
            // The zone of a link-local address is no part of it.
            let address = literal.strip_suffix(']').and_then(|literal| literal.split('%').next());
            return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        }
        let name = canonical(host);
        name.is_empty()
            || name.parse::<IpAddr>().is_ok()
            || name.ends_with(".localhost")
            || LOOPBACK.contains(&&*name)
            || self.names.contains(&name)
            || self.ends.iter().any(|end| name.ends_with(&**end))
    }
}

/// What stands before the port, if there is one.
pub fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Names are the same in any case, and with the dot of the root at their end.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_ours_is_known_by_no_spelling() {
        let mut hosts = Hosts::default();
        for name in ["web-1", "Events.Example.org.", "*.internal"] {
            assert!(hosts.add(name), "{name}");
        }
        let ours = [
            "",
            ":80",
            "localhost",
            "LocalHost.:10555",
            "a.b.localhost",
            "ip6-localhost:1",
            "127.0.0.1",
            "127.0.0.1.:80",
            "192.0.2.7:10555",
            "[::1]",
            "[::1]:10555",
            "[fe80::1%25eth0]:80",
            "::1",
            "WEB-1:10555",
            "events.example.org",
            "events.example.org.:443",
            "a.internal",
            "a.b.internal:",
        ];
        for authority in ours {
            assert!(hosts.know(authority), "{authority}");
        }
        let others = [
            "evil.example",
            "evil.example:10555",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "a.events.example.org",
            "events.example.org..",
            "internal",
            "ainternal",
            "web-1.evil.example",
            "web",
            "[::1",
            "[::1].evil.example",
            "[evil.example]",
            "localhost@evil.example",
            "localhost:80@evil.example",
            "evil.example:localhost",
            "localhost:80:80x",
            "127.0.0.1:80, evil.example",
            "2130706433",
            "127.1",
        ];
        for authority in others {
            assert!(!hosts.know(authority), "{authority}");
        }
    }

    #[test]
    fn what_is_no_name_cannot_be_allowed() {
        for name in ["", ".", "*.", "*..", "**", "*a", "a.*", "a b", "a:80", "http://a", "a/b", "m\u{fc}nchen", &"a".repeat(254)] {
            assert!(!Hosts::default().add(name), "{name}");
        }
        let mut any = Hosts::default();
        assert!(any.add("*") && any.know("evil.example"));
    }
}
