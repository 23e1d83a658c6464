//! The shipped data: that it is whole, and that it says what the services document.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::call::{Class, Recognition};

use super::super::index::Asked;
use super::super::request;
use super::super::service::Service;
use super::super::{Catalog, Provenance};
use super::{CATALOG, ask, brief, head, resource, some, strongest, with_header};

fn folders() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/data");
    let folders = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.join("service.toml").is_file()).collect()
}

#[test]
fn the_binary_has_what_the_folders_have() {
    let catalog = Catalog::shipped().unwrap();
    let folders = folders();
    assert_eq!(catalog.services().count(), folders.len());
    for folder in folders {
        let own = Service::own(&folder).unwrap_or_else(|error| panic!("{error}"));
        let shipped = catalog.named(&own.about.name).unwrap();
        let lines = |service: &Service| {
            service.table().unwrap().rows.iter().map(|r| r.place.clone()).collect::<Vec<_>>()
        };
        assert_eq!(lines(&own), lines(shipped), "{}", own.about.name);
        assert_eq!(own.about.hosts, shipped.about.hosts);
        assert!(!lines(&own).is_empty());
    }
}

#[test]
fn the_catalog_is_as_large_as_promised() {
    let catalog = Catalog::shipped().unwrap();
    let all: usize = catalog.services().map(|service| catalog.operations(&service.0).len()).sum();
    assert!(all >= 25_000, "{all} operations");
    assert!(catalog.services().count() >= 100);
}

#[test]
fn the_catalog_takes_little_of_the_binary_and_is_parsed_where_it_is_needed() {
    const { assert!(crate::catalog::shipped::BYTES < 10 << 20) };
    let catalog = Catalog::shipped().unwrap();
    let parsed = || -> Vec<String> {
        let names = catalog.services().filter(|name| catalog.named(&name.0).unwrap().is_parsed());
        names.map(|name| name.0.to_string()).collect()
    };
    assert_eq!(parsed(), Vec::<String>::new());
    ask(&catalog, &head("GET", "api.github.com", "/zen"));
    assert_eq!(parsed(), ["github"]);
}

/// Where the data comes from, and under which terms; what was read, where it was a file that was read.
#[test]
fn every_service_says_where_it_comes_from() {
    for folder in folders() {
        let about = Service::own(&folder).unwrap_or_else(|error| panic!("{error}")).about;
        let Provenance { source, date, licence, digest, .. } = about.provenance;
        for text in [&source, &date, &licence] {
            assert!(!text.is_empty(), "{}", folder.display());
        }
        let written = source.contains("by hand");
        let whole = digest.is_some_and(|digest| digest.len() == 64);
        assert!(whole || written, "{}: from `{source}`, without a digest", folder.display());
    }
}

/// A line changed without a word in `digests.txt` is a slip: run `regenerate.py`, or write an override.
#[test]
fn the_data_is_what_was_last_recorded() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/data");
    let recorded = std::fs::read_to_string(data.join("digests.txt")).unwrap();
    let mut wrong = Vec::new();
    for line in recorded.lines() {
        let (digest, file) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(data.join(file)).unwrap_or_default();
        let found =
            Sha256::digest(&bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        if found != digest {
            wrong.push(file);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
    assert_eq!(recorded.lines().count(), folders().len());
}

#[test]
fn ids_are_unique_and_their_own_service_s() {
    let catalog = Catalog::shipped().unwrap();
    let mut seen = HashMap::new();
    for service in catalog.services() {
        for entry in catalog.operations(&service.0) {
            assert!(entry.id.0.starts_with(&format!("{service}:")), "{}", entry.id);
            assert_eq!(seen.insert(entry.id.clone(), service.clone()), None, "{}", entry.id);
            assert_eq!(catalog.operation(&entry.id.0), Some((service.clone(), entry.class)));
        }
    }
}

/// Whatever stands in a template is found again by a request made from it.
#[test]
fn every_line_is_reachable() {
    let catalog = Catalog::shipped().unwrap();
    for service in &catalog.services {
        let table = service.table().unwrap();
        for row in table.rows.iter().filter(|row| row.how == Recognition::Exact) {
            let (verbs, template) = row.place.split_once(' ').unwrap();
            let verb = verbs.split(',').next().unwrap();
            let found = if let Some(name) = template.strip_prefix('#') {
                table.action(verb, name, &service.name)
            } else {
                let (host, path) = match template.strip_prefix("//") {
                    Some(rest) => rest.split_at(rest.find('/').unwrap()),
                    None => ("", template),
                };
                let path = fill(path);
                let (path, query) = path.split_once('?').map_or((path.as_str(), None), |(p, q)| (p, Some(q)));
                let other = Some(host).filter(|host| !host.is_empty());
                let mut headers = HeaderMap::new();
                for pair in query.into_iter().flat_map(|query| query.split('&')) {
                    if let Some(field) = pair.strip_prefix("header:") {
                        let field: HeaderName = field.trim_end_matches('=').parse().unwrap();
                        headers.insert(field, HeaderValue::from_static("x"));
                    }
                }
                let asked = Asked { verb, query: request::Query(query), headers: &headers };
                table
                    .find(other, &request::segments(path), &asked)
                    .map(|row| row.operation(&service.name, None))
            };
            let found = found.unwrap_or_else(|| panic!("{}: {}", service.name, row.place));
            assert!(found.class >= row.class, "{}: {}", service.name, row.place);
        }
    }
}

fn fill(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, from)) = rest.split_once('{') {
        let (name, after) = from.split_once('}').unwrap();
        out.push_str(before);
        out.push_str(if name.ends_with("...") { "x1/y2" } else { "x1" });
        rest = after;
    }
    out + rest
}

#[test]
fn the_classes_are_those_that_the_services_document() {
    let mut wrong = Vec::new();
    for line in CASES.lines().filter(|line| !line.is_empty()) {
        let [method, url, id, class] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (host, path) = url.split_at(url.find('/').unwrap());
        let found = strongest(method, host, path);
        if brief(&found) != format!("{id} {class} exact") {
            wrong.push(format!("{line}\n    got {}", brief(&found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const CASES: &str = "
GET    api.github.com/repos/octo/hello/issues?state=open          github:issues/list-for-repo               read
POST   api.github.com/repos/octo/hello/issues                     github:issues/create                      act
POST   api.github.com/repos/octo/hello/issues/7/comments          github:issues/create-comment              act
PUT    api.github.com/repos/octo/hello/collaborators/eve          github:repos/add-collaborator             delegate
DELETE api.github.com/repos/octo/hello/collaborators/eve          github:repos/remove-collaborator          act
POST   api.github.com/repos/octo/hello/keys                       github:repos/create-deploy-key            delegate
POST   api.github.com/repos/octo/hello/hooks                      github:repos/create-webhook               delegate
PUT    api.github.com/orgs/octo/memberships/eve                   github:orgs/set-membership-for-user       delegate
PUT    api.github.com/repos/o/r/contents/docs/a/b.md              github:repos/create-or-update-file-contents act
GET    api.github.com/repos/o/r/contents                          github:repos/get-content                  read
POST   api.github.com/markdown                                    github:markdown/render                    read
POST   api.github.com/repos/o/r/releases/generate-notes           github:repos/generate-release-notes       read
POST   uploads.github.com/repos/o/r/releases/1/assets?name=a.zip  github:repos/upload-release-asset         act
GET    github.com/o/r.git/info/refs?service=git-upload-pack       github:git/upload-pack-refs               read
GET    github.com/o/r/info/refs?service=git-receive-pack          github:git/receive-pack-refs              act
POST   github.com/o/r.git/git-upload-pack                         github:git/upload-pack                    read
POST   github.com/o/r.git/git-receive-pack                        github:git/receive-pack                   act
POST   github.com/login/oauth/access_token                        github:oauth/exchange-code                delegate
POST   slack.com/api/chat.postMessage                             slack:chat.postMessage                    act
GET    slack.com/api/chat.postMessage?channel=C1&text=hi          slack:chat.postMessage                    act
POST   slack.com/api/conversations.list                           slack:conversations.list                  read
POST   www.slack.com/api/conversations.invite                     slack:conversations.invite                delegate
POST   slack.com/api/conversations.kick                           slack:conversations.kick                  act
POST   slack.com/api/files.getUploadURLExternal                   slack:files.getUploadURLExternal          act
POST   slack.com/api/admin.users.session.reset                    slack:admin.users.session.reset           act
POST   hooks.slack.com/services/T1/B1/xyz                         slack:incomingWebhooks.post               act
GET    api.stripe.com/v1/charges/search?query=x                   stripe:charges.search                     read
GET    api.stripe.com/v1/charges/ch_1                             stripe:charges.retrieve                   read
POST   api.stripe.com/v1/customers                                stripe:customers.create                   act
POST   api.stripe.com/v1/refunds                                  stripe:refunds.create                     act
POST   api.stripe.com/v1/webhook_endpoints                        stripe:webhookEndpoints.create            delegate
DELETE api.stripe.com/v1/webhook_endpoints/we_1                   stripe:webhookEndpoints.del               act
POST   api.stripe.com/v1/account_links                            stripe:accountLinks.create                delegate
POST   api.stripe.com/v1/invoices/create_preview                  stripe:invoices.createPreview             read
POST   www.googleapis.com/calendar/v3/calendars/primary/events    google-calendar:events.insert             act
POST   www.googleapis.com/calendar/v3/calendars/primary/acl       google-calendar:acl.insert                delegate
POST   www.googleapis.com/calendar/v3/freeBusy                    google-calendar:freebusy.query            read
POST   www.googleapis.com/calendar/v3/calendars/a/events/watch    google-calendar:events.watch              delegate
POST   gmail.googleapis.com/gmail/v1/users/me/messages/send       gmail:users.messages.send                 act
POST   www.googleapis.com/upload/gmail/v1/users/me/messages/send  gmail:users.messages.send                 act
POST   gmail.googleapis.com/gmail/v1/users/me/settings/delegates  gmail:users.settings.delegates.create     delegate
POST   gmail.googleapis.com/gmail/v1/users/me/settings/cse/keypairs/k1:disable gmail:users.settings.cse.keypairs.disable act
GET    www.googleapis.com/drive/v3/files                          google-drive:files.list                   read
POST   www.googleapis.com/upload/drive/v3/files?uploadType=media  google-drive:files.create                 act
POST   www.googleapis.com/drive/v3/files/f1/permissions           google-drive:permissions.create           delegate
DELETE www.googleapis.com/drive/v3/files/f1/permissions/p1        google-drive:permissions.delete           act
POST   www.googleapis.com/drive/v3/files/f1/copy                  google-drive:files.copy                   act
PUT    s3.eu-west-1.amazonaws.com/bucket/a/key                    aws-s3:PutObject                          act
PUT    bucket.s3.eu-west-1.amazonaws.com/a/key                    aws-s3:PutObject                          act
PUT    bucket.s3.amazonaws.com/key?partNumber=1&uploadId=u        aws-s3:UploadPart                         act
PUT    bucket.s3.amazonaws.com/key?acl                            aws-s3:PutObjectAcl                       delegate
PUT    bucket.s3.amazonaws.com/key?acl&partNumber=1&uploadId=u    aws-s3:PutObjectAcl                       delegate
GET    bucket.s3.amazonaws.com/key?uploadId=u                     aws-s3:ListParts                          read
DELETE bucket.s3.amazonaws.com/key                                aws-s3:DeleteObject                       act
DELETE bucket.s3.amazonaws.com/key?uploadId=u                     aws-s3:AbortMultipartUpload               act
POST   oauth2.googleapis.com/token                                google-oauth:token                        delegate
POST   oauth2.googleapis.com/revoke                               google-oauth:revoke                       act
POST   api.openai.com/v1/chat/completions                         openai:chat.completions.create            read
POST   api.openai.com/v1/embeddings                               openai:embeddings.create                  read
POST   api.openai.com/v1/responses                                openai:responses.create                   read
POST   api.openai.com/v1/threads/t1/runs                          openai:threads.runs.create                delegate
POST   api.openai.com/v1/organization/invites                     openai:organization.invites.create        delegate
POST   api.openai.com/v1/files                                    openai:files.create                       act
POST   api.anthropic.com/v1/messages                              anthropic:messages.create                 read
POST   api.anthropic.com/v1/messages/count_tokens                 anthropic:messages.count_tokens           read
POST   api.anthropic.com/v1/messages/batches                      anthropic:messages.batches.create         act
POST   api.anthropic.com/v1/organizations/api_keys/k1             anthropic:organization.api_keys.update    delegate
";

#[test]
fn a_copy_in_s3_is_told_by_its_header_field() {
    let put =
        |target: &str| with_header(head("PUT", "s3.amazonaws.com", target), "x-amz-copy-source", "/b/k");
    let told = |asked| CATALOG.with(|catalog| brief(ask(catalog, &asked).strongest()));
    assert_eq!(told(put("/b/k")), "aws-s3:CopyObject act exact");
    assert_eq!(told(put("/b/k?partNumber=1&uploadId=u")), "aws-s3:UploadPartCopy act exact");
    assert_eq!(told(put("/b/k?acl")), "aws-s3:PutObjectAcl delegate exact");
}

#[test]
fn what_the_head_does_not_tell_is_never_a_read() {
    for (host, path) in [
        ("api.github.com", "/graphql"),
        ("www.googleapis.com", "/batch/drive/v3"),
        ("gmail.googleapis.com", "/batch"),
        ("www.googleapis.com", "/batch/calendar/v3"),
    ] {
        let found = strongest("POST", host, path);
        assert!(found.class >= Class::Act, "{host}{path}");
        assert_eq!(found.how, Recognition::Unknown);
        assert_eq!(found.id.to_string(), format!("unknown:{}", found.class));
    }
}

#[test]
fn resources_are_taken_from_the_path() {
    let of = |method, host, path| resource(&strongest(method, host, path));
    assert_eq!(of("GET", "api.github.com", "/repos/octo/hello/issues"), some("repo", "octo/hello"));
    assert_eq!(of("POST", "github.com", "/octo/hello.git/git-receive-pack"), some("repo", "octo/hello"));
    assert_eq!(of("POST", "github.com", "/octo/hello/git-receive-pack"), some("repo", "octo/hello"));
    assert_eq!(of("GET", "api.stripe.com", "/v1/customers/cus_1"), some("customer", "cus_1"));
    assert_eq!(
        of("POST", "www.googleapis.com", "/calendar/v3/calendars/a%40example.com/events"),
        some("calendar", "a@example.com")
    );
    assert_eq!(of("GET", "www.googleapis.com", "/drive/v3/files/1AbC?alt=media"), some("file", "1AbC"));
    assert_eq!(of("GET", "slack.com", "/api/conversations.history?channel=C1"), some("channel", "C1"));
}
