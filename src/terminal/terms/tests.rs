use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    terms: Terms,
}

fn body(arguments: &[&str], ttl: Option<Duration>) -> Value {
    let line = Line::try_parse_from(std::iter::once(&"x").chain(arguments)).unwrap();
    let mut body = json!({});
    line.terms.add_to(&mut body, ttl);
    body
}

#[test]
fn what_is_said_becomes_the_body() {
    let arguments = [
        "--grant",
        "class=read,service=github",
        "--grant",
        "service=slack,resource=github/repo/octo/*",
        "--budget",
        "acts=5,bytes=10M,time=10m",
        "--bind",
        "x509-svid",
    ];
    let expected = json!({
        "grant": {"classes": ["read"], "services": ["github", "slack"], "resources": ["github/repo/octo/*"]},
        "budget": {"acts": 5, "bytes": 10 * 1024 * 1024},
        "bind": "x509-svid",
        "ttl_s": 600,
    });
    assert_eq!(body(&arguments, Some(Duration::from_secs(900))), expected);
    assert_eq!(body(&[], None), json!({}));
    let linked = body(&["--grant", "class=act,template:repo-writer=github/repo/octo/hello"], None);
    let links = json!({"classes": ["act"], "links": ["repo-writer=github/repo/octo/hello"]});
    assert_eq!(linked, json!({"grant": links}));
    let money = body(&["--budget", "acts=1,money=99.5EUR,money=500JPY", "--budget", "money=0.001KWD"], None);
    assert_eq!(money, json!({"budget": {"acts": 1, "money": {"eur": 9950, "jpy": 500, "kwd": 1}}}));
    assert_eq!(body(&["--budget", "time=1h"], Some(Duration::from_secs(60))), json!({"ttl_s": 60}));
}

#[test]
fn mistakes_are_named() {
    for (wrong, told) in [
        (["--grant", "github"], "is not `key=value`"),
        (["--grant", "host=github"], "none of class"),
        (["--grant", "template:repo-writer=github/*"], "is no link of a policy template"),
        (["--grant", "template:=github"], "is no link of a policy template"),
        (["--budget", "euros=1"], "none of calls"),
        (["--budget", "money=1"], "not an amount of money"),
        (["--budget", "money=1.005USD"], "2 digits behind the point"),
        (["--budget", "money=1.5JPY"], "0 digits behind the point"),
        (["--budget", "money=1 dollar"], "no currency"),
        (["--budget", "acts=many"], "not an amount"),
        (["--budget", "bytes=99999999999G"], "not an amount"),
        (["--bind", "hope"], "x509-svid"),
    ] {
        let error = Line::try_parse_from(std::iter::once("x").chain(wrong)).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
