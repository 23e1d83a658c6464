use clap::Parser as _;

use super::super::Cli;
use super::super::failure::Failure;
use super::*;

fn run_line(line: &[&str]) -> Result<ExitCode, Failure> {
    let cli = Cli::try_parse_from([&["remit", "audit"], line].concat()).unwrap();
    let super::super::Verb::Audit(arguments) = cli.verb else { panic!("not `audit`") };
    run(arguments)
}

#[test]
fn a_folder_without_a_journal_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let failure = run_line(&["verify", "--state", dir.path().to_str().unwrap()]).unwrap_err();
    assert_eq!(failure.exit(), 2);
}

#[test]
fn a_journal_of_which_nothing_is_signed_is_found_wanting() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("journal")).unwrap();
    let state = dir.path().to_str().unwrap();
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let failure = run_line(&["verify", "--state", state, "--key", key]).unwrap_err();
    assert_eq!(failure.exit(), 1, "{failure}");
    assert_eq!(run_line(&["verify", "--state", state, "--key", "x+y"]).unwrap_err().exit(), 2);
    let missing = ["verify", "--state", state, "--key", key, "--checkpoint", "/nowhere/checkpoint"];
    assert_eq!(run_line(&missing).unwrap_err().exit(), 2);
}

#[test]
fn filters_that_mean_nothing_are_wrong_usage() {
    for bad in [["--class", "write"], ["--decision", "maybe"], ["--since", "yesterday"], ["--task", "7"]] {
        assert!(Cli::try_parse_from([&["remit", "audit", "query"][..], &bad].concat()).is_err(), "{bad:?}");
    }
    for good in [["--class", "act"], ["--since", "1h30m"], ["--until", "2026-11-24T09:30:00Z"]] {
        assert!(Cli::try_parse_from([&["remit", "audit", "query"][..], &good].concat()).is_ok(), "{good:?}");
    }
}
