//! Client certificates of operators: whom they name.

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::svid::{Authority, at, bundles};
use super::*;
use crate::call::Certificates;

const ADA: &str = "spiffe://example.org/operator/ada";

fn believing(own: &Authority, domain: &Authority) -> ClientCertificates {
    let own = vec![CertificateDer::from_pem_slice(own.pem.as_bytes()).unwrap()];
    ClientCertificates::new(bundles(domain.pem.as_bytes()), own, World::new()).unwrap()
}

fn named(sans: &[SanType]) -> impl FnOnce(&mut CertificateParams) {
    let sans = sans.to_vec();
    move |leaf| {
        leaf.subject_alt_names = sans;
        leaf.distinguished_name.push(DnType::CommonName, "root@example.org");
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn mail(text: &str) -> SanType {
    SanType::Rfc822Name(text.try_into().unwrap())
}

#[test]
fn a_certificate_names_its_operator_by_uri_or_else_by_address() {
    let (own, domain) = (Authority::new(), Authority::new());
    let judge = believing(&own, &domain);
    for (sans, name) in [
        (vec![uri(ADA)], ADA),
        (
            vec![uri("https://people.example.org/ada"), mail("x@example.org")],
            "https://people.example.org/ada",
        ),
        (vec![mail("ada@example.org"), SanType::DnsName("h".try_into().unwrap())], "cert:ada@example.org"),
    ] {
        assert_eq!(judge.name(&own.issue(named(&sans))).unwrap(), name);
    }
    assert_eq!(judge.name(&domain.issue(named(&[uri(ADA)]))).unwrap(), ADA);
}

#[test]
fn what_names_nobody_or_is_of_nobody_that_is_believed_is_refused() {
    let (own, domain, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let judge = believing(&own, &domain);
    // A common name is no name.
    for sans in
        [vec![], vec![mail("a@b.test"), mail("c@b.test")], vec![uri(ADA), uri("spiffe://example.org/b")]]
    {
        assert!(judge.name(&own.issue(named(&sans))).is_err());
    }
    assert!(judge.name(&domain.issue(named(&[mail("ada@example.org")]))).is_err(), "that is no SVID");
    assert!(judge.name(&stranger.issue(named(&[uri(ADA)]))).is_err());
    let past = own.issue(|leaf| {
        named(&[uri(ADA)])(leaf);
        leaf.not_after = at(START_S - 1);
    });
    assert!(judge.name(&past).is_err());
    let key = KeyPair::generate().unwrap();
    let alone: Certificates =
        Arc::new([CertificateParams::default().self_signed(&key).unwrap().der().to_vec()]);
    assert!(judge.name(&alone).is_err());
}
