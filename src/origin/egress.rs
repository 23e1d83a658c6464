//! The egress guard: which addresses agents may be led to.
//!
//! Everything that the IANA special-purpose registries (RFC 6890 and its successors) do not call globally reachable is
//! closed, and IPv4 addresses are looked for inside IPv6 ones. It must not know any name: exemptions are the resolve
//! table's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is closed about an address, in words that finish the sentence "it leads to x, ..."; none if it is open.
pub fn closed(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => closed_v4(v4),
        IpAddr::V6(v6) => closed_v6(v6),
    }
}

const METADATA: &str = "a cloud's metadata address";
const LOOPBACK: &str = "a loopback address";
const PRIVATE: &str = "a private address";
const LINK_LOCAL: &str = "a link-local address";
const DOCUMENTATION: &str = "a documentation address";
const MULTICAST: &str = "a multicast address";
const RESERVED: &str = "a reserved address";
const UNSPECIFIED: &str = "an unspecified address";

fn closed_v4(address: Ipv4Addr) -> Option<&'static str> {
    let range = match address.octets() {
        // Link-local by rights, but the word that people look for; and Azure's WireServer, which is a public address.
        [169, 254, 169, 254] | [168, 63, 129, 16] => METADATA,
        // RFC 791 §3.2: "this network".
        [0, ..] => UNSPECIFIED,
        // RFC 1918.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => PRIVATE,
        // RFC 6598.
        [100, 64..=127, ..] => "a shared address of a carrier",
        [127, ..] => LOOPBACK,
        // RFC 3927.
        [169, 254, ..] => LINK_LOCAL,
        // RFC 5737.
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => DOCUMENTATION,
        // RFC 2544.
        [198, 18..=19, ..] => "a benchmarking address",
        [224..=239, ..] => MULTICAST,
        [255, 255, 255, 255] => "the broadcast address",
        // RFC 6890; the relays of 6to4 (RFC 7526); RFC 1112 §4.
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => RESERVED,
        _ => return None,
    };
    Some(range)
}

fn closed_v6(address: Ipv6Addr) -> Option<&'static str> {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        closed_v4(Ipv4Addr::new(a, b, c, d))
    };
    let range = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => UNSPECIFIED,
        [0, 0, 0, 0, 0, 0, 0, 1] => LOOPBACK,
        // RFC 4291 §2.5.5.2: the kernel dials the IPv4 address. RFC 6052 §2.1: so does the translator.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return embedded(high, low);
        }
        // RFC 4291 §2.5.5.1: deprecated, so closed even around an open address.
        [0, 0, 0, 0, 0, 0, high, low] => embedded(high, low).unwrap_or(RESERVED),
        // RFC 8215: where the IPv4 address stands in it is the site's own affair.
        [0x64, 0xff9b, 1, ..] => "a translation address of the local network",
        // RFC 3056: a tunnel to the IPv4 address behind the prefix.
        [0x2002, high, low, ..] => embedded(high, low).unwrap_or("a 6to4 address"),
        // RFC 4380 §4: server in the clear, client inverted; tunnelled, so closed around open addresses too.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            embedded(!high, !low).or(embedded(server_high, server_low)).unwrap_or("a Teredo address")
        }
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => METADATA,
        // RFC 4193.
        [0xfc00..=0xfdff, ..] => PRIVATE,
        // RFC 4291 §2.5.6, and the site-local addresses that RFC 3879 gave up.
        [0xfe80..=0xfeff, ..] => LINK_LOCAL,
        [0xff00..=0xffff, ..] => MULTICAST,
        // RFC 3849, RFC 9637.
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => DOCUMENTATION,
        // RFC 2928: benchmarking, ORCHID and other protocol assignments.
        [0x2001, 0..=0x01ff, ..] => RESERVED,
        // RFC 4291 §2.4: global unicast is delegated from here alone.
        [0x2000..=0x3fff, ..] => return None,
        _ => RESERVED,
    };
    Some(range)
}
