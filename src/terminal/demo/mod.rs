//! `remit demo`: the newcomer's first command. A node, a small origin and an agent, all in this process.
//!
//! The agent is an ordinary HTTPS client behind the proxy; nothing is staged but the origin. What the story tells is in
//! `story.toml`. It must need nothing: no network, no other program, no file that stays.

mod origin;
mod show;
mod story;
#[cfg(test)]
mod tests;
mod vote;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::client::{Admin, Agent, Answer};
use super::failure::Failure;
use super::find::NodeArguments;
use super::screen::{self, Paint};
use super::scroll::Scroll;
use super::task;
use crate::call::{Host, Scheme};
use crate::runtime::config::{Config, HostPattern, Mapping, Variables};
use crate::runtime::{Node, TraceTo};
use origin::Origin;
use story::{Step, Story};

/// How long a span may take to follow its call; the story goes on without it.
const SPAN_PATIENCE: Duration = Duration::from_secs(2);
/// For the node to end.
const LEAVE: Duration = Duration::from_secs(3);

/// See remit at work: three calls, three rulings; nothing leaves the machine
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  remit demo\n\nOne of the calls waits for you; on a terminal, press Enter. It leaves nothing behind.\n\n\
    Exit codes: 0 shown, 1 it went otherwise than told."
)]
pub(super) struct Arguments {}

pub(super) async fn run(_: Arguments) -> Result<ExitCode, Failure> {
    let story = Story::shipped().map_err(broken)?;
    let folder = Folder::new()?;
    let origin = Origin::listen(&story).await.map_err(|error| broken(error.to_string()))?;
    let scroll = Scroll::default();
    let paint = Paint::for_stdout();
    let trace = TraceTo::Tree { to: Box::new(scroll.clone()), colour: paint.has_colour() };
    let node = Node::start(config(&folder.path, &story, &origin)?, trace).await?;
    screen::print(&show::opening(&story, &node.facts(), paint))?;
    let told = tokio::select! {
        told = tell(&story, &folder.path, &scroll, paint) => told,
        () = origin.serve() => Err(broken("the small origin ended")),
    };
    node.stop(LEAVE).await;
    told?;
    screen::print(&show::closing(&origin.seen(), paint))?;
    Ok(ExitCode::SUCCESS)
}

/// The laptop's configuration, with the story's host at the small origin.
fn config(folder: &Path, story: &Story, origin: &Origin) -> Result<Config, Failure> {
    // Without the process's variables: a collector that is set there is not for this.
    let mut config = Config::default_for_laptop(folder.to_owned(), &Variables::new())?;
    let host = Host::parse(&story.host).map_err(|error| broken(error.to_string()))?;
    config.upstream.resolve.push(Mapping {
        host: HostPattern::Exact(host),
        port: None,
        to: origin.address(),
        scheme: Scheme::Http,
    });
    Ok(config)
}

async fn tell(story: &Story, state_dir: &Path, scroll: &Scroll, paint: Paint) -> Result<(), Failure> {
    let admin = NodeArguments::default().in_state(state_dir)?;
    let task = open(&admin, story).await?;
    let ca = PathBuf::from(task::text(&task, "ca"));
    let agent = Agent::new(task::text(&task, "proxy_url"), &ca).map_err(broken)?;
    for (number, step) in story.steps.iter().enumerate() {
        screen::print(&show::question(number + 1, step, story, paint))?;
        let call = async { make(&agent, story, step).await.map_err(broken) };
        let answer = if step.held {
            let voting = vote::say_yes(&admin, paint);
            let (answer, voted) = tokio::join!(call, voting);
            voted?;
            answer?
        } else {
            call.await?
        };
        screen::print(&show::answer(&answer, paint))?;
        let tree = scroll.next(SPAN_PATIENCE).await;
        screen::print(&show::span(&tree, paint))?;
    }
    admin.post(&task::path(task::text(&task, "id"), "/end")?, &Value::Object(serde_json::Map::new())).await?;
    Ok(())
}

async fn open(admin: &Admin, story: &Story) -> Result<Value, Failure> {
    let labels = std::collections::BTreeMap::new();
    admin.post("/v1/tasks", &task::wanted(&story.agent, &story.intent, &labels, task::TaskPort::Not)).await
}

async fn make(agent: &Agent, story: &Story, step: &Step) -> Result<Answer, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("remit-demo"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if !step.body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(step.body.len()));
    }
    let method = step.method.parse().map_err(|_| format!("`{}` is not a method", step.method))?;
    let url = format!("https://{}{}", story.host, step.path);
    agent.call(method, &url, headers, Bytes::from(step.body.clone())).await
}

fn broken(why: impl Into<String>) -> Failure {
    Failure::found_wanting(format!("the demo broke off: {}", why.into()))
        .remedy("REMIT_LOG=debug says more; please report it")
}

/// The demo's state: private, and gone afterwards.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("remit-demo-{}", std::process::id()));
        // Not recursive: a folder that somebody else put there is refused.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path }),
            Err(error) => Err(broken(format!("`{}`: {error}", path.display()))),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the folder for temporary files and is readable by its owner alone.
        let _ = fs::remove_dir_all(&self.path);
    }
}
