//! A node is killed between any two steps of opening, delegating and ending: what it had acknowledged holds afterwards,
//! and no delegation outlives what it was delegated from.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::node::{self, Node};
use super::{CRASHES, Dice, number};

/// An operator who asks for one thing after another, until nobody answers.
struct Operator {
    admin: SocketAddr,
    token: String,
}

/// What was acknowledged of one task.
#[derive(Debug, Default)]
struct Acknowledged {
    parent: Option<String>,
    ended: bool,
}

impl Operator {
    fn of(state: &Path) -> Self {
        let node: Value = serde_json::from_slice(&std::fs::read(state.join("node.json")).unwrap()).unwrap();
        let token = std::fs::read_to_string(state.join("admin.token")).unwrap().trim().to_owned();
        Self { admin: node["admin"].as_str().unwrap().parse().unwrap(), token }
    }

    /// The status and the body; none: the node is gone.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(self.admin).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let (admin, token, body) = (self.admin, &self.token, body.to_string());
        let ask = format!(
            "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(ask.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.get(9..12)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        // A body that broke off is no acknowledgement.
        Some((status, serde_json::from_str(body).ok()?))
    }

    fn tasks(&self) -> HashMap<String, Value> {
        let (_, answer) = self.ask("GET", "/v1/tasks", &Value::Null).expect("a node that runs");
        let tasks = answer["tasks"].as_array().unwrap().iter();
        tasks.map(|task| (task["id"].as_str().unwrap().to_owned(), task.clone())).collect()
    }

    /// Opens, delegates and ends until the node is killed.
    fn work(&self, dice: &mut Dice, known: &mut HashMap<String, Acknowledged>) {
        loop {
            let open: Vec<_> =
                known.iter().filter(|(_, task)| !task.ended).map(|(id, _)| id.clone()).collect();
            let pick =
                |dice: &mut Dice| open[usize::try_from(dice.below(open.len() as u64)).unwrap()].clone();
            let (done, parent, ending) = match dice.below(4) {
                0 | 1 if !open.is_empty() => {
                    let parent = pick(dice);
                    let to = format!("agent-{}", dice.below(1_000_000));
                    let path = format!("/v1/tasks/{parent}/delegate");
                    (self.ask("POST", &path, &json!({ "to": to })), Some(parent), None)
                }
                2 if open.len() > 3 => {
                    let task = pick(dice);
                    (self.ask("POST", &format!("/v1/tasks/{task}/end"), &Value::Null), None, Some(task))
                }
                _ => {
                    let wanted = json!({"agent": "root", "intent": "test", "ttl_s": 3600});
                    (self.ask("POST", "/v1/tasks", &wanted), None, None)
                }
            };
            let Some((status, answer)) = done else { return };
            match (status, ending) {
                (200, Some(task)) => end(known, &task),
                (201, None) => {
                    let id = answer["id"].as_str().unwrap().to_owned();
                    known.insert(id, Acknowledged { parent, ended: false });
                }
                // A chain that is too long, or a parent that ended with its own.
                _ => {}
            }
        }
    }
}

/// Whatever lies under a task that ended, ended.
fn end(known: &mut HashMap<String, Acknowledged>, task: &str) {
    if let Some(task) = known.get_mut(task) {
        task.ended = true;
    }
    let below = known.iter().filter(|(_, other)| other.parent.as_deref() == Some(task) && !other.ended);
    let below: Vec<_> = below.map(|(id, _)| id.clone()).collect();
    for child in below {
        end(known, &child);
    }
}

/// How many ended tasks a node remembers at least: those of `Settings::ended_tasks`, less a tree that ended in one piece.
const REMEMBERED: usize = 500;

fn check(tasks: &HashMap<String, Value>, known: &mut HashMap<String, Acknowledged>) {
    let is_over = |id: &str| tasks.get(id).is_none_or(|task| task["state"] == "ended");
    for (id, acknowledged) in known.iter() {
        match tasks.get(id) {
            Some(task) if acknowledged.ended => {
                assert_eq!(task["state"], "ended", "an end was acknowledged, and is undone: {task}");
            }
            Some(_) => {}
            // Only what is over may be forgotten, and only once there is more of it than is remembered.
            None => {
                assert!(acknowledged.ended, "task {id} was acknowledged, and is gone");
                let ended = tasks.values().filter(|task| task["state"] == "ended").count();
                assert!(ended >= REMEMBERED, "task {id} was forgotten while there were {ended} ended ones");
            }
        }
    }
    for (id, task) in tasks {
        if task["parent"].as_str().is_some_and(is_over) {
            assert_eq!(task["state"], "ended", "{id} outlives what it was delegated from");
        }
        // What was under way when the node was killed may have come to pass or not.
        if task["state"] == "ended" && known.contains_key(id) {
            end(known, id);
        }
    }
    known.retain(|id, _| tasks.contains_key(id));
}

#[test]
fn what_was_acknowledged_of_tasks_survives_every_kill() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number("REMIT_TEST_SEED").unwrap_or(now.as_secs()) | 1;
    let crashes = number("REMIT_TEST_CRASHES").unwrap_or(CRASHES);
    println!("REMIT_TEST_SEED={seed} REMIT_TEST_CRASHES={crashes}");
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let config: PathBuf = node::configure(dir.path(), SocketAddr::from(([127, 0, 0, 1], 9)));
    let state = dir.path().join("state");
    let mut known = HashMap::new();
    for _ in 0..crashes {
        let mut node = Node::spawn(&config);
        node.proxy();
        let operator = Operator::of(&state);
        check(&operator.tasks(), &mut known);
        let pause = Duration::from_millis(20 + dice.below(400));
        known = std::thread::scope(|scope| {
            let (operator, dice) = (&operator, &mut dice);
            let working = scope.spawn(move || {
                operator.work(dice, &mut known);
                known
            });
            node.kill_after(pause);
            working.join().unwrap()
        });
    }
    let node = Node::spawn(&config);
    node.proxy();
    check(&Operator::of(&state).tasks(), &mut known);
    assert!(known.len() > 5, "only {} tasks were opened", known.len());
    node.terminate();
}
