//! One request, several readings: the stronger one counts.

use std::borrow::Cow;

use proptest::prelude::*;

use crate::call::{Class, Head, Operations, Recognition};

use super::super::Catalog;
use super::super::content::Content;
use super::super::request::{Overrides, Query, Said, lenient, segments};
use super::{CATALOG, ask, ask_with, brief, head, resource, some, strongest, with_header};

fn shipped(head: &Head) -> Operations {
    ask(&Catalog::shipped().unwrap(), head)
}

#[test]
fn an_override_counts_where_it_is_stronger() {
    let path = "/repos/octo/hello/collaborators/eve";
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "x-method-override"] {
        for value in ["PUT", " put ", "GET, PUT"] {
            let found = shipped(&with_header(head("GET", "api.github.com", path), name, value));
            assert_eq!(
                brief(found.strongest()),
                "github:repos/add-collaborator delegate exact",
                "{name}: {value}"
            );
        }
    }
    for query in ["_method=PUT", "a=b&_METHOD=put", "%5Fmethod=PUT", "a;X-HTTP-Method-Override=PUT"] {
        let found = shipped(&head("GET", "api.github.com", &format!("{path}?{query}")));
        assert_eq!(found.class(), Class::Delegate, "{query}");
    }
}

#[test]
fn a_path_in_a_header_counts_as_well() {
    for name in ["X-Original-URL", "X-Rewrite-URL"] {
        let sent = head("PUT", "api.github.com", "/repos/octo/hello/subscription");
        let found = shipped(&with_header(sent, name, "/repos/octo/hello/collaborators/eve?x=1"));
        assert_eq!(brief(found.strongest()), "github:repos/add-collaborator delegate exact", "{name}");
    }
}

#[test]
fn an_override_never_weakens() {
    for to in ["GET", "HEAD", "OPTIONS", "NONSENSE", ""] {
        let sent = head("PUT", "api.github.com", "/repos/octo/hello/collaborators/eve");
        let found = shipped(&with_header(sent, "X-HTTP-Method-Override", to));
        assert_eq!(brief(found.strongest()), "github:repos/add-collaborator delegate exact", "{to}");
        let unknown = shipped(&with_header(head("POST", "nobody.example", "/x"), "X-HTTP-Method", to));
        assert_eq!(unknown.class(), Class::Act, "{to}");
    }
}

#[test]
fn both_readings_of_an_override_must_be_allowed() {
    let sent = head("POST", "api.stripe.com", "/v1/customers/cus_1");
    let ids: Vec<String> = shipped(&with_header(sent, "x-http-method-override", "DELETE"))
        .iter()
        .map(|operation| operation.id.to_string())
        .collect();
    assert_eq!(ids, ["stripe:customers.update", "stripe:customers.del"]);
}

#[test]
fn more_overrides_than_are_read_are_the_strongest_thing() {
    let sent = head("GET", "nobody.example", "/");
    let found = shipped(&with_header(sent, "X-HTTP-Method-Override", "GET,HEAD,OPTIONS,A,B,C"));
    assert_eq!((found.class(), found.strongest().how), (Class::Delegate, Recognition::Unknown));
    let unreadable = Overrides::of(
        &http::HeaderMap::new(),
        Query(Some("_method=a&_method=b&_method=A")),
        &Content::default(),
    );
    assert_eq!(unreadable.verbs, ["A", "B"]);
    assert!(!unreadable.more);
}

#[test]
fn a_lower_case_method_is_read_both_ways() {
    let found = strongest("put", "api.github.com", "/repos/octo/hello/collaborators/eve");
    assert_eq!(found.class, Class::Delegate);
    assert_eq!(strongest("get", "nobody.example", "/").class, Class::Act);
}

#[test]
fn a_head_is_a_get() {
    let found = strongest("HEAD", "api.github.com", "/repos/octo/hello");
    assert_eq!(brief(&found), "github:repos/get read exact");
}

#[test]
fn slashes_and_letter_case_do_not_hide_an_operation() {
    for path in [
        "/repos/octo/hello/collaborators/eve/",
        "//repos//octo/hello///collaborators/eve",
        "/Repos/octo/hello/COLLABORATORS/eve",
        "/repos/octo/hello/%63ollaborators/eve",
    ] {
        assert_eq!(strongest("PUT", "api.github.com", path).class, Class::Delegate, "{path}");
    }
    assert_eq!(strongest("PUT", "API.GitHub.com.", "/repos/o/r/collaborators/eve").class, Class::Delegate);
}

#[test]
fn paths_that_a_lenient_server_reads_otherwise_count_as_that_too() {
    for path in [
        "/repos/octo/hello/%2563ollaborators/eve",
        "/repos/octo/hello/%252563ollaborators/eve",
        "/repos/octo/hello/collaborators;v=1/eve",
        "/repos/octo/hello%2Fcollaborators/eve",
        "/repos/octo/hello/issues/%252e%252e/collaborators/eve",
    ] {
        let found = strongest("PUT", "api.github.com", path);
        assert_eq!(found.class, Class::Delegate, "{path}");
    }
}

#[test]
fn an_encoded_slash_in_an_id_adds_no_reading_of_its_own() {
    let found = shipped(&head("GET", "api.github.com", "/repos/octo/hello/branches/feature%2Fx"));
    assert_eq!(found.iter().map(brief).collect::<Vec<_>>(), ["github:repos/get-branch read exact"]);
}

#[test]
fn parts_of_an_id_cannot_borrow_from_each_other() {
    let found = shipped(&head("GET", "api.github.com", "/repos/a%2Fb/c"));
    assert_eq!(resource(found.iter().next().unwrap()), some("repo", "a%2fb/c"));
}

#[test]
fn ids_of_one_thing_are_one_id() {
    let found = strongest("GET", "api.github.com", "/repos/Octo/HELLO");
    assert_eq!(resource(&found), some("repo", "octo/hello"));
    let stripe = strongest("GET", "api.stripe.com", "/v1/customers/cus_Ab");
    assert_eq!(resource(&stripe), some("customer", "cus_Ab"));
}

#[test]
fn a_query_names_a_resource_only_where_no_body_can_gainsay_it() {
    let of =
        |method, query: &str| resource(&strongest(method, "slack.com", &format!("/api/chat.delete?{query}")));
    assert_eq!(of("GET", "channel=C1"), some("channel", "C1"));
    // The catalog says where else this operation has it, so the body was looked at.
    assert_eq!(of("POST", "channel=C1"), some("channel", "C1"));
    let by_both = with_header(
        head("POST", "slack.com", "/api/chat.delete?channel=C1"),
        "content-type",
        "application/json",
    );
    CATALOG.with(|catalog| {
        for body in [&br#"{"channel":"C2"}"#[..], b"{\"channel\":", br#"{"channel":"C1","channel":"C2"}"#] {
            assert_eq!(resource(ask_with(catalog, &by_both, body).strongest()), None);
        }
    });
    assert_eq!(resource(&strongest("POST", "slack.com", "/api/files.delete?channel=C1")), None);
    assert_eq!(of("GET", "channel=C1&channel=C2"), None);
    assert_eq!(of("GET", "channel=C1&channel=C1"), some("channel", "C1"));
}

#[test]
fn a_query_that_says_two_things_is_the_stronger_one() {
    for query in [
        "service=git-upload-pack&service=git-receive-pack",
        "service=git-receive-pack;service=git-upload-pack",
    ] {
        let found = strongest("GET", "github.com", &format!("/o/r.git/info/refs?{query}"));
        assert_eq!(brief(&found), "github:git/receive-pack-refs act exact", "{query}");
    }
}

#[test]
fn query_values_are_decoded() {
    assert_eq!(Query(Some("a=b+c%20d")).get("a"), Said::Once("b c d".into()));
    assert_eq!(Query(Some("a=1&a=2")).get("a"), Said::Differently);
    assert_eq!(Query(Some("a&=x&&b=")).get("b"), Said::Once("".into()));
    assert_eq!(Query(None).get("a"), Said::Nothing);
}

#[test]
fn segments_are_decoded_once_and_odd_bytes_stay() {
    let of = |path| segments(path).into_iter().map(Cow::into_owned).collect::<Vec<_>>();
    assert_eq!(of("/a%20b//%2541/%FF/"), ["a b", "%41", "%FF"]);
    assert_eq!(lenient(&segments("/plain/path")), None);
    assert_eq!(lenient(&segments("/a/%252e%252e/b;c")).unwrap(), ["b"]);
}

#[test]
fn services_that_share_a_host_are_told_apart_by_their_paths() {
    let of = |path| strongest("GET", "www.googleapis.com", path).service.to_string();
    assert_eq!(of("/calendar/v3/unheard/of"), "google-calendar");
    assert_eq!(of("/drive/v3/unheard/of"), "google-drive");
    assert_eq!(of("/gmail/v1/unheard/of"), "gmail");
    assert_eq!(of("/Drive/V3/files"), "google-drive");
    assert_eq!(of("/drive/v30/files"), "google-oauth");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// INVARIANT I7, over anything that can be a request.
    #[test]
    fn what_is_not_understood_is_never_a_read(
        method in "[A-Za-z!#$%&'*+.^_`|~-]{1,12}|GET|POST|PUT|DELETE|HEAD|PATCH",
        host in prop::sample::select(vec!["api.github.com", "github.com", "slack.com", "www.googleapis.com", "nobody.example"]),
        path in "(/([a-z.:;%]{0,3}(%[0-9a-fA-F]{2}){0,2}|repos|api|chat\\.postMessage|drive|v3|files|issues|\\PC{0,4})){0,9}",
        query in prop::option::of("[ -~]{0,20}|_method=[A-Z]{0,6}"),
        header in prop::option::of("[ -~]{0,12}"),
    ) {
        let raw = query.map_or(format!("/{path}"), |query| format!("/{path}?{query}"));
        // What is no target is refused long before.
        if let Ok(target) = crate::call::Target::parse(&raw) {
            let mut asked = head(&method, host, "/");
            asked.target = target;
            if let Some(header) = header {
                asked = with_header(asked, "x-http-method-override", &header);
            }
            let found = SHIPPED.with(|catalog| ask(catalog, &asked));
            let plain = found.iter().next().unwrap();
            prop_assert!(plain.how != Recognition::Unknown || plain.class > Class::Read);
            prop_assert!(found.iter().all(|one| !one.because.is_empty()));
            prop_assert!(found.class() >= plain.class);
        }
    }
}

thread_local! {
    static SHIPPED: Catalog = Catalog::shipped().unwrap();
}
