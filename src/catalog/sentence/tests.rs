use std::sync::Arc;

use super::*;
use crate::call::{Facts, OperationId, Recognition, Resource, ServiceName};

fn operation(id: &str, resource: Option<(&str, &str)>, args: Args) -> Operation {
    Operation {
        id: OperationId(id.into()),
        service: ServiceName(id.split(':').next().unwrap().into()),
        class: Class::Act,
        resource: resource.map(|(kind, id)| Resource { kind: kind.into(), id: id.to_owned() }),
        how: Recognition::Exact,
        facts: Facts { args, ..Facts::default() },
        because: Arc::from("catalog"),
        ai: None,
    }
}

fn said(id: &str, resource: Option<(&str, &str)>, args: Args) -> String {
    Catalog::shipped().unwrap().sentence(&operation(id, resource, args))
}

#[test]
fn common_operations_have_sentences_of_their_own() {
    let issue = said("github:issues/create", Some(("repo", "octo/hello")), Args::default());
    assert_eq!(issue, "Open an issue in octo/hello (GitHub)");
    let args = Args {
        recipients: Some(3),
        external: Some(1),
        domains: ["example.net".to_owned()].into(),
        ..Args::default()
    };
    assert_eq!(
        said("gmail:users.messages.send", Some(("mailbox", "me")), args),
        "Send an e-mail from mailbox me, to 3 recipients, 1 of them outside of the organisation (example.net) (Gmail)"
    );
    let args = Args { amount: Some(1250), currency: Some("usd".into()), ..Args::default() };
    assert_eq!(
        said("stripe:charges.refund", Some(("charge", "ch_1")), args),
        "Refund charge ch_1, 12.50 usd (Stripe)"
    );
}

#[test]
fn others_are_named_in_words() {
    let said = |id| said(id, None, Args::default());
    assert_eq!(said("github:issues/create-label"), "Create label (issues) (GitHub)");
    assert_eq!(said("aws-s3:PutObjectAcl"), "Put object acl (Amazon Simple Storage Service)");
    assert_eq!(said("api.example.net:"), "Do something that the catalog does not know (api.example.net)");
}

#[test]
fn names_of_the_agent_do_nothing_in_a_sentence() {
    let issue = said("github:issues/create", Some(("repo", "octo/\u{202e}olleh\u{1b}[2J")), Args::default());
    assert_eq!(issue, "Open an issue in octo/\\u{202e}olleh\\u{1b}[2J (GitHub)");
}

#[test]
fn sentences_are_for_operations_that_there_are() {
    let bad = [("nothing".to_owned(), "Do nothing".to_owned())].into();
    assert!(check(&bad, |_| false).is_err());
    let two_lines = [("a".to_owned(), "Do\nthis".to_owned())].into();
    assert!(check(&two_lines, |_| true).is_err());
    let good = [("a".to_owned(), "Do this to {resource}".to_owned())].into();
    assert!(check(&good, |_| true).is_ok());
}
