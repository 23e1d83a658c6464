//! No byte of a request goes to an origin whose certificate does not hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::super::{Limits, OriginError, Reached, ResolveTable, Settings, SetupError, Upstream};
use super::harness::{Ask, Ca, Leaf, acceptor, raw, write};

/// Calls `https://name.test/` at an origin with that certificate; what came of it, and the bytes that the origin read
/// behind the handshake.
async fn against(trusted: &Ca, leaf: Leaf) -> (OriginError, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let acceptor = acceptor(leaf, &["h2", "http/1.1"]);
    let served = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        if let Ok(mut tls) = acceptor.accept(tcp).await {
            let mut buffer = [0; 1024];
            while let Ok(n @ 1..) = tls.read(&mut buffer).await {
                counted.fetch_add(n, Ordering::SeqCst);
            }
        }
    });
    let upstream = Upstream::new(Settings {
        trust: vec![trusted.anchor()],
        resolve: ResolveTable::parse([("*.test", to.as_str())]).unwrap(),
        own: vec![],
        limits: Limits::default(),
    })
    .unwrap();
    let error = Ask::get("https://name.test/").send(&upstream).await.unwrap_err();
    served.await.unwrap();
    (error, read.load(Ordering::SeqCst))
}

#[tokio::test]
async fn bad_certificates_never_see_a_request() {
    let ca = Ca::new();
    let other = Ca::new();
    let expire = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let early = |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    let client = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let only_cn =
        |params: &mut CertificateParams| params.distinguished_name.push(DnType::CommonName, "name.test");
    for (what, leaf, words) in [
        ("expired", ca.leaf(&["name.test"], expire), "expired"),
        ("early", ca.leaf(&["name.test"], early), "not valid yet"),
        ("unknown issuer", other.leaf(&["name.test"], |_| {}), "upstream.trust"),
        ("wrong name", ca.leaf(&["other.test"], |_| {}), "not for `name.test` but for"),
        ("name in CN", ca.leaf(&[], only_cn), "no name"),
        ("wildcard two labels up", ca.leaf(&["*.a.test"], |_| {}), "*.a.test"),
        ("suffix", ca.leaf(&["evil-name.test", "name.test.evil"], |_| {}), "not for"),
        ("for clients", ca.leaf(&["name.test"], client), "not for servers"),
    ] {
        let (error, bytes) = against(&ca, leaf).await;
        let OriginError::Untrusted { why } = &error else { panic!("{what}: {error:?}") };
        assert!(why.contains(words), "{what}: {why}");
        assert_eq!((bytes, error.reached()), (0, Reached::Never), "{what}");
    }
}

#[tokio::test]
async fn a_certificate_for_an_address_holds_for_the_address_alone() {
    let ca = Ca::new();
    for (names, holds) in [(&["127.0.0.1"][..], true), (&["127.0.0.2"], false), (&["127.0.0.1.test"], false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap().to_string();
        let acceptor = acceptor(ca.leaf(names, |_| {}), &["http/1.1"]);
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                use tokio::io::AsyncWriteExt as _;
                let _ = tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                let _ = tls.read(&mut [0; 1024]).await;
                let _ = tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        });
        let upstream = Upstream::new(Settings {
            trust: vec![ca.anchor()],
            resolve: ResolveTable::parse([("127.0.0.1", to.as_str())]).unwrap(),
            own: vec![],
            limits: Limits::default(),
        })
        .unwrap();
        let sent = Ask::get("https://127.0.0.1/").send(&upstream).await;
        assert_eq!(!matches!(sent, Err(OriginError::Untrusted { .. })), holds, "{names:?}: {sent:?}");
    }
}

#[tokio::test]
async fn what_does_not_speak_tls_gets_no_request() {
    let (upstream, _) = raw(|mut tcp| async move { write(&mut tcp, "HTTP/1.1 200 OK\r\n\r\n").await }).await;
    // `raw.test` is mapped to plain HTTP; the same address as `tls.test` is not.
    drop(upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        write(&mut tcp, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let _ = tcp.read(&mut [0; 4096]).await;
    });
    let settings = Settings {
        trust: vec![Ca::new().anchor()],
        resolve: ResolveTable::parse([("tls.test", to.as_str())]).unwrap(),
        ..Settings::default()
    };
    let error = Ask::get("https://tls.test/").send(&Upstream::new(settings).unwrap()).await.unwrap_err();
    assert!(
        matches!(&error, OriginError::Unreachable { why } if why.contains("does not speak TLS")),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    drop(listener);
    let settings = Settings {
        trust: vec![Ca::new().anchor()],
        resolve: ResolveTable::parse([("*", to.as_str())]).unwrap(),
        ..Settings::default()
    };
    let error = Ask::get("https://a.test/").send(&Upstream::new(settings).unwrap()).await.unwrap_err();
    assert!(matches!(&error, OriginError::Unreachable { why } if why.contains(&to)), "{error}");
    assert_eq!(error.reached(), Reached::Never);
}

#[test]
fn a_broken_anchor_is_named_by_its_number() {
    let trust = vec![Ca::new().anchor(), vec![1, 2, 3].into()];
    let error = Upstream::new(Settings { trust, ..Settings::default() }).unwrap_err();
    assert!(matches!(error, SetupError::BadAnchor { nth: 2, .. }), "{error}");
}
