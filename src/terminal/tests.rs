//! The command line as a whole, and the small parts that verbs share.

use std::time::Duration;

use bytes::Bytes;
use clap::{CommandFactory as _, Parser as _};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::client::{Admin, Answer, Tls, failure_of};
use super::failure::Failure;
use super::screen::Paint;
use super::table::{Lean, Table};
use super::{Cli, arguments, find, run, task};
use crate::call::Secret;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_has_an_example_and_its_exit_codes() {
    let mut waiting = vec![Cli::command()];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().cloned());
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("Exit codes:"), "`{}` does not tell its exit codes", command.get_name());
        let begins = command.get_name() == "remit" || after.starts_with("Example:\n  ");
        assert!(begins, "`{}` has no example", command.get_name());
        assert!(command.get_about().is_some(), "`{}` does not say what it does", command.get_name());
    }
}

#[test]
fn options_after_the_dashes_are_the_commands() {
    let cli = Cli::try_parse_from(["remit", "run", "--agent", "a", "--", "ls", "--agent", "-l"]).unwrap();
    let super::Verb::Run(arguments) = cli.verb else { panic!("not `run`") };
    assert!(format!("{arguments:?}").contains(r#"command: ["ls", "--agent", "-l"]"#), "{arguments:?}");
    assert!(Cli::try_parse_from(["remit", "run", "--"]).is_err(), "no command is wrong usage");
}

#[test]
fn durations_and_labels_are_read() {
    for (text, seconds) in [("90s", 90), ("15m", 900), ("1h30m", 5400), ("1d", 86_400)] {
        assert_eq!(arguments::duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for bad in ["", "15", "m", "1w", "0s", "-1m", "1.5h", "99999999999999999999d", "9999999999999999999d"] {
        assert!(arguments::duration(bad).is_err(), "{bad}");
    }
    assert_eq!(arguments::label("k=v=w"), Ok(("k".into(), "v=w".into())));
    assert!(arguments::label("=v").is_err() && arguments::label("k").is_err());
}

#[test]
fn columns_are_aligned_and_strangers_text_is_tamed() {
    let mut table = Table::new(&[("calls", Lean::Right), ("operation", Lean::Left), ("why", Lean::Left)]);
    table.row(vec!["12".into(), "s:größe".into(), String::new()]);
    table.row(vec!["3".into(), "s:\u{1b}[2Jx".into(), "y".into()]);
    assert_eq!(table.text(), "  calls  operation  why\n     12  s:größe\n      3  s:?[2Jx    y\n");
}

#[test]
fn a_task_that_called_nothing_and_one_that_was_refused_are_told() {
    let task = json!({"id": "01A", "summary": []});
    assert_eq!(
        run::summary::report(&task, Paint::plain()),
        "remit: task 01A made no calls through the proxy"
    );
    let task = json!({"id": "01A", "summary": [
        {"operation": "s:list", "class": "read", "decision": "allow", "refusal": null, "calls": 2},
        {"operation": "s:make", "class": "act", "decision": "deny", "refusal": "policy_denied", "calls": 1},
        {"operation": "s:send", "class": "act", "decision": "hold", "refusal": "held", "calls": 4},
    ]});
    assert_eq!(
        run::summary::report(&task, Paint::plain()),
        "remit: task 01A made 7 calls, 1 refused, 4 held\n\
        \x20 calls  class  operation  decision  refusal\n\
        \x20     2  read   s:list     allow\n\
        \x20     1  act    s:make     deny      policy_denied\n\
        \x20     4  act    s:send     hold      held"
    );
}

fn answered(status: u16, body: &str) -> Failure {
    let status = StatusCode::from_u16(status).unwrap();
    failure_of(&Answer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) })
}

#[test]
fn problems_become_failures_with_the_right_code() {
    let failure =
        answered(404, r#"{"title":"no such task","detail":"there is no task `x`","advice":"list them"}"#);
    assert_eq!((failure.exit(), failure.to_string().as_str()), (1, "there is no task `x`\n  list them"));
    let failure = answered(401, r#"{"title":"no admin token"}"#);
    assert_eq!(failure.exit(), 1);
    assert!(failure.to_string().contains("read it anew from its admin.token"), "{failure}");
    assert_eq!(answered(503, "<html>").exit(), 3);
    assert_eq!(answered(422, "not json").to_string(), "the node answered 422 Unprocessable Entity");
    assert!(!answered(400, "{\"detail\":\"a\\u001b[2Jb\"}").to_string().contains('\u{1b}'));
}

#[tokio::test]
async fn a_node_that_is_not_there_cannot_be_reached() {
    // A port that was free a moment ago, and that nobody else is given so soon.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = Admin::at(address, Secret::new("t".into())).get("/v1/node").await.unwrap_err();
    assert_eq!(failure.exit(), 3);
    assert!(failure.to_string().contains("remit serve"), "{failure}");
}

#[test]
fn an_admin_url_of_another_scheme_is_wrong_usage() {
    let at = |url| Admin::at_url(url, Some(Secret::new("t".into())), &Tls::default());
    for url in ["ftp://h:1", "h:1", "http://", "unix:/x"] {
        assert_eq!(at(url).unwrap_err().exit(), 2, "{url}");
    }
    for url in ["http://127.0.0.1:8119/", "https://h:1", "https://[::1]:1"] {
        at(url).unwrap();
    }
}

#[test]
fn a_state_folder_without_a_node_is_exit_three() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = find::NodeArguments::default();
    assert_eq!(arguments.in_state(folder.path()).unwrap_err().exit(), 3);
    std::fs::write(folder.path().join("node.json"), r#"{"admin":"0.0.0.0:8119","proxy":"0.0.0.0:1"}"#)
        .unwrap();
    let failure = arguments.in_state(folder.path()).unwrap_err();
    assert!(failure.exit() == 3 && failure.to_string().contains("admin token"), "{failure}");
    std::fs::write(folder.path().join("admin.token"), "secret\n").unwrap();
    let admin = format!("{:?}", arguments.in_state(folder.path()).unwrap());
    assert!(admin.contains("127.0.0.1:8119") && !admin.contains("secret"), "{admin}");
}

#[test]
fn an_id_cannot_name_another_path() {
    assert_eq!(task::path("01ARZ3", "/end").unwrap(), "/v1/tasks/01ARZ3/end");
    for bad in ["", "../node", "a/b", "a?b", "a b"] {
        assert_eq!(task::path(bad, "").unwrap_err().exit(), 2, "{bad}");
    }
}

#[test]
fn libraries_log_nothing_below_info_whatever_the_filter_says() {
    use tracing::Level;
    let printed = super::log::may_be_printed;
    assert!(printed("remit::judge", Level::TRACE) && printed("h2", Level::INFO));
    for target in ["h2::codec::framed_read", "hyper::proto", "remittance"] {
        assert!(!printed(target, Level::DEBUG) && !printed(target, Level::TRACE), "{target}");
    }
}
