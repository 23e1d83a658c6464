//! Where nothing may go.

use std::net::IpAddr;

use super::super::dial::{connect_first, interleave};
use super::super::egress::closed;
use super::super::resolve::all_open;
use super::super::{Limits, OriginError, Reached, ResolveTable, Settings, Upstream};
use super::harness::{Ask, Ca, raw, read_head, write};
use crate::call::Host;

#[test]
fn closed_addresses_are_closed_in_every_spelling() {
    for address in [
        // Metadata.
        "169.254.169.254",
        "fd00:ec2::254",
        "168.63.129.16",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        // Loopback.
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        // Private.
        "10.0.0.0",
        "10.255.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "::ffff:10.1.2.3",
        "64:ff9b::a01:203",
        "2002:a01:203::1",
        "fc00::1",
        "fdff:ffff::1",
        "fd20:ce::254",
        // Teredo: the client's address is inverted; 10.0.0.1 here, and a private server in the second.
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2001:0:0a00:0001:8000:63bf:3fff:fdd2",
        // Link-local, site-local.
        "169.254.0.1",
        "169.254.255.255",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        // Carrier, benchmarking, documentation, reserved.
        "100.64.0.0",
        "100.127.255.255",
        "100.100.100.200",
        "198.18.0.1",
        "198.19.255.255",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.255",
        "192.0.0.192",
        "192.88.99.1",
        "2001:db8::1",
        "3fff::1",
        "3fff:fff::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "100::1",
        "5f00::1",
        "4000::1",
        "8000::1",
        "64:ff9b:1::808:808",
        "64:ff9b:1:ffff::1",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
        "2002:808:808::1",
        // Unspecified, multicast, broadcast, class E.
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "239.255.255.255",
        "ff02::1",
        "ff0e::1",
        "255.255.255.255",
        "240.0.0.1",
        "255.255.255.254",
        "::ffff:0.0.0.0",
        "::ffff:255.255.255.255",
        "64:ff9b::e000:1",
    ] {
        assert!(closed(address.parse().unwrap()).is_some(), "{address} is open");
    }
}

#[test]
fn public_addresses_are_open_up_to_the_edges() {
    for address in [
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "192.0.1.1",
        "192.0.3.1",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "168.63.129.15",
        "140.82.121.6",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "2001:4860:4860::8888",
        "2001:200::1",
        "2001:db7::1",
        "2001:db9::1",
        "2620:4f:8000::1",
        "3ffe::1",
        "3fff:1000::1",
        "2003::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ] {
        assert_eq!(closed(address.parse().unwrap()), None, "{address}");
    }
}

#[test]
fn one_closed_address_closes_the_name() {
    let host = Host::parse("rebind.example").unwrap();
    let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>();
    for list in [
        &["8.8.8.8", "127.0.0.1"][..],
        &["10.0.0.1", "8.8.8.8"],
        &["2606:4700::1", "8.8.8.8", "::ffff:10.0.0.1"],
    ] {
        let refused = all_open(&host, parse(list)).unwrap_err();
        assert!(matches!(refused, OriginError::AddressForbidden { .. }), "{list:?}");
        assert_eq!(refused.reached(), Reached::Never);
    }
    assert_eq!(all_open(&host, parse(&["8.8.8.8", "8.8.8.8"])).unwrap(), parse(&["8.8.8.8"]));
    assert!(matches!(all_open(&host, vec![]), Err(OriginError::Unresolved { .. })));
}

fn upstream(entries: &[(&str, &str)]) -> Upstream {
    let resolve = ResolveTable::parse(entries.iter().copied()).unwrap();
    let trust = vec![Ca::new().anchor()];
    Upstream::new(Settings { trust, resolve, own: vec![], limits: Limits::default() }).unwrap()
}

#[tokio::test]
async fn literals_and_names_that_lead_home_are_refused() {
    let upstream = upstream(&[("other.test", "127.0.0.1:1")]);
    for url in [
        "https://127.0.0.1/",
        "http://127.0.0.1:8119/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://localhost/",
        "https://0.0.0.0/",
    ] {
        let refused = Ask::get(url).send(&upstream).await.unwrap_err();
        assert!(matches!(refused, OriginError::AddressForbidden { .. }), "{url}: {refused}");
    }
}

#[tokio::test]
async fn a_name_without_addresses_is_unresolved() {
    let refused = Ask::get("https://nothing.invalid/").send(&upstream(&[])).await.unwrap_err();
    assert!(matches!(refused, OriginError::Unresolved { .. }), "{refused}");
    assert_eq!(refused.reached(), Reached::Never);
}

#[tokio::test]
async fn a_mapped_name_reaches_loopback() {
    let (upstream, connections) = raw(|mut tcp| async move {
        read_head(&mut tcp).await;
        write(&mut tcp, "HTTP/1.1 204 No Content\r\n\r\n").await;
    })
    .await;
    let answer = Ask::get("https://raw.test/").send(&upstream).await.unwrap();
    assert_eq!(answer.response.status(), 204);
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn remits_own_listeners_are_refused_even_when_mapped() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for own in [address, ([0, 0, 0, 0], address.port()).into()] {
        let to = address.to_string();
        let resolve = ResolveTable::parse([("*", to.as_str())]).unwrap();
        let trust = vec![Ca::new().anchor()];
        let settings = Settings { trust, resolve, own: vec![own], limits: Limits::default() };
        let refused = Ask::get("https://a.test/").send(&Upstream::new(settings).unwrap()).await.unwrap_err();
        assert!(
            matches!(refused, OriginError::AddressForbidden { range, .. } if range.contains("remit")),
            "{own}"
        );
    }
}

#[test]
fn the_most_specific_mapping_wins() {
    let table = ResolveTable::parse([
        ("*", "127.0.0.9:9"),
        ("*:8443", "127.0.0.8:8"),
        ("*.example.test", "127.0.0.1:1"),
        ("*.deep.example.test", "127.0.0.2:2"),
        ("*.deep.example.test:444", "127.0.0.7:7"),
        ("api.example.test", "127.0.0.3:3"),
        ("API.example.test.:444", "http://127.0.0.4:4"),
        ("[2606:4700::1]:443", "[::1]:5"),
        ("[2606:4700::2]", "127.0.0.6:6"),
    ])
    .unwrap();
    for (host, port, to) in [
        ("api.example.test", 444, "127.0.0.4:4"),
        ("api.example.test", 443, "127.0.0.3:3"),
        ("x.deep.example.test", 443, "127.0.0.2:2"),
        ("x.deep.example.test", 444, "127.0.0.7:7"),
        ("deep.example.test", 443, "127.0.0.1:1"),
        ("example.test", 443, "127.0.0.9:9"),
        ("evil-example.test", 443, "127.0.0.9:9"),
        ("other.test", 8443, "127.0.0.8:8"),
        ("[2606:4700::1]", 443, "[::1]:5"),
        ("[2606:4700::1]", 444, "127.0.0.9:9"),
        ("[2606:4700::2]", 444, "127.0.0.6:6"),
    ] {
        let found = table.find(&Host::parse(host).unwrap(), port).unwrap();
        assert_eq!(found.address.to_string(), to, "{host}:{port}");
        assert_eq!(found.plain, to == "127.0.0.4:4");
    }
    assert_eq!(ResolveTable::default().find(&Host::parse("a.test").unwrap(), 443), None);
}

#[test]
fn a_mapping_that_cannot_be_meant_is_named() {
    for (key, value) in [
        ("a b", "127.0.0.1:1"),
        ("a.test:0", "127.0.0.1:1"),
        ("a.test:x", "127.0.0.1:1"),
        ("*.1.2.3.4", "127.0.0.1:1"),
        ("a.test", "127.0.0.1"),
        ("a.test", "localhost:80"),
        ("a.test", "https://127.0.0.1:1"),
        ("a.test", "127.0.0.1:0"),
        ("a.test", "http://127.0.0.1:1/path"),
        ("a.*.test", "127.0.0.1:1"),
        ("", "127.0.0.1:1"),
    ] {
        let error = ResolveTable::parse([(key, value)]).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key} = {value}`")), "{error}");
    }
}

#[tokio::test]
async fn an_address_where_nobody_listens_gives_way_to_the_next() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    let connected = connect_first(vec![gone, gone, there]).await.unwrap();
    assert_eq!(connected.peer_addr().unwrap(), there);
    let why = connect_first(vec![gone]).await.unwrap_err();
    assert!(why.contains(&gone.to_string()), "{why}");
}

#[test]
fn families_take_turns() {
    let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<_>>();
    let turns = interleave(parse(&["[2606::1]:1", "[2606::2]:1", "[2606::3]:1", "1.1.1.1:1"]));
    assert_eq!(Vec::from(turns), parse(&["[2606::1]:1", "1.1.1.1:1", "[2606::2]:1", "[2606::3]:1"]));
}
