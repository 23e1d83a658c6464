//! Tells people that a call waits for them, and what became of it: by webhook, in Slack, by mail.
//!
//! The journal is the outbox. Each channel follows it with a place of its own, which moves on only once what stood there is told
//! or is not worth telling any more; so nothing is lost by a crash, and something may be told twice, under the same id.
//! A channel that is away holds up nobody but itself.

mod mail;
mod slack;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::Node;
use crate::call::card::Card;
use crate::call::meter::Counter;
use crate::call::{Clock, EntryId, Hold, HoldId, HoldState, Timestamp};
use crate::record::{Cursor, Entry, Follow, Journal, JournalError, What};

pub use mail::{Mail, MailSettings, Security};
pub use slack::{NotSlack, Pressed, Slack, SlackSettings};
pub use webhook::{BadSecret, Webhook};

/// How many entries are looked at at once.
const BATCH: usize = 256;
/// How often its place is kept while there is nothing to tell.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// After the first failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// What became of a call is told for so long; that it waits, for as long as it does.
const WORTH_TELLING: Duration = Duration::from_secs(24 * 3_600);

/// How often it is looked whether what an entry announces has come to be, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS: u32 = 100;

/// What people are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// A call waits.
    HoldOpened,
    /// It does not any more, for whatever reason.
    HoldSettled,
}

impl Occasion {
    /// All.
    pub const ALL: [Self; 2] = [Self::HoldOpened, Self::HoldSettled];

    /// As in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HoldOpened => "hold_opened",
            Self::HoldSettled => "hold_settled",
        }
    }
}

/// Something to tell.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The same whenever it is told again.
    pub id: String,
    /// What it is about.
    pub occasion: Occasion,
    /// When it happened.
    pub at: Timestamp,
    /// The hold, as it is now.
    pub hold: Arc<Hold>,
    /// What people are shown.
    pub card: Arc<Card>,
    /// Where the console shows it; empty: nobody said where the console is.
    pub url: String,
}

impl Notice {
    /// One line.
    pub(super) fn summary(&self) -> String {
        let does = self.card.does.first().map_or(&*self.hold.operation.0, |deed| &deed.sentence);
        match self.occasion {
            Occasion::HoldOpened => format!("Waits for approval: {does}"),
            Occasion::HoldSettled => format!("{}: {does}", capitalised(self.hold.state.as_str())),
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Why something was not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// It may be told later.
    #[error("{0}")]
    Later(String),
    /// It will never be.
    #[error("{0}")]
    Never(String),
}

/// A way to tell people.
pub trait Channel: Send + Sync {
    /// Its name in files and logs: letters, digits and `-`.
    fn name(&self) -> &str;
    /// Whether it tells of such occasions.
    fn wants(&self, occasion: Occasion) -> bool;
    /// Tells it.
    fn tell<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), Untold>>;
}

/// How notices went.
#[derive(Debug, Default)]
pub struct NoticeMeters {
    /// Those that were taken.
    pub told: Counter,
    /// Attempts that failed.
    pub failed: Counter,
    /// Those that were given up.
    pub dropped: Counter,
}

/// What channels work with.
#[derive(Clone)]
pub struct Post {
    /// Knows the holds.
    pub node: Arc<dyn Node>,
    /// The outbox.
    pub journal: Arc<Journal>,
    /// For what is worth telling.
    pub clock: Arc<dyn Clock>,
    /// Where operators reach the console; empty: nobody said.
    pub console: String,
    /// Counts.
    pub meters: Arc<NoticeMeters>,
}

/// Follows the journal for one channel, for as long as there is one.
pub async fn follow(channel: Arc<dyn Channel>, post: Post) {
    let cursor = Cursor::new(post.journal.dir(), &format!("notify-{}", channel.name()));
    let began = post.journal.began_at();
    let kept = match cursor.load::<EntryId>() {
        Ok(kept) => kept,
        Err(error) => {
            tracing::warn!(%error, channel = channel.name(), "where it was is not known; it begins with now");
            None
        }
    };
    // A power cut may have taken the last entries from the journal: their numbers are given again.
    let mut follow = post.journal.follow(kept.unwrap_or(began).min(began));
    // At the very first start too: what comes from here on is told, also if the node dies before anything was.
    keep(&cursor, &follow).await;
    let mut kept_at = Instant::now();
    while follow.ready().await {
        let mut told = false;
        match follow.read(BATCH).await {
            Ok(entries) => {
                for entry in entries {
                    let Some((occasion, hold)) = occasion(&entry).filter(|(one, _)| channel.wants(*one))
                    else {
                        continue;
                    };
                    if let Some(notice) = notice_of(&entry, occasion, hold, &post).await {
                        insist(&*channel, notice, &post).await;
                        told = true;
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, channel = channel.name(), "the journal cannot be followed");
                tokio::time::sleep(LONGEST_PAUSE).await;
            }
        }
        // Entries of which nobody is told can be passed by again; each place that is kept waits for the disk of the journal.
        if told || kept_at.elapsed() >= KEEP_EVERY {
            keep(&cursor, &follow).await;
            kept_at = Instant::now();
        }
    }
}

async fn keep(cursor: &Cursor, follow: &Follow) {
    let (cursor, place) = (cursor.clone(), follow.position());
    let saved = tokio::task::spawn_blocking(move || cursor.save(&place)).await;
    match saved.unwrap_or(Err(JournalError::Stopped)) {
        Ok(()) => follow.need(place),
        Err(error) => tracing::warn!(%error, "how far notices have come is not kept"),
    }
}

fn occasion(entry: &Entry) -> Option<(Occasion, HoldId)> {
    match &entry.what {
        What::HoldOpened(facts) => Some((Occasion::HoldOpened, facts.hold)),
        What::HoldSettled(facts) if facts.state != "spent" => Some((Occasion::HoldSettled, facts.hold)),
        _ => None,
    }
}

/// What an entry is to be told as. None, if what it announces never came to be: the node died in between.
async fn notice_of(entry: &Entry, occasion: Occasion, hold: HoldId, post: &Post) -> Option<Notice> {
    let is_so = |hold: &Hold| occasion == Occasion::HoldOpened || hold.state != HoldState::Waiting;
    // The entry is written first, and the hold is so a moment later.
    let mut looks = 0..LOOKS;
    let (hold, card) = loop {
        match post.node.hold(hold).filter(|(hold, _)| is_so(hold)) {
            Some(found) => break found,
            None => looks.next()?,
        };
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let url = match post.console.as_str() {
        "" => String::new(),
        console => format!("{console}/console/holds/{}", hold.id),
    };
    let id = format!("{}-{}-{}", occasion.as_str(), hold.id, entry.seq);
    Some(Notice { id, occasion, at: entry.at, hold, card, url })
}

/// Tells it until it is told, or not worth telling any more.
async fn insist(channel: &dyn Channel, mut notice: Notice, post: &Post) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some((hold, card)) = post.node.hold(notice.hold.id) {
            (notice.hold, notice.card) = (hold, card);
        }
        if !is_worth_telling(&notice, post.clock.now()) {
            post.meters.dropped.add();
            return;
        }
        match channel.tell(&notice).await {
            Ok(()) => return post.meters.told.add(),
            Err(Untold::Never(why)) => {
                post.meters.failed.add();
                post.meters.dropped.add();
                tracing::error!(channel = channel.name(), notice = %notice.id, %why, "a notice cannot be told, and is given up");
                return;
            }
            Err(Untold::Later(why)) => {
                post.meters.failed.add();
                tracing::warn!(channel = channel.name(), notice = %notice.id, %why, "a notice is not told yet");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_worth_telling(notice: &Notice, now: Timestamp) -> bool {
    match notice.occasion {
        Occasion::HoldOpened => notice.hold.state == HoldState::Waiting,
        Occasion::HoldSettled => now.since(notice.at) < WORTH_TELLING,
    }
}
