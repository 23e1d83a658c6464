//! A message in a Slack channel, with buttons. Who presses one is known by Slack's signature over its request and by the ids
//! of team and member in it (`slack:T…/U…` in `[[operators]]`); a name in Slack is no evidence.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{Channel, Notice, Occasion, Untold};
use crate::call::{CallDigest, Card, Clock, Fetch, Hold, HoldId, OperatorId, Secret, Timestamp};

/// How old a request of Slack's may be (Slack, "Verifying requests").
const FRESH: Duration = Duration::from_secs(300);
/// Characters of a section (Slack takes 3,000).
const SECTION_CHARS: usize = 2_900;
/// Operations that are listed.
const DEEDS: usize = 20;

/// What the operator decided about Slack.
#[derive(Clone, Debug)]
pub struct SlackSettings {
    /// Slack's API, without a slash at its end.
    pub api: String,
    /// A bot's token, with the scope `chat:write`.
    pub token: Secret<String>,
    /// What Slack signs its requests with; none: there are no buttons.
    pub signing: Option<Secret<String>>,
    /// The id of the channel.
    pub channel: String,
    /// What is told.
    pub occasions: BTreeSet<Occasion>,
}

/// A channel in Slack.
pub struct Slack {
    name: String,
    settings: SlackSettings,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
}

/// A button that somebody pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// Who.
    pub who: OperatorId,
    /// On which hold.
    pub hold: HoldId,
    /// What they saw.
    pub digest: CallDigest,
    /// Which of the two.
    pub approves: bool,
    /// The message that it stands in.
    pub message: Spot,
}

/// Where a message stands, and who looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    channel: String,
    at: String,
    member: String,
}

/// Why a request is none of Slack's, or makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSlack {
    /// No signing secret.
    #[error("no [[notify]] of Slack has a signing_secret")]
    NotWanted,
    /// The signature.
    #[error("the request is not signed by Slack with the signing_secret of [[notify]]")]
    Signature,
    /// The time.
    #[error("the request is older than five minutes, or from the future")]
    Stale,
    /// What it says.
    #[error("the request is no press of one of remit's buttons")]
    Unknown,
}

impl Slack {
    /// With these settings.
    pub fn new(name: String, settings: SlackSettings, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { name, settings, fetch, clock }
    }

    /// Reads what Slack sends when somebody presses a button.
    pub fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<Pressed, NotSlack> {
        let signing = self.settings.signing.as_ref().ok_or(NotSlack::NotWanted)?;
        check(signing, headers, body, self.clock.now())?;
        let form = url::form_urlencoded::parse(body);
        let payload = form.into_iter().find(|(name, _)| name == "payload").map(|(_, value)| value);
        let pressed = payload.and_then(|payload| pressed(&payload)).ok_or(NotSlack::Unknown)?;
        // Somebody else who posts as the same app must not put these buttons under words of their own.
        if pressed.message.channel == self.settings.channel { Ok(pressed) } else { Err(NotSlack::Unknown) }
    }

    /// Puts what became of it in the place of the buttons.
    pub async fn settle(&self, spot: &Spot, hold: &Hold, summary: &str) -> Result<(), Untold> {
        let by = hold.votes.iter().map(|vote| vote.by.to_string()).collect::<Vec<_>>().join(", ");
        let text = format!("*{}* {} (by {})", escaped(hold.state.as_str()), escaped(summary), escaped(&by));
        let message =
            json!({ "channel": spot.channel, "ts": spot.at, "text": text, "blocks": [section(&text)] });
        self.call("chat.update", &message).await
    }

    /// Tells whoever pressed it why that did not count.
    pub async fn whisper(&self, spot: &Spot, why: &str) -> Result<(), Untold> {
        let message = json!({ "channel": spot.channel, "user": spot.member, "text": escaped(why) });
        self.call("chat.postEphemeral", &message).await
    }

    async fn call(&self, method: &str, message: &Value) -> Result<(), Untold> {
        let SlackSettings { api, token, .. } = &self.settings;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{api}/{method}"))
            .header("content-type", "application/json; charset=utf-8")
            .header("authorization", format!("Bearer {}", token.reveal()))
            .body(Bytes::from(message.to_string()))
            .map_err(|error| Untold::Never(error.to_string()))?;
        let answer = self.fetch.fetch(request).await.map_err(|error| Untold::Later(error.to_string()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Untold::Later(format!("Slack answered {status}")));
        }
        let said: Said = serde_json::from_slice(answer.body())
            .map_err(|_| Untold::Later("Slack's answer is no JSON".to_owned()))?;
        if said.ok {
            return Ok(());
        }
        let why = format!("Slack says `{}`", crate::call::inert::text(&said.error, 100));
        // What Slack may say otherwise next time; all else is a mistake in the settings.
        let passing = [
            "ratelimited",
            "rate_limited",
            "internal_error",
            "fatal_error",
            "service_unavailable",
            "request_timeout",
        ];
        Err(if passing.contains(&&*said.error) { Untold::Later(why) } else { Untold::Never(why) })
    }

    fn message(&self, notice: &Notice) -> Value {
        let (hold, card) = (&notice.hold, &notice.card);
        let summary = escaped(&notice.summary());
        let mut deeds: Vec<_> = card
            .does
            .iter()
            .take(DEEDS)
            .map(|deed| format!("• {} [{}]", escaped(&deed.sentence), deed.class))
            .collect();
        let mut whole = card.does.len() <= DEEDS;
        if !whole {
            deeds.push(format!("• and {} more", card.does.len() - DEEDS));
        }
        let mut facts = vec![
            format!("*Agent* {}", escaped(&card.chain.join(" → "))),
            format!("*Intent* {}", escaped(&card.intent)),
            format!("*Until* {}", escaped(&hold.until.to_string())),
        ];
        let reasons = card.reasons.iter().filter_map(|reason| reason.reason.as_deref());
        facts.extend(reasons.map(|why| format!("*Why* {}", escaped(why))));
        facts.extend(card.warnings.iter().map(|warning| format!(":warning: {}", escaped(warning))));
        let opened = notice.occasion == Occasion::HoldOpened;
        let mut texts = vec![format!("*{summary}*"), deeds.join("\n"), facts.join("\n")];
        if opened {
            // In a fence of its own, which nothing in it can end.
            let sent = escaped(&sent(card)).replace('`', "\u{2cb}");
            whole &= sent.chars().count() <= SECTION_CHARS;
            texts.push(format!("```{}```", sent.chars().take(SECTION_CHARS).collect::<String>()));
        }
        whole &= texts.iter().all(|text| text.chars().count() <= SECTION_CHARS + 10) && !card.body.cut;
        let mut blocks: Vec<_> = texts.iter().map(|text| section(text)).collect();
        if !notice.url.is_empty() {
            blocks.push(section(&format!("<{}|Open in the console>", escaped(&notice.url))));
        }
        if opened && !whole {
            let id = hold.id;
            blocks.push(section(&format!(
                "*Not all of it fits here*: decide in the console, or with `remit holds {id}` and `remit approve {id}`."
            )));
        } else if opened && self.settings.signing.is_some() {
            blocks.push(buttons(hold));
        }
        json!({ "channel": self.settings.channel, "text": summary, "blocks": blocks, "unfurl_links": false })
    }
}

/// What would be sent, as one text.
fn sent(card: &Card) -> String {
    let fields =
        card.headers.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\n");
    let body = match &card.body.text {
        Some(text) => text.to_string(),
        None if card.body.bytes > 0 => format!("({} bytes that are no text)", card.body.bytes),
        None => String::new(),
    };
    format!("{} {}\n{fields}\n{body}", card.method, card.url)
}

impl Channel for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self, occasion: Occasion) -> bool {
        self.settings.occasions.contains(&occasion)
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), Untold>> {
        async move { self.call("chat.postMessage", &self.message(notice)).await }.boxed()
    }
}

#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    error: String,
}

fn section(text: &str) -> Value {
    // Within a fence that is cut nothing is shown whole: who builds it counts.
    let text: String = text.chars().take(3_000).collect();
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

fn buttons(hold: &Hold) -> Value {
    let value = format!("{} {}", hold.id, hold.digest);
    let button = |name: &str, action: &str, style: &str| {
        json!({
            "type": "button", "action_id": action, "style": style, "value": value,
            "text": { "type": "plain_text", "text": name },
            "confirm": {
                "title": { "type": "plain_text", "text": format!("{name} this call?") },
                "text": { "type": "plain_text", "text": "Your vote is recorded under your name." },
                "confirm": { "type": "plain_text", "text": name },
                "deny": { "type": "plain_text", "text": "Cancel" },
            },
        })
    };
    let both = [button("Approve", APPROVE, "primary"), button("Refuse", REFUSE, "danger")];
    json!({ "type": "actions", "elements": both })
}

const APPROVE: &str = "remit_approve";
const REFUSE: &str = "remit_refuse";

/// Slack reads these three as markup ("Formatting text for app surfaces").
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn check(signing: &Secret<String>, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), NotSlack> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(NotSlack::Signature);
    let (at, signature) = (header("x-slack-request-timestamp")?, header("x-slack-signature")?);
    let mut mac =
        Hmac::<Sha256>::new_from_slice(signing.reveal().as_bytes()).map_err(|_| NotSlack::Signature)?;
    mac.update(format!("v0:{at}:").as_bytes());
    mac.update(body);
    let hex =
        mac.finalize().into_bytes().iter().fold(String::from("v0="), |hex, byte| format!("{hex}{byte:02x}"));
    if !bool::from(hex.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(NotSlack::Signature);
    }
    let at: u64 = at.parse().map_err(|_| NotSlack::Stale)?;
    if now.unix_s().abs_diff(at) > FRESH.as_secs() {
        return Err(NotSlack::Stale);
    }
    Ok(())
}

fn pressed(payload: &str) -> Option<Pressed> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    let text = |path: &str| payload.pointer(path).and_then(Value::as_str);
    if text("/type")? != "block_actions" {
        return None;
    }
    let approves = match text("/actions/0/action_id")? {
        APPROVE => true,
        REFUSE => false,
        _ => return None,
    };
    let (hold, digest) = text("/actions/0/value")?.split_once(' ')?;
    let (team, member) = (text("/team/id")?, text("/user/id")?);
    Some(Pressed {
        who: OperatorId(format!("slack:{team}/{member}").into()),
        hold: hold.parse().ok()?,
        digest: digest.parse().ok()?,
        approves,
        message: Spot {
            channel: text("/channel/id").or_else(|| text("/container/channel_id"))?.to_owned(),
            at: text("/message/ts").or_else(|| text("/container/message_ts"))?.to_owned(),
            member: member.to_owned(),
        },
    })
}
