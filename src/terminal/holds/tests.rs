use super::*;

fn hold() -> Value {
    json!({
        "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "state": "waiting", "until": "2026-11-26T10:00:00Z", "task": "01ARZ3NDEKTSV4RRFFQ69G5FAA",
        "digest": "sha256:00", "wants": {"security": 2}, "missing": {"security": 1},
        "votes": [{"by": "oidc:alice", "at": "2026-11-26T09:00:00Z", "approves": true, "groups": ["security"], "note": "fine"}],
        "card": {
            "does": [{"sentence": "Open an issue in octo/hello (GitHub)", "operation": "github:issues/create", "class": "act", "resource": "repo octo/hello"}],
            "method": "POST", "url": "https://api.github.com/repos/octo/hello/issues",
            "headers": [["accept", "application/json"]],
            "body": {"media": "application/json", "bytes": 20, "text": "title: \"x\"\nbody:\n  │ evil\u{1b}[2J\u{202e}", "cut": true},
            "reasons": [{"policy": "acts-need-a-person", "reason": "acts go out only if …"}],
            "intent": "triage", "on_behalf_of": "", "chain": ["spiffe://example.org/agent/a", "spiffe://example.org/agent/b"],
            "touched": [{"operation": "github:issues/list", "class": "read", "calls": 3}],
            "difference": {"from": "01ARZ3NDEKTSV4RRFFQ69G5FAC", "changed": ["/title"], "added": ["/labels/0"], "removed": []},
            "warnings": ["be careful"]
        }
    })
}

#[test]
fn a_card_says_everything_and_drives_no_terminal() {
    let shown = card::shown(&hold(), Paint::plain());
    for said in [
        "Open an issue in octo/hello (GitHub)  [act]",
        "! be careful",
        "a → spiffe://example.org/agent/b",
        "2 of security",
        "acts-need-a-person  acts go out only if …",
        "github:issues/list (3 × read)",
        "~/title +/labels/0  (since hold 01ARZ3NDEKTSV4RRFFQ69G5FAC)",
        "by oidc:alice: fine",
        "POST https://api.github.com/repos/octo/hello/issues",
        "    title: \"x\"",
        "evil\\u{1b}[2J\\u{202e}",
        "not all of it is shown",
    ] {
        assert!(shown.contains(said), "`{said}` is not in:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn a_list_tells_what_waits_and_what_is_wanted() {
    let mut one = hold();
    one["summary"] = json!("Open an issue in octo/hello (GitHub)");
    one["agent"] = json!("spiffe://example.org/agent/coder");
    let listed = listed(&json!({ "holds": [one] }));
    assert!(listed.contains("Open an issue in octo/hello (GitHub)  coder  1 of security"), "{listed}");
    assert_eq!(super::listed(&json!({ "holds": [] })), "no call waits for a person\n");
}

#[test]
fn what_was_typed_as_an_id_stays_within_its_path() {
    assert_eq!(path("../tasks/end?x=1", "approve"), "/v1/holds/tasksendx1/approve");
    assert_eq!(path("01AB", ""), "/v1/holds/01AB");
}

#[test]
fn the_outcome_of_a_vote_is_told() {
    assert!(outcome(&hold()).contains("still wanted: 1 of security"));
    let mut approved = hold();
    approved["state"] = json!("approved");
    assert!(outcome(&approved).contains("the call goes out once"));
}
