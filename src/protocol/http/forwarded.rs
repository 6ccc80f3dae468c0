//! Whom a request comes from, behind proxies. The rules are those of `addressBehind()` in lib/engine/limits.js, for the requests
//! that JavaScript does not see; the same table is played on both (`__test__/fixtures/forwarded.json`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an address of IPv6 in front of one of IPv4.
const MAPPED: u32 = 96;

/// The proxies that are trusted, and the header in which they say whom they have seen.
#[derive(Debug)]
pub struct Proxies {
    /// Its name, in lower case.
    header: String,
    trusted: Vec<Network>,
}

#[derive(Debug)]
struct Network {
    /// Its first address.
    bits: u128,
    mask: u128,
}

impl Network {
    /// An address, or one and the length of a prefix behind a slash.
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(it, prefix)| (it, Some(prefix)));
        let address = ip(address)?;
        let (before, most) = if address.is_ipv4() { (MAPPED, 32) } else { (0, 128) };
        let prefix: u32 = prefix.map_or(Some(most), |it| it.parse().ok()).filter(|&it| it <= most)?;
        let mask = u128::MAX.checked_shl(128 - before - prefix).unwrap_or(0);
        Some(Network { bits: bits(address) & mask, mask })
    }
}

impl Proxies {
    /// `header`: in lower case. `trusted`: addresses and networks; what is none is left out.
    pub fn new(header: String, trusted: &[String]) -> Proxies {
        Proxies { header, trusted: trusted.iter().filter_map(|text| Network::parse(text)).collect() }
    }

    /// Whom a request comes from. `peer`: the address of the other end of the connection. `lines`: what the request consists of, see
    /// `PollRequest::lines`.
    pub fn address_behind(&self, peer: &str, lines: &str) -> String {
        behind(self, peer, &header(lines, &self.header)).to_owned()
    }

    fn trust(&self, address: &str) -> bool {
        ip(address).is_some_and(|ip| self.trusted.iter().any(|it| bits(ip) & it.mask == it.bits))
    }
}

/// `said`: the value of the header.
fn behind<'a>(proxies: &Proxies, peer: &'a str, said: &'a str) -> &'a str {
    let mut address = plain(peer);
    // a Unix socket has no address: who can write to it is a proxy of this machine
    let is_local = address.is_empty();
    // the last one is what the proxy next to us has seen
    for part in said.rsplit(',') {
        if !(proxies.trust(address) || is_local && address.is_empty()) {
            break;
        }
        let before = plain(without_port(part.trim()));
        if ip(before).is_none() {
            break;
        }
        address = before;
    }
    address
}

/// All headers of a name as one. `lines`: names and values by turns, and the target.
fn header(lines: &str, name: &str) -> String {
    let mut said = String::new();
    let mut lines = lines.split('\n');
    while let (Some(candidate), Some(value)) = (lines.next(), lines.next()) {
        if candidate.eq_ignore_ascii_case(name) {
            said.extend([if said.is_empty() { "" } else { ", " }, value]);
        }
    }
    said
}

/// Some proxies add the port.
fn without_port(text: &str) -> &str {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = text.strip_prefix('[').and_then(|rest| {
        rest.strip_suffix(']')
            .or_else(|| rest.rsplit_once("]:").filter(|(_, port)| is_port(port)).map(|(inner, _)| inner))
    });
    let text = bare.filter(|inner| !inner.is_empty()).unwrap_or(text);
    match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) && host.parse::<Ipv4Addr>().is_ok() => host,
        _ => text,
    }
}

/// An address of IPv4 that is written as one of IPv6 is the same.
pub fn plain(address: &str) -> &str {
    address.strip_prefix("::ffff:").filter(|rest| rest.contains('.')).unwrap_or(address)
}

/// What an address means, if it is one. An address of IPv6 may have a zone.
fn ip(text: &str) -> Option<IpAddr> {
    let is_zone = |zone: &str| {
        !zone.is_empty() && zone.bytes().all(|it| it.is_ascii_alphanumeric() || b"-.:".contains(&it))
    };
    match text.split_once('%') {
        Some((address, zone)) if is_zone(zone) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => text.parse().ok(),
    }
}

/// An address as one of IPv6.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const TABLE: &str = include_str!("../../../__test__/fixtures/forwarded.json");

    #[test]
    fn the_rules_are_those_of_javascript() {
        let table: Vec<Value> = serde_json::from_str(TABLE).unwrap();
        for row in table {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            let trusted: Vec<String> = serde_json::from_value(row["trusted"].clone()).unwrap();
            let proxies = Proxies::new("x-forwarded-for".into(), &trusted);
            assert_eq!(behind(&proxies, text("peer"), text("said")), text("address"), "{row}");
        }
    }

    #[test]
    fn headers_of_one_name_are_one() {
        let lines = "Host\nhere\nX-Forwarded-For\n1.2.3.4\nx-forwarded-for\n5.6.7.8\n/socket.io/?EIO=4";
        let proxies = Proxies::new("x-forwarded-for".into(), &["127.0.0.0/8".into()]);
        assert_eq!(header(lines, "x-forwarded-for"), "1.2.3.4, 5.6.7.8");
        assert_eq!(header(lines, "forwarded"), "");
        assert_eq!(proxies.address_behind("127.0.0.1", lines), "5.6.7.8");
        assert_eq!(proxies.address_behind("9.9.9.9", lines), "9.9.9.9");
    }

    #[test]
    fn what_is_no_network_is_trusted_by_nobody() {
        for text in ["", "x", "1.2.3.4/33", "::/129", "1.2.3.4/-1", "1.2.3"] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
