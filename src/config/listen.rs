//! Addresses to listen on, and who may reach them without a token.

use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs as _;

use crate::config::ConfigError;
use crate::http::hosts;

/// The socket addresses that `HOST:PORT` stands for. An empty host is every address of the machine.
pub(super) fn resolve(text: &str) -> Result<Vec<SocketAddr>, ConfigError> {
    let wrong = |source: io::Error| ConfigError::Address { flag: "--web.listen-address", value: text.to_owned(), source };
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| wrong(io::ErrorKind::InvalidInput.into()))?;
        return Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))]);
    }
    let addresses: Vec<SocketAddr> = text.to_socket_addrs().map_err(wrong)?.collect();
    if addresses.is_empty() { Err(wrong(io::ErrorKind::NotFound.into())) } else { Ok(addresses) }
}

/// Refuses addresses that other machines reach.
pub(super) fn check_loopback(addresses: &[SocketAddr]) -> Result<(), ConfigError> {
    match addresses.iter().find(|address| !is_loopback(address.ip())) {
        Some(address) => Err(ConfigError::flag(
            "--web.listen-address",
            format!(
                "{address} can be reached from other machines, and without organizations in --config.file anybody who reaches it may read and \
                 write every event. Configure organizations with tokens (`change-events token` makes one), or listen on 127.0.0.1, or say \
                 --web.allow-anonymous if the network is trusted"
            ),
        )),
        None => Ok(()),
    }
}

/// Whether no other machine reaches any of these addresses.
pub(super) fn is_on_loopback_only(addresses: &[SocketAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().all(|address| is_loopback(address.ip()))
}

/// The name of this machine, its first part where it has several, and the names that `/etc/hosts` has for addresses of loopback.
pub(super) fn machine_names() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = name.split_once('.').map(|(short, _)| short.to_owned());
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    short.into_iter().chain([name]).chain(loopback_names(&hosts)).collect()
}

/// The names of addresses of loopback in the text of `/etc/hosts`.
fn loopback_names(hosts: &str) -> Vec<String> {
    let names = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned);
        let address = words.next().and_then(|address| address.parse().ok());
        if address.is_some_and(is_loopback) { words.collect() } else { Vec::new() }
    };
    hosts.lines().flat_map(names).collect()
}

/// The host that a URL names, without user and port.
pub(super) fn host_of_url(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    hosts::host_of(authority.rsplit('@').next().unwrap_or_default())
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.to_ipv4_mapped().is_some_and(|mapped| mapped.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_loopback_are_those_that_the_machine_has_for_it() {
        let hosts = "127.0.0.1\tlocalhost events.test # evil.example\n# 127.0.0.1 no.example\n192.0.2.1 other.example\n::1 six.test\n\nx y\n127.0.0.1";
        assert_eq!(loopback_names(hosts), ["localhost", "events.test", "six.test"]);
    }
}
