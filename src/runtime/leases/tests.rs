//! What of `[[leases]]` only the catalog can tell.

use super::*;

fn told(service: &str, hosts: &[&str], place: &Place) -> Option<String> {
    let catalog = Catalog::shipped().unwrap();
    let hosts: Vec<Host> = hosts.iter().map(|host| Host::parse(host).unwrap()).collect();
    match bounded(service, &hosts, place, &catalog) {
        Err(StartError::Leases { why }) => Some(why),
        Err(other) => panic!("{other}"),
        Ok(()) => None,
    }
}

#[test]
fn a_credential_for_names_of_anybody_goes_to_those_that_the_operator_names() {
    let header = Place::default();
    let why = told("zendesk", &[], &header).unwrap();
    assert!(why.contains("`*.zendesk.com`") && why.contains("hosts = [\"yours.zendesk.com\"]"), "{why}");
    assert_eq!(told("zendesk", &["acme.zendesk.com"], &header), None);
    let why = told("zendesk", &["acme.zendesk.com", "acme.example"], &header).unwrap();
    assert!(why.contains("`zendesk` has nothing at `acme.example`"), "{why}");
    // `*` may stand for a region; a signature gives nothing away to whoever answers there.
    assert_eq!(told("aws-s3", &[], &Place::SignAws), None);
    assert!(told("aws-s3", &[], &header).is_some());
    assert_eq!(told("github", &[], &header), None, "its hosts are its own");
    assert_eq!(told("github", &["api.github.com"], &header), None);
    assert_eq!(told("acme.zendesk.com", &[], &header), None);
    assert!(told("acme.zendesk.com", &["acme.zendesk.com"], &header).unwrap().contains("a host itself"));
}
