//! Whose request it is: the client's address as far as trusted proxies vouch for it, and the group it is limited in.
//!
//! The peer of the socket is a fact; a forwarding header is a claim. The claim is believed only as far as a trusted peer made
//! it: hops are walked from the right, each one vouched for by the hop before it, and the first address that is not
//! a trusted proxy is the client. What stands left of it came from that client and is ignored. A hop that does
//! not parse ends the walk at the last trusted hop. So nothing a client sends changes its key (attacks.md 112).
//!
//! Exactly one header is read, the configured one. Reading whichever is present would let a client choose: a proxy that
//! appends to `X-Forwarded-For` passes a client's own `Forwarded` through untouched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use crate::limits::FORWARDED_HOPS_MAX;

/// The header trusted proxies write. [RFC 7239] and the older custom.
///
/// [RFC 7239]: https://www.rfc-editor.org/rfc/rfc7239
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ForwardedHeader {
    /// `Forwarded: for=192.0.2.60;proto=https`
    Forwarded,
    /// `X-Forwarded-For: 192.0.2.60`; what nginx, HAProxy and the clouds send.
    #[default]
    XForwardedFor,
}

impl ForwardedHeader {
    /// The header's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            ForwardedHeader::Forwarded => "forwarded",
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
        }
    }
}

/// The peers that are believed, and the header they write.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    nets: Box<[IpNet]>,
    header: ForwardedHeader,
}

impl TrustedProxies {
    /// Trusts `nets`. A network inside `::ffff:0:0/96` is the IPv4 network it spells.
    pub fn new(nets: impl IntoIterator<Item = IpNet>, header: ForwardedHeader) -> TrustedProxies {
        TrustedProxies { nets: nets.into_iter().map(unmapped).collect(), header }
    }

    /// The header to look up.
    pub fn header(&self) -> ForwardedHeader {
        self.header
    }

    /// The client's address; see the head of this file. `lines` are the header's values in the order received.
    pub fn client_ip<'a>(&self, peer: IpAddr, lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let mut vouched = peer.to_canonical();
        if !self.trusts(vouched) {
            return vouched;
        }
        let hops = lines.rev().flat_map(|line| Elements { rest: Some(line), quotes: self.header.quotes() });
        for hop in hops.take(FORWARDED_HOPS_MAX) {
            let Some(ip) = self.header.parse_hop(hop) else { break };
            vouched = ip.to_canonical();
            if !self.trusts(vouched) {
                break;
            }
        }
        vouched
    }

    /// Whether anybody's header is believed at all: if not, none needs to be looked up.
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty()
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&ip))
    }
}

/// What a limit is keyed by: an IPv4 address, or the /64 an IPv6 address stands in, because a household gets at least
/// a /64 and can use 2^64 addresses of it. IPv4-mapped IPv6 is IPv4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AddressGroup(u64);

impl AddressGroup {
    /// The group of an address.
    pub fn of(ip: IpAddr) -> AddressGroup {
        match ip.to_canonical() {
            // 0:1::/32 lies in 0000::/8, reserved by the IETF and never routed, so no IPv6 /64 spells the same.
            IpAddr::V4(v4) => AddressGroup(1 << 32 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => AddressGroup((v6.to_bits() >> 64) as u64),
        }
    }

    /// The group as bytes, for digests.
    pub(crate) fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl ForwardedHeader {
    /// Whether a comma may stand inside quotes.
    fn quotes(self) -> bool {
        self == ForwardedHeader::Forwarded
    }

    fn parse_hop(self, hop: &[u8]) -> Option<IpAddr> {
        let hop = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
        match self {
            ForwardedHeader::Forwarded => parse_forwarded_for(hop),
            ForwardedHeader::XForwardedFor => parse_node(hop),
        }
    }
}

/// Elements of one header line, the last one first.
///
/// Quotes are paired from the right as well: what a trusted proxy appended is well formed and is read before anything a
/// client could have left open. A backslash would make pairing from the right ambiguous; `parse_forwarded_for` refuses it.
struct Elements<'a> {
    rest: Option<&'a [u8]>,
    quotes: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.rest?;
        let mut quoted = false;
        let comma = line.iter().rposition(|&byte| {
            quoted ^= self.quotes && byte == b'"';
            byte == b',' && !quoted
        });
        self.rest = comma.map(|at| &line[..at]);
        Some(comma.map_or(line, |at| &line[at + 1..]))
    }
}

/// The `for` parameter of one RFC 7239 element; exactly one must stand there. `unknown` and `_obfuscated` are no address.
fn parse_forwarded_for(element: &str) -> Option<IpAddr> {
    if element.contains('\\') {
        return None;
    }
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim_matches([' ', '\t']).eq_ignore_ascii_case("for") {
            let value = value.trim_matches([' ', '\t']);
            let value = match value.strip_prefix('"') {
                Some(open) => open.strip_suffix('"')?,
                None => value,
            };
            if found.replace(parse_node(value)?).is_some() {
                return None;
            }
        }
    }
    found
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse_node(node: &str) -> Option<IpAddr> {
    if let Ok(ip) = IpAddr::from_str(node) {
        return Some(ip);
    }
    if let Some(bracketed) = node.strip_prefix('[').and_then(|open| open.strip_suffix(']')) {
        return Ipv6Addr::from_str(bracketed).ok().map(IpAddr::V6);
    }
    // A zone (`fe80::1%2`) is local to the proxy's machine and would be dropped silently by `SocketAddr::ip`.
    if node.contains('%') {
        return None;
    }
    SocketAddr::from_str(node).ok().map(|socket| socket.ip())
}

fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped: Option<Ipv4Addr> = v6.addr().to_ipv4_mapped();
    match (mapped, v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(prefix_len)) => Ipv4Net::new(v4, prefix_len).map_or(net, IpNet::V4),
        _ => net,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies(header: ForwardedHeader) -> TrustedProxies {
        let nets = ["10.0.0.0/8", "2001:db8:ff::/48", "::ffff:172.16.0.0/108"];
        TrustedProxies::new(nets.map(|net| net.parse().unwrap()), header)
    }

    fn check(header: ForwardedHeader, peer: &str, lines: &[&str], expected: &str) {
        let ip = proxies(header).client_ip(peer.parse().unwrap(), lines.iter().map(|line| line.as_bytes()));
        assert_eq!(ip, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    }

    #[test]
    fn attack_112_xff_spoof_does_not_change_the_key() {
        let xff = ForwardedHeader::XForwardedFor;
        // A stranger's header is ignored whatever it says.
        check(xff, "203.0.113.9", &["1.2.3.4"], "203.0.113.9");
        check(xff, "203.0.113.9", &["10.0.0.1", "10.0.0.2"], "203.0.113.9");
        // Through one proxy: what the client wrote stands left of what the proxy appended.
        check(xff, "10.0.0.1", &["1.2.3.4, 203.0.113.9"], "203.0.113.9");
        check(xff, "10.0.0.1", &["1.2.3.4", "203.0.113.9"], "203.0.113.9");
        check(xff, "10.0.0.1", &["10.9.9.9, 1.2.3.4, 203.0.113.9"], "203.0.113.9");
        check(xff, "10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        // Through two.
        check(xff, "10.0.0.1", &["1.2.3.4, 203.0.113.9, 10.0.0.2"], "203.0.113.9");
        check(xff, "::ffff:10.0.0.1", &["1.2.3.4, 203.0.113.9,\t10.0.0.2 "], "203.0.113.9");
        check(xff, "172.16.0.1", &["1.2.3.4,203.0.113.9:5555"], "203.0.113.9");
        check(xff, "2001:db8:ff::1", &["[2001:db8::7]:443"], "2001:db8::7");
        check(xff, "2001:db8:ff::1", &["::ffff:203.0.113.9"], "203.0.113.9");
        // The client is itself inside the trusted network: the leftmost hop is as far as it goes.
        check(xff, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check(xff, "10.0.0.1", &[], "10.0.0.1");
    }

    #[test]
    fn attack_112_a_malformed_hop_stops_at_the_last_trusted_one() {
        let xff = ForwardedHeader::XForwardedFor;
        for bad in [
            "",
            "unknown",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "fe80::1%2",
            "[fe80::1%2]:80",
            "\"1.2.3.4\"",
            "-",
            "1.2.3.4 5.6.7.8",
        ] {
            check(xff, "10.0.0.1", &[bad], "10.0.0.1");
            check(xff, "10.0.0.1", &[&format!("1.2.3.4,{bad},10.0.0.2")], "10.0.0.2");
            check(xff, "10.0.0.1", &[&format!("{bad},203.0.113.9")], "203.0.113.9");
        }
        let ip = proxies(xff).client_ip("10.0.0.1".parse().unwrap(), [&b"\xff\xfe"[..]].into_iter());
        assert_eq!(ip, "10.0.0.1".parse::<IpAddr>().unwrap());
        // A chain longer than anybody's ends inside the trusted part and reaches no claim.
        let long = format!("1.2.3.4{}", ", 10.0.0.2".repeat(FORWARDED_HOPS_MAX));
        check(xff, "10.0.0.1", &[&long], "10.0.0.2");
    }

    #[test]
    fn attack_112_forwarded_is_read_only_when_chosen() {
        let forwarded = ForwardedHeader::Forwarded;
        check(forwarded, "203.0.113.9", &["for=1.2.3.4"], "203.0.113.9");
        check(forwarded, "10.0.0.1", &["for=1.2.3.4, for=203.0.113.9;proto=https;by=10.0.0.1"], "203.0.113.9");
        check(forwarded, "10.0.0.1", &["For=\"[2001:db8::7]:4711\""], "2001:db8::7");
        check(forwarded, "10.0.0.1", &["for=\"203.0.113.9:80\";host=\"a,b\", for=10.0.0.2"], "203.0.113.9");
        // An open quote, or one that would swallow the proxy's element, changes nothing.
        check(forwarded, "10.0.0.1", &["for=\"1.2.3.4, for=203.0.113.9"], "203.0.113.9");
        check(forwarded, "10.0.0.1", &["for=1.2.3.4;x=\", for=203.0.113.9"], "203.0.113.9");
        for bad in [
            "for=unknown",
            "for=_hidden",
            "by=1.2.3.4",
            "for=1.2.3.4;for=5.6.7.8",
            "for=\"1.2.3.4",
            "for=\"1.2\\.3.4\"",
            "for",
            "",
        ] {
            check(forwarded, "10.0.0.1", &[bad], "10.0.0.1");
        }
        // X-Forwarded-For syntax in the other header is no address.
        check(forwarded, "10.0.0.1", &["1.2.3.4"], "10.0.0.1");
        check(ForwardedHeader::XForwardedFor, "10.0.0.1", &["for=1.2.3.4"], "10.0.0.1");
    }

    #[test]
    fn groups_are_ipv4_addresses_and_ipv6_slash_64() {
        let group = |ip: &str| AddressGroup::of(ip.parse().unwrap());
        assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
        assert_eq!(group("203.0.113.9"), group("::ffff:203.0.113.9"));
        assert_ne!(group("203.0.113.9"), group("203.0.113.10"));
        assert_ne!(group("0.0.0.0"), group("::"));
        assert_ne!(group("0.0.0.1"), group("::1"));
    }

    proptest! {
        #[test]
        fn attack_112_nothing_left_of_the_proxys_own_element_matters(
            claims in proptest::collection::vec("[ -~]{0,40}", 0..4),
            client: [u8; 4],
            forwarded: bool,
        ) {
            let client = Ipv4Addr::from(client);
            prop_assume!(!proxies(ForwardedHeader::Forwarded).trusts(IpAddr::V4(client)));
            let (header, appended) = match forwarded {
                true => (ForwardedHeader::Forwarded, format!("for={client}")),
                false => (ForwardedHeader::XForwardedFor, client.to_string()),
            };
            let joined = claims.iter().cloned().chain([appended.clone()]).collect::<Vec<_>>().join(", ");
            check(header, "10.0.0.1", &[&joined], &client.to_string());
            let lines: Vec<&str> = claims.iter().map(String::as_str).chain([appended.as_str()]).collect();
            check(header, "10.0.0.1", &lines, &client.to_string());
        }

        #[test]
        fn any_bytes_are_judged_without_panic(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..4), forwarded: bool) {
            let header = if forwarded { ForwardedHeader::Forwarded } else { ForwardedHeader::XForwardedFor };
            proxies(header).client_ip("10.0.0.1".parse().unwrap(), lines.iter().map(Vec::as_slice));
        }
    }
}
