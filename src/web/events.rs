//! `GET /v1/events`: the journal as it is written, as server-sent events (WHATWG HTML §9.2).
//!
//! Each entry is one event: its kind is the type, its number the id, its line the data. Who comes back with `Last-Event-ID` goes on
//! behind that entry, so nothing is missed; who is slow reads from the disk and holds nobody up.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::{Problem, Shared};
use crate::call::EntryId;
use crate::record::{Entry, Follow};

/// Streams that are served at once, those of the console among them: each holds one of the API's connections.
pub(super) const MAX_STREAMS: usize = 96;
/// How many entries are read at one time.
const AT_ONCE: usize = 256;
/// What keeps proxies on the way from taking a quiet stream for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The query of `GET /v1/events`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    /// The entry to begin with; without: what is written from now on.
    from: Option<u64>,
    /// Kinds of entries, separated by commas; without: all.
    kind: Option<String>,
}

struct Stream {
    follow: Follow,
    kinds: Vec<String>,
    ready: VecDeque<Entry>,
    _place: OwnedSemaphorePermit,
}

/// `GET /v1/events`.
pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let place = place(&shared)?;
    let last = headers.get("last-event-id").map(|id| {
        let id = id.to_str().ok().and_then(|id| id.parse::<u64>().ok());
        id.ok_or_else(|| {
            Problem::bad_request("bad_last_event_id", "`Last-Event-ID` is the number of an entry")
        })
    });
    let from = last.transpose()?.map(|id| id.saturating_add(1)).or(wanted.from);
    let end = shared.rooms.insight.follow(EntryId(0)).end();
    let follow = shared.rooms.insight.follow(EntryId(from.unwrap_or(end.0)));
    let kinds = wanted.kind.as_deref().unwrap_or_default().split(',').map(str::trim);
    let kinds = kinds.filter(|kind| !kind.is_empty()).map(str::to_owned).collect();
    let begun = Stream { follow, kinds, ready: VecDeque::new(), _place: place };
    let events = stream::unfold(begun, |mut stream| async move {
        let entry = stream.next().await?;
        Some((Ok::<_, Infallible>(event(&entry)), stream))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Room for one more stream.
pub(super) fn place(shared: &Shared) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&shared.streams).try_acquire_owned().map_err(|_| {
        let detail =
            format!("{MAX_STREAMS} event streams are open, which is as many as there may be; close one");
        Problem::unavailable("too_many_streams", detail)
    })
}

impl Stream {
    /// The next entry of these kinds. None: the journal is closed, or cannot be read, which its reader finds out when it asks again.
    async fn next(&mut self) -> Option<Entry> {
        loop {
            while let Some(entry) = self.ready.pop_front() {
                if self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == entry.what.kind()) {
                    return Some(entry);
                }
            }
            if !self.follow.ready().await {
                return None;
            }
            match self.follow.read(AT_ONCE).await {
                Ok(entries) => self.ready.extend(entries),
                Err(error) => {
                    tracing::warn!(%error, "an event stream ends: the journal cannot be read");
                    return None;
                }
            }
        }
    }
}

fn event(entry: &Entry) -> Event {
    // Canonical: what was read gives back the line.
    let line = serde_json::to_string(entry).unwrap_or_default();
    Event::default().id(entry.seq.to_string()).event(entry.what.kind()).data(line)
}
