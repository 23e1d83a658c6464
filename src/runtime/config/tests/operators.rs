//! `[admin]` and `[[operators]]`.

use super::*;
use crate::call::{OperatorId, Role, Scheme};

#[test]
fn operators_are_named_with_roles_and_groups() {
    let config = parse(
        "[[operators]]\nid = \"spiffe://example.org/operator/ada\"\nroles = [\"approver\", \"viewer\"]\ngroups = [\"oncall\"]\n\
         [[operators]]\nid = \"oidc:bob@example.org\"\n",
    )
    .unwrap();
    let named = &config.admin.access.named;
    let ada = &named[&OperatorId("spiffe://example.org/operator/ada".into())];
    assert_eq!(ada.roles, [Role::Approver, Role::Viewer].into());
    assert_eq!(ada.groups, ["oncall".into()].into());
    assert_eq!(named[&OperatorId("oidc:bob@example.org".into())].roles, [].into());
    for (text, why) in [
        ("[[operators]]\nroles = []\n", "`id` is missing"),
        ("[[operators]]\nid = \"ada\"\n", "no operator"),
        ("[[operators]]\nid = \"oidc:\"\n", "no operator"),
        ("[[operators]]\nid = \"local:admin\"\n", "no operator"),
        ("[[operators]]\nid = \"oidc:a\"\nroles = [\"aprover\"]\n", "did you mean `approver`?"),
    ] {
        assert!(complaint(text).contains(why), "{text}: {}", complaint(text));
    }
}

#[test]
fn an_identity_provider_is_read_whole_and_its_secret_is_named_and_not_written() {
    let oidc = "[admin.oidc]\nissuer = \"https://id.example.org/\"\nclient_id = \"remit\"\nroles = { approver = [\"oncall\"] }\n";
    let provider = parse(oidc).unwrap().admin.oidc.unwrap();
    assert_eq!((provider.issuer.as_str(), provider.client_secret), ("https://id.example.org/", None));
    assert_eq!(provider.reading.roles[&Role::Approver], ["oncall".to_owned()].into());
    assert_eq!(
        (provider.reading.name_claim.as_str(), provider.reading.groups_claim.as_str()),
        ("email", "groups")
    );
    for (more, why) in [
        ("client_secret = \"s3cret-s3cret\"\n", "a table is wanted"),
        ("issur = \"x\"\n", "did you mean `issuer`?"),
    ] {
        let told = complaint(&format!("{oidc}{more}"));
        assert!(told.contains(why) && !told.contains("s3cret"), "{told}");
    }
    assert!(complaint("[admin.oidc]\nclient_id = \"x\"\n").contains("`admin.oidc.issuer` is missing"));
    assert!(
        complaint("[admin.oidc]\nissuer = \"http://id.example.org\"\nclient_id = \"x\"\n").contains("TLS")
    );
}

#[test]
fn the_tls_listener_needs_something_to_show() {
    let listen = "[listen]\nadmin_tls = \"127.0.0.1:0\"\n";
    assert!(complaint(listen).contains("`admin.certificate`"));
    assert!(complaint("[admin]\ncertificate = \"a.pem\"\n").contains("goes with `admin.key`"));
    let config = parse(&format!("{listen}[admin]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n")).unwrap();
    assert_eq!(config.admin.certificate.unwrap().0, Path::new("/etc/remit/a.pem"));
}

#[test]
fn the_address_of_browsers_is_an_origin() {
    let front = parse("[admin]\nurl = \"https://Remit.example.org\"\n").unwrap().admin.url.unwrap();
    assert_eq!((front.scheme, front.authority.as_str()), (Scheme::Https, "remit.example.org"));
    for url in ["remit.example.org", "https://h/path", "https://u@h", "ftp://h", "https://h?x"] {
        assert!(complaint(&format!("[admin]\nurl = \"{url}\"\n")).contains("no origin"), "{url}");
    }
}
