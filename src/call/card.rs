//! What a person is shown of a call before they say yes or no: written from the wire, never in the agent's words alone.
//!
//! Whatever somebody else chose is text that does nothing where it is shown ([`inert`](super::inert)), and is marked as theirs
//! by where it stands. What looks like a secret is masked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decision::Reason;
use super::id::HoldId;
use super::operation::Class;

/// The card of one held call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Card {
    /// What it would do, a sentence for each operation, in remit's words.
    pub does: Vec<Deed>,
    /// `POST`.
    pub method: String,
    /// `https://api.example.org/v1/things?x=1`, masked.
    pub url: String,
    /// The header fields that the approval is for, masked; in the order of their names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ShownBody,
    /// What the policies say.
    pub reasons: Vec<Reason>,
    /// What the task is for.
    pub intent: String,
    /// For whom it is done; empty: nobody said.
    pub on_behalf_of: String,
    /// From whom to whom the task was delegated, the agent that makes the call last.
    pub chain: Vec<String>,
    /// What the task was let through to before, the most frequent first.
    pub touched: Vec<Touched>,
    /// How it differs from the last call of this agent and operation that was approved; none: there was none.
    pub difference: Option<Difference>,
    /// What cannot be shown, or is to be doubted.
    pub warnings: Vec<String>,
}

/// One operation of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deed {
    /// `Open an issue in octo/hello (GitHub)`.
    pub sentence: String,
    /// `github:issues/create`.
    pub operation: String,
    /// Its class.
    pub class: Class,
    /// `repo octo/hello`; empty: none is known.
    pub resource: String,
}

/// What a task did before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Touched {
    /// `github:issues/list`.
    pub operation: String,
    /// Its class.
    pub class: Class,
    /// How many calls.
    pub calls: u64,
}

/// A body as a person can read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownBody {
    /// Its media type, as sent.
    pub media: String,
    /// How long it is.
    pub bytes: u64,
    /// What it says, laid out and masked. None: it is not kept any more, or is no text.
    #[schema(value_type = Option<String>)]
    pub text: Option<Arc<str>>,
    /// Whether more follows that is not shown.
    pub cut: bool,
    /// Each of its values, by where it stands, as the beginning of a digest: to tell differences by.
    pub outline: Vec<(String, String)>,
}

/// How a body differs from an earlier one, by where values stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The earlier one.
    pub from: Option<HoldId>,
    /// Values that are other ones.
    pub changed: Vec<String>,
    /// Values that were not there.
    pub added: Vec<String>,
    /// Values that are not there any more.
    pub removed: Vec<String>,
}

/// How many places each list of a difference names.
const PLACES: usize = 40;

impl Difference {
    /// From an earlier body to this one.
    pub fn between(from: HoldId, earlier: &ShownBody, now: &ShownBody) -> Self {
        let find = |outline: &[(String, String)], place: &str| {
            outline.iter().find(|(have, _)| have == place).map(|(_, digest)| digest.clone())
        };
        let mut found = Self { from: Some(from), ..Self::default() };
        for (place, digest) in &now.outline {
            match find(&earlier.outline, place) {
                None => found.added.push(place.clone()),
                Some(before) if before != *digest => found.changed.push(place.clone()),
                Some(_) => {}
            }
        }
        let gone = earlier.outline.iter().filter(|(place, _)| find(&now.outline, place).is_none());
        found.removed.extend(gone.map(|(place, _)| place.clone()));
        for list in [&mut found.changed, &mut found.added, &mut found.removed] {
            if list.len() > PLACES {
                let more = list.len() - PLACES;
                list.truncate(PLACES);
                list.push(format!("and {more} more"));
            }
        }
        found
    }
}

impl Card {
    /// What is kept once the call is decided: not the body.
    #[must_use]
    pub fn without_body(&self) -> Self {
        let mut card = self.clone();
        card.body.text = None;
        card
    }

    /// What is shown to whoever may look: not what differences are told by, from which short values could be guessed.
    #[must_use]
    pub fn for_show(&self) -> Self {
        let mut card = self.clone();
        card.body.outline = Vec::new();
        card
    }
}
