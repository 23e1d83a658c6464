use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::pulse::{BARS, Picture, Tally};
use super::cedar::{self, Kind};
use super::visitor::Visitor;
use super::{assets, parts, plot, tree};
use crate::call::{
    IntentName, Membership, Operator, OperatorId, Role, SpiffeId, Task, TaskId, Terms, Timestamp,
};
use crate::intent::{Counts, TaskLine, TaskState};

#[test]
fn what_is_vendored_is_named_with_its_licence_and_all_of_it_is_small() {
    let files = assets::all();
    let licences = files.iter().find(|(name, ..)| *name == "LICENSES").unwrap().2;
    for (name, _, text) in files {
        if name.ends_with(".min.js") {
            assert!(licences.contains(name), "{name} is not in LICENSES");
            assert!(
                licences.contains(&digest(text)),
                "{name} is not the file that LICENSES names: {}",
                digest(text)
            );
        }
    }
    let bytes: usize = files.iter().map(|(.., text)| text.len()).sum();
    assert!(bytes < 150_000, "{bytes} bytes");
}

fn digest(text: &str) -> String {
    use sha2::Digest as _;
    crate::call::RulesDigest(sha2::Sha256::digest(text).into()).to_string().replace("sha256:", "")
}

#[test]
fn every_class_that_is_made_here_is_in_the_stylesheet() {
    let css = assets::all().iter().find(|(name, ..)| *name == "console.css").unwrap().2;
    for class in
        ["allow", "hold", "deny", "read", "act", "delegate", "c-effect", "c-comment", "walk", "trouble"]
    {
        assert!(css.contains(&format!(".{class}")), "{class}");
    }
    assert!(!css.contains("http") && !css.contains("@import"), "nothing is fetched from elsewhere");
}

#[test]
fn text_of_others_is_escaped_and_made_inert() {
    let shown = parts::said("<img src=x onerror=alert(1)>\u{202e}\u{1b}[31m", 100).into_string();
    assert_eq!(shown, "<bdi class=\"said\">&lt;img src=x onerror=alert(1)&gt;\\u{202e}\\u{1b}[31m</bdi>");
    assert!(parts::said(&"x".repeat(1_000), 10).into_string().len() < 60);
}

#[test]
fn lengths_and_times_are_short() {
    let cases = [
        (0, "0 ns"),
        (950, "950 ns"),
        (12_000, "12 µs"),
        (1_500_000, "1.5 ms"),
        (250_000_000, "250 ms"),
        (3_000_000_000, "3.0 s"),
        (90_000_000_000, "90 s"),
        (600_000_000_000, "10 min"),
        (7_200_000_000_000, "2 h"),
    ];
    for (ns, text) in cases {
        assert_eq!(parts::span(ns), text, "{ns}");
    }
    assert_eq!(parts::number(1_234_567), "1\u{202f}234\u{202f}567");
    let (at, now) = (Timestamp::from_unix_s(1_795_500_000), Timestamp::from_unix_s(1_795_500_000 + 86_400));
    assert!(
        parts::when(at, at).into_string().ends_with(">06:40:00</time>")
            || parts::when(at, at).into_string().contains(":00</time>")
    );
    assert!(parts::when(at, now).into_string().contains("2026-11-2"));
}

#[test]
fn agents_are_short_and_their_whole_name_is_there() {
    assert_eq!(parts::short_agent("spiffe://example.org/agent/coder"), "coder");
    assert_eq!(parts::short_agent("spiffe://example.org/ns/a/sa/b"), "ns/a/sa/b");
    assert_eq!(parts::short_agent("others"), "others");
    assert!(
        parts::agent_named("spiffe://example.org/agent/coder")
            .into_string()
            .contains("spiffe://example.org/agent/coder")
    );
}

#[test]
fn only_who_may_has_a_button() {
    let viewer = Operator {
        id: OperatorId("oidc:ada".into()),
        roles: [Role::Viewer].into(),
        groups: Membership::Of([].into()),
        person: None,
    };
    let button = |operator| {
        Visitor::of(operator)
            .button(Role::Admin, "/x", &[("agent", "\"><b>")], "End", "Really?")
            .into_string()
    };
    assert_eq!(button(viewer), "");
    let shown = button(Operator::local());
    assert!(shown.contains("method=\"post\"") && shown.contains("&quot;&gt;&lt;b&gt;"), "{shown}");
}

#[test]
fn the_words_of_cedar_are_told_apart_and_none_is_lost() {
    let text = "// why\n@id(\"no-acts\")\nforbid (principal is Agent, action in Action::\"act\", resource)\nwhen { context.task.labels has \"x\\\"y\" && 12 < 3 };";
    let pieces = cedar::pieces(text);
    assert_eq!(pieces.iter().map(|(_, piece)| *piece).collect::<String>(), text);
    let kind = |wanted: &str| pieces.iter().find(|(_, piece)| *piece == wanted).map(|(kind, _)| *kind);
    for (piece, wanted) in [
        ("// why", Kind::Comment),
        ("@id", Kind::Annotation),
        ("\"no-acts\"", Kind::Text),
        ("forbid", Kind::Effect),
        ("principal", Kind::Variable),
        ("is", Kind::Keyword),
        ("Action::\"act\"", Kind::Entity),
        ("when", Kind::Keyword),
        ("\"x\\\"y\"", Kind::Text),
        ("12", Kind::Number),
        ("action", Kind::Variable),
    ] {
        assert_eq!(kind(piece), Some(wanted), "{piece}");
    }
    assert!(cedar::coloured(text).into_string().contains("id=\"policy-no-acts\""));
}

#[test]
fn any_text_at_all_is_cut_into_itself() {
    let all =
        ["", "\"", "a::", "::", "@", "?", "é::\"ü", "//", "\\", "\u{0}\u{202e}", "a::b::\"c", "9é", "\"\\"];
    for text in all {
        let pieces = cedar::pieces(text);
        assert_eq!(pieces.iter().map(|(_, piece)| *piece).collect::<String>(), text);
        assert!(pieces.iter().all(|(_, piece)| !piece.is_empty()), "{text:?}");
    }
    assert!(!cedar::coloured("// \u{202e}<b>").into_string().contains('\u{202e}'));
}

#[test]
fn a_plot_of_nothing_is_empty_and_says_so() {
    let shown =
        plot::over_time(&vec![Tally::default(); BARS], Timestamp::from_unix_s(1_800_000_000)).into_string();
    assert!(shown.contains("0 allowed, 0 held, 0 denied") && shown.contains("d=\"\""), "{shown}");
    let empty = super::now::shown(&Picture::default());
    assert!(empty.contains("No call has come yet"), "{empty}");
}

fn line(id: u64, parent: Option<u64>) -> TaskLine {
    let task = Task {
        id: id_of(id),
        agent: SpiffeId::parse(&format!("spiffe://example.org/agent/a{id}")).unwrap(),
        intent: IntentName::parse("triage").unwrap(),
        labels: BTreeMap::new(),
        opened: Timestamp::default(),
        deadline: Timestamp::default(),
        terms: Terms { parent: parent.map(id_of), ..Terms::default() },
    };
    TaskLine {
        task: Arc::new(task),
        state: TaskState::Open,
        counts: Counts::default(),
        in_flight: 0,
        bytes_out: 0,
        money: BTreeMap::new(),
    }
}

fn id_of(number: u64) -> TaskId {
    format!("01ARZ3NDEKTSV4RRFFQ69G5{number:03}").parse().unwrap()
}

#[test]
fn a_tree_is_drawn_from_its_root_and_a_task_alone_is_none() {
    let lines = [line(1, None), line(2, Some(1)), line(3, Some(2)), line(4, Some(1)), line(5, None)];
    let drawn = tree::of(id_of(3), &lines).unwrap().into_string();
    for agent in ["a1", "a2", "a3", "a4"] {
        assert!(drawn.contains(&format!(">{agent}</text>")), "{agent}: {drawn}");
    }
    assert!(!drawn.contains(">a5</text>"));
    assert_eq!(drawn.matches("class=\"link\"").count(), 3);
    assert_eq!(drawn.matches("aria-current").count(), 1);
    assert!(tree::of(id_of(5), &lines).is_none());
}

#[test]
fn a_circle_of_tasks_comes_to_an_end() {
    let lines = [line(1, Some(2)), line(2, Some(1))];
    assert!(tree::of(id_of(1), &lines).is_some());
    let many: Vec<_> = std::iter::once(line(0, None)).chain((1..200).map(|id| line(id, Some(0)))).collect();
    let drawn = tree::of(id_of(0), &many).unwrap().into_string();
    assert!(drawn.contains("Only 60 tasks are drawn"), "{}", drawn.len());
}
