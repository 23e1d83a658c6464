//! What the catalog tells of an operation beside its name.

use std::fs;

use super::*;
use crate::call::{Args, Direction, Facts};

fn told(request: &str, headers: &[(&str, &str)], body: &str) -> Operation {
    let (method, place) = request.split_once(' ').unwrap();
    let (host, path) = place.split_once('/').unwrap();
    let mut asked = head(method, host, &format!("/{path}"));
    for (name, value) in headers {
        asked = with_header(asked, name, value);
    }
    CATALOG.with(|catalog| ask_with(catalog, &asked, body.as_bytes()).strongest().clone())
}

fn labels(facts: &Facts) -> Vec<&str> {
    facts.labels.iter().map(AsRef::as_ref).collect()
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

#[test]
fn a_repository_lies_in_its_owner_and_holds_source_code() {
    let file = told(
        "PUT api.github.com/repos/Octo/Hello/contents/a/b.rs",
        JSON,
        r#"{"message":"m","content":"eA==","branch":"refs/heads/main"}"#,
    );
    assert_eq!(resource(&file), some("repo", "octo/hello"));
    assert_eq!(file.facts.ancestors.len(), 1);
    assert_eq!((&*file.facts.ancestors[0].kind, &*file.facts.ancestors[0].id), ("owner", "octo"));
    assert_eq!(labels(&file.facts), ["source-code"]);
    assert_eq!(file.facts.args.branch.as_deref(), Some("main"));
    assert_eq!(file.direction(), Direction::Out);
    let issues = told("GET api.github.com/repos/octo/hello/issues", &[], "");
    assert_eq!(labels(&issues.facts), ["source-code", "untrusted"]);
    assert_eq!(issues.direction(), Direction::In);
}

#[test]
fn visibility_is_told_and_the_wider_of_two_counts() {
    for (body, visibility, unclear) in [
        (r#"{"name":"x","private":true}"#, Some("private"), false),
        (r#"{"name":"x","private":false}"#, Some("public"), false),
        (r#"{"name":"x","private":true,"private":false}"#, Some("public"), false),
        (r#"{"name":"x","private":true,"visibility":"Public"}"#, Some("public"), false),
        (r#"{"name":"x"}"#, None, false),
        (r#"{"name":"x","visibility":"private","visibility":"public"}"#, None, true),
    ] {
        let args = told("POST api.github.com/user/repos", JSON, body).facts.args;
        assert_eq!((args.visibility.as_deref(), args.unclear), (visibility, unclear), "{body}");
    }
}

#[test]
fn amounts_in_the_currency_itself_have_as_many_decimals_as_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pay");
    fs::create_dir_all(&folder).unwrap();
    let about = "format = 1\nname = \"pay\"\ntitle = \"Pay\"\nprotocol = \"rest\"\nhosts = [\"pay.example\"]\n[provenance]\n\
                 source = \"us\"\nversion = \"1\"\ndate = \"2026-01-01\"\nlicence = \"none\"\n";
    fs::write(folder.join("service.toml"), about).unwrap();
    fs::write(folder.join("operations.tsv"), "#remit-operations 1\nPOST\t/pay\tpay\tact\t-\n").unwrap();
    let facts = "[[fact]]\noperations = [\"pay\"]\namount = [\"amount\"]\nunit = \"major\"\ncurrency = [\"currency\"]\n";
    fs::write(folder.join("facts.toml"), facts).unwrap();
    let catalog = Catalog::load(&[dir.path().to_owned()]).unwrap();
    for (amount, currency, smallest) in [
        ("12.5", "EUR", 1_250),
        ("12.501", "EUR", 1_251),
        ("12.5", "JPY", 13),
        ("500", "JPY", 500),
        ("1.5", "KWD", 1_500),
        ("1.0005", "KWD", 1_001),
    ] {
        let asked = with_header(head("POST", "pay.example", "/pay"), "content-type", FORM[0].1);
        let body = format!("amount={amount}&currency={currency}");
        let told = ask_with(&catalog, &asked, body.as_bytes()).strongest().facts.args.amount;
        assert_eq!(told, Some(smallest), "{amount} {currency}");
    }
}

#[test]
fn amounts_are_the_largest_that_is_said() {
    for (body, amount, unclear) in [
        ("amount=1999&currency=EUR&source=tok", Some(1999), false),
        ("amount=5&amount=100000&currency=eur", Some(100_000), false),
        ("amount=%31%30&currency=eur", Some(10), false),
        ("currency=eur", None, false),
        ("amount=1e9&currency=eur", None, true),
        ("amount=99999999999999999999&currency=eur", None, true),
    ] {
        let charge = told("POST api.stripe.com/v1/charges", FORM, body);
        let Args { amount: found, unclear: not_clear, currency, .. } = charge.facts.args;
        assert_eq!((found, not_clear, currency.as_deref()), (amount, unclear, Some("eur")), "{body}");
    }
    let by_query = told("POST api.stripe.com/v1/charges?amount=7&currency=usd", FORM, "amount=3");
    assert_eq!(by_query.facts.args.amount, Some(7));
}

#[test]
fn recipients_are_counted_wherever_they_stand() {
    let mail = "To: Ann <ann@example.org>, bob@partner.test\r\nCc: \"Doe, Jane\"\r\n <jane@partner.test>\r\nBcc: x@evil.test\r\n\r\nTo: not@counted.test\r\n";
    let packed = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE, mail);
    let body = format!(r#"{{"raw":"{packed}"}}"#);
    let sent = told("POST gmail.googleapis.com/gmail/v1/users/me/messages/send", JSON, &body).facts;
    assert_eq!((sent.args.recipients, sent.args.external, sent.args.unclear), (Some(4), Some(4), false));
    let domains: Vec<_> = sent.args.domains.iter().map(String::as_str).collect();
    assert_eq!(domains, ["evil.test", "example.org", "partner.test"]);
    let json = serde_json::to_string(&sent).unwrap();
    assert!(!json.contains("ann") && !json.contains("jane"), "addresses are nobody's business: {json}");
    let garbage = told("POST gmail.googleapis.com/gmail/v1/users/me/messages/send", JSON, r#"{"raw":"%%"}"#);
    assert!(garbage.facts.args.unclear);
    let ses = told(
        "POST email.eu-west-1.amazonaws.com/",
        FORM,
        "Action=SendEmail&Version=2010-12-01&Destination.ToAddresses.member.1=a%40x.test&Destination.BccAddresses.member.1=b%40y.test",
    );
    assert_eq!((brief(&ses).as_str(), ses.facts.args.recipients), ("aws-ses:SendEmail act exact", Some(2)));
    let event = told(
        "POST www.googleapis.com/calendar/v3/calendars/team/events",
        JSON,
        r#"{"attendees":[{"email":"a@x.test"},{"email":"A@x.test"},{"email":"b@y.test"}]}"#,
    );
    assert_eq!(event.facts.args.recipients, Some(2));
}

#[test]
fn every_request_of_a_batch_keeps_its_own_facts() {
    let part = |to: &str| {
        let raw =
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE, format!("To: {to}\r\n\r\nx"));
        format!(
            "--b\r\nContent-Type: application/http\r\n\r\nPOST /gmail/v1/users/me/messages/send HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{{\"raw\":\"{raw}\"}}\r\n"
        )
    };
    let body = part("a@example.org") + &part("x@evil.test") + "--b--";
    let asked = with_header(
        head("POST", "gmail.googleapis.com", "/batch/gmail/v1"),
        "content-type",
        "multipart/mixed; boundary=b",
    );
    let found = CATALOG.with(|catalog| ask_with(catalog, &asked, body.as_bytes()));
    let domains: Vec<_> = found.iter().flat_map(|one| one.facts.args.domains.iter().cloned()).collect();
    assert_eq!(domains, ["example.org", "evil.test"]);
}

#[test]
fn an_upload_is_not_looked_into_for_what_its_head_says() {
    let upload =
        with_header(head("PUT", "data.s3.eu-west-1.amazonaws.com", "/a.csv"), "x-amz-acl", "public-read");
    CATALOG.with(|catalog| {
        assert_eq!(catalog.wants_body(&upload), None);
        let found = ask(catalog, &upload).strongest().clone();
        assert_eq!(found.facts.args.visibility.as_deref(), Some("public-read"));
        assert!(!found.facts.args.unclear);
    });
}

#[test]
fn a_resource_in_the_body_is_told_unless_it_is_said_twice() {
    let post = |body| told("POST slack.com/api/chat.postMessage", JSON, body);
    assert_eq!(resource(&post(r#"{"channel":"C1","text":"hi"}"#)), some("channel", "C1"));
    let twice = post(r#"{"channel":"C1","channel":"C2","text":"hi"}"#);
    assert_eq!((resource(&twice), twice.facts.args.unclear), (None, true));
    let object = told("GET data.s3.eu-west-1.amazonaws.com/a/b.csv", &[], "");
    let by_path = told("GET s3.eu-west-1.amazonaws.com/data/a/b.csv", &[], "");
    for one in [&object, &by_path] {
        assert_eq!(resource(one), some("object", "data/a/b.csv"), "{}", one.id);
        assert_eq!(&*one.facts.ancestors[0].id, "data");
    }
}

#[test]
fn a_prompt_goes_out() {
    let body = r#"{"model":"m-1","messages":[]}"#;
    let prompt = told("POST api.anthropic.com/v1/messages", JSON, body);
    assert_eq!(
        (prompt.class, prompt.direction(), resource(&prompt)),
        (Class::Read, Direction::Out, some("model", "m-1"))
    );
}

#[test]
fn operators_label_their_own_and_name_their_domains() {
    let dir = tempfile::tempdir().unwrap();
    let text = "own_domains = [\"example.org\"]\n[[label]]\nservice = \"github\"\nkind = \"owner\"\nid = \"Octo\"\nlabels = [\"crown-jewels\"]\n\
                [[label]]\nservice = \"github\"\nkind = \"repo\"\nid = \"other/pay*\"\nlabels = [\"financial\"]\n";
    fs::write(dir.path().join("labels.toml"), text).unwrap();
    let catalog = Catalog::load(&[dir.path().to_owned()]).unwrap();
    let of = |path: &str| ask(&catalog, &head("GET", "api.github.com", path)).strongest().facts.clone();
    assert_eq!(labels(&of("/repos/octo/hello/branches")), ["crown-jewels", "source-code"]);
    assert_eq!(labels(&of("/repos/OTHER/payroll/branches")), ["financial", "source-code"]);
    assert_eq!(labels(&of("/repos/other/hello/branches")), ["source-code"]);
    let event = with_header(
        head("POST", "www.googleapis.com", "/calendar/v3/calendars/c/events"),
        "content-type",
        "application/json",
    );
    let body = br#"{"attendees":[{"email":"a@example.org"},{"email":"b@mail.example.org"},{"email":"c@notexample.org"},{"email":"room-7"}]}"#;
    let args = ask_with(&catalog, &event, body).strongest().facts.args.clone();
    assert_eq!((args.recipients, args.external), (Some(4), Some(2)));
    for bad in ["own_domains = [\"org\"]", "[[label]]\nservice = \"x\"", "nonsense = 1"] {
        fs::write(dir.path().join("labels.toml"), bad).unwrap();
        let error = Catalog::load(&[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("labels.toml"), "{bad}: {error}");
    }
}

#[test]
fn stored_graphql_documents_are_unknown_unless_the_operator_tells_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("shop");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("service.toml"), "format = 1\nname = \"shop\"\ntitle = \"Shop\"\nprotocol = \"graphql\"\nhosts = [\"shop.test\"]\n[provenance]\nsource = \"ours\"\nversion = \"1\"\ndate = \"2026-11-25\"\nlicence = \"ours\"\n").unwrap();
    fs::write(
        own.join("operations.tsv"),
        "#remit-operations 1\nQUERY\t#viewer\tviewer\tread\t-\nMUTATION\t#pay\tpay\tact\t-\n",
    )
    .unwrap();
    let stored = |id: &str, document: &str| {
        format!("[[persisted]]\nservice = \"shop\"\nid = \"{id}\"\ndocument = \"{document}\"\n")
    };
    fs::write(
        dir.path().join("labels.toml"),
        stored("aaa", "query { viewer { id } }") + &stored("bbb", "mutation { pay { id } }"),
    )
    .unwrap();
    let catalog = Catalog::load(&[dir.path().to_owned()]).unwrap();
    let by = |body: &str| {
        let asked = with_header(head("POST", "shop.test", "/graphql"), "content-type", "application/json");
        brief(ask_with(&catalog, &asked, body.as_bytes()).strongest())
    };
    let apq = |hash: &str| {
        format!(r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}}}"#)
    };
    assert_eq!(by(&apq("aaa")), "shop:viewer read exact");
    assert_eq!(by(&apq("bbb")), "shop:pay act exact");
    assert_eq!(by(&apq("ccc")), "unknown:act act unknown");
    assert_eq!(by(r#"{"documentId":"aaa"}"#), "shop:viewer read exact");
    assert_eq!(by(r#"{"documentId":"aaa","id":"ccc"}"#), "unknown:act act unknown");
    assert_eq!(by(r#"{"id":7}"#), "unknown:act act unknown");
    let query = r"/graphql?extensions=%7B%22persistedQuery%22%3A%7B%22sha256Hash%22%3A%22aaa%22%7D%7D";
    assert_eq!(brief(ask(&catalog, &head("GET", "shop.test", query)).strongest()), "shop:viewer read exact");
}

#[test]
fn shipped_facts_are_of_operations_that_exist() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/data");
    let mut files = 0;
    for folder in fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(text) = fs::read_to_string(folder.join("facts.toml")) else { continue };
        files += 1;
        let service = folder.file_name().unwrap().to_str().unwrap().to_owned();
        crate::catalog::facts::FactFile::parse(&text).unwrap_or_else(|fault| panic!("{service}: {fault:?}"));
        let table: toml::Table = text.parse().unwrap();
        let known = CATALOG.with(|catalog| catalog.operations(&service));
        for pattern in
            table["fact"].as_array().unwrap().iter().flat_map(|fact| fact["operations"].as_array().unwrap())
        {
            let pattern = format!("{service}:{}", pattern.as_str().unwrap());
            let fits =
                |id: &str| pattern.strip_suffix('*').map_or(pattern == id, |start| id.starts_with(start));
            assert!(known.iter().any(|entry| fits(&entry.id.0)), "{service}: no operation is `{pattern}`");
        }
    }
    assert!(files >= 10, "only {files} files");
}
