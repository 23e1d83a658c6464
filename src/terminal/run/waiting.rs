//! Tells whoever started an agent that a call of it waits for them, while it runs.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use serde_json::Value;

use crate::call::inert;
use crate::terminal::client::Admin;
use crate::terminal::screen::{self, Paint};
use crate::terminal::task::text;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(700);
/// How much of a sentence is told, characters.
const SENTENCE_CHARS: usize = 300;

/// Looks for as long as it is polled. A node that is away may come back, and is no reason to stop the agent.
pub(super) async fn tell(admin: &Admin, task: &str) -> Infallible {
    let path = format!("/v1/holds?task={task}");
    let (mut told, mut tick) = (BTreeSet::new(), tokio::time::interval(EVERY));
    loop {
        tick.tick().await;
        let Ok(answer) = admin.get(&path).await else { continue };
        for hold in answer.get("holds").and_then(Value::as_array).into_iter().flatten() {
            if told.insert(text(hold, "id").to_owned()) {
                screen::tell(&notice(hold, Paint::for_stderr()));
            }
        }
    }
}

fn notice(hold: &Value, paint: Paint) -> String {
    let (id, summary) = (text(hold, "id"), inert::text(text(hold, "summary"), SENTENCE_CHARS));
    format!(
        "{}: a call waits for a person: {summary}\n  remit holds {id}     what would be sent\n  remit approve {id}   or remit refuse {id}",
        paint.bold("remit")
    )
}

#[cfg(test)]
mod tests;
