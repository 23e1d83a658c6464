use serde_json::json;

use super::*;

fn task(state: &str, gone: &Value, lease: &Value) -> Value {
    json!({ "id": "T", "state": state, "gone": gone, "leases": [lease] })
}

#[test]
fn whether_everything_is_gone_is_answered() {
    let lease = json!({"id": "L", "state": "revoking", "service": "github", "provider": "oauth", "scope": "read",
        "until": "2027-01-15T08:00:00.000Z", "overdue": true, "why": "away"});
    let open = shown(&task("open", &json!({"answer": "no"}), &lease));
    assert!(
        open.contains("no: the task is open")
            && open.contains("revoking (overdue)")
            && open.contains("L: away"),
        "{open}"
    );
    for (gone, told) in [
        (json!({"answer": "yes"}), "everything gone?  yes"),
        (json!({"answer": "no"}), "no: it is being taken back"),
        (json!({"answer": "until", "at": "2027"}), "works until 2027"),
        (json!({"answer": "stays"}), "yes for the agent"),
        (json!({"answer": "unknown"}), "remit lease seen"),
        (json!({"answer": "attested", "by": "ada", "at": "2027"}), "yes, by the word of ada"),
    ] {
        let text = shown(&task("ended", &gone, &lease));
        assert!(text.contains(told), "{text}");
        assert_eq!(is_under_way(&task("ended", &gone, &lease)), gone["answer"] == "no");
    }
    let none = json!({"id": "T", "state": "ended", "gone": {"answer": "yes"}, "leases": []});
    assert_eq!((shown(&none).as_str(), left(&none)), ("", None), "nothing is told where nothing was given");
}
