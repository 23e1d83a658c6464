//! A node is killed again and again under load; afterwards the record must hold, and miss nothing that an origin got.
//!
//! `REMIT_TEST_CRASHES=300` kills it that often; the default is for every day. The seed is printed, and
//! `REMIT_TEST_SEED` gives it back.

mod load;
mod node;
mod tasks;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use load::{Load, Origin};
use node::Node;
use serde_json::Value;

const CRASHES: u64 = 12;
const CONNECTIONS: usize = 6;

/// xorshift64*: which moments are hit must be repeatable, not unguessable.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn a_node_that_is_killed_under_load_loses_no_act_and_no_entry() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed =
        number("REMIT_TEST_SEED").unwrap_or(now.as_secs() * 1_000 + u64::from(now.subsec_millis())) | 1;
    let crashes = number("REMIT_TEST_CRASHES").unwrap_or(CRASHES);
    println!("REMIT_TEST_SEED={seed} REMIT_TEST_CRASHES={crashes}");
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start();
    let config = node::configure(dir.path(), origin.address());
    let load = Load::start(CONNECTIONS);
    for crash in 0..crashes {
        let mut node = Node::spawn(&config);
        if crash % 4 == 3 {
            // In the middle of its start, where it mends what the last kill left.
            node.kill_after(Duration::from_millis(dice.below(400)));
            continue;
        }
        load.go_to(node.proxy());
        origin.wait_for(1 + dice.below(60));
        node.kill_after(Duration::from_micros(dice.below(5_000)));
        load.halt();
    }
    let node = Node::spawn(&config);
    load.go_to(node.proxy());
    origin.wait_for(5);
    let answered = load.stop();
    node.terminate();

    let verified = Command::new(env!("CARGO_BIN_EXE_remit"))
        .args(["audit", "verify", "--state"])
        .arg(dir.path().join("state"))
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
    assert_story(&Story::read(&dir.path().join("state/journal")), &origin.received(), &answered);
}

/// The journal, as an outsider reads it.
struct Story {
    /// Path and entry of each opened call.
    opened: HashMap<String, (String, u64)>,
    /// Which entry each closing closes, and how.
    closed: Vec<(String, u64, String)>,
}

impl Story {
    fn read(folder: &Path) -> Self {
        let mut segments: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        segments.sort();
        let mut story = Self { opened: HashMap::new(), closed: Vec::new() };
        let text: String = segments.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let data = &entry["data"];
            let call = || data["call"].as_str().unwrap().to_owned();
            match entry["kind"].as_str().unwrap() {
                "opened" => {
                    let path = data["http"]["path"].as_str().unwrap().to_owned();
                    story.opened.insert(call(), (path, entry["seq"].as_u64().unwrap()));
                }
                "closed" => {
                    let outcome = data["closing"]["outcome"].as_str().unwrap().to_owned();
                    story.closed.push((call(), data["opened"].as_u64().unwrap(), outcome));
                }
                _ => {}
            }
        }
        story
    }
}

/// `received`: paths that the origin got. `answered`: paths that a client got an answer for, with the call's id.
fn assert_story(story: &Story, received: &HashSet<String>, answered: &[(String, String)]) {
    let paths: HashSet<&String> = story.opened.values().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), story.opened.len(), "no call was made twice");
    let missing: Vec<_> = received.iter().filter(|path| !paths.contains(path)).collect();
    assert!(missing.is_empty(), "the origin got what the journal does not have: {missing:?}");
    for (path, call) in answered {
        assert_eq!(story.opened.get(call).map(|(path, _)| path), Some(path), "call {call}");
    }
    let mut open: HashMap<_, _> = story.opened.iter().map(|(call, (_, entry))| (call, *entry)).collect();
    for (call, entry, _) in &story.closed {
        assert_eq!(open.remove(call), Some(*entry), "call {call} is closed once, and by its own closing");
    }
    assert!(open.is_empty(), "calls without an end: {open:?}");
    let unknown = story.closed.iter().filter(|(_, _, outcome)| outcome == "unknown").count();
    println!(
        "{} calls opened, {} received, {} answered, {unknown} unknown",
        paths.len(),
        received.len(),
        answered.len()
    );
    assert!(unknown > 0, "no kill hit a call that was under way: the test shows nothing");
}
