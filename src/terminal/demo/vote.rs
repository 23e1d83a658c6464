//! The person of the story, who lets the held call out: whoever looks on, or the demo itself where nobody does.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::terminal::client::Admin;
use crate::terminal::failure::Failure;
use crate::terminal::holds::card;
use crate::terminal::screen::{self, Paint};
use crate::terminal::task::text;

/// How long it takes at most until the call waits.
const SOON: Duration = Duration::from_secs(10);
/// Whoever does not press a key is taken to say yes: well within what the call waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// Shows the card of the call that waits, and approves it.
pub(super) async fn say_yes(admin: &Admin, paint: Paint) -> Result<(), Failure> {
    let Some(hold) = tokio::time::timeout(SOON, waiting(admin)).await.ok() else {
        return Err(super::broken("no call waited for a person"));
    };
    let id = text(&hold, "id").to_owned();
    let hold = admin.get(&format!("/v1/holds/{id}")).await?;
    screen::print(&format!("  it waits; this is what the person sees (remit holds {id}):\n\n"))?;
    for line in card::shown(&hold, paint).trim_end().lines() {
        screen::print(&format!("    {line}\n"))?;
    }
    if io::stdin().is_terminal() {
        screen::print(&format!("\n  {} ", paint.bold("press Enter to approve it")))?;
        let key = tokio::task::spawn_blocking(|| io::stdin().lock().read_line(&mut String::new()));
        let _pressed_or_not = tokio::time::timeout(PATIENCE, key).await;
    }
    let body = json!({ "digest": text(&hold, "digest"), "note": "as the demo goes" });
    admin.post(&format!("/v1/holds/{id}/approve"), &body).await?;
    screen::print(&format!("\n  approved   remit approve {id}\n"))
}

async fn waiting(admin: &Admin) -> Value {
    loop {
        let answer = admin.get("/v1/holds").await.unwrap_or_default();
        if let Some(hold) = answer.get("holds").and_then(|holds| holds.get(0)) {
            return hold.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
