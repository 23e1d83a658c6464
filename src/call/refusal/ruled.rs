//! How a ruling reads.

use crate::call::decision::Ruling;
use crate::call::hold::Quorum;
use crate::call::id::HoldId;
use crate::call::operation::{Class, OperationId};

pub(super) fn held(class: Class, operation: &OperationId, hold: HoldId, ruling: &Ruling) -> String {
    let people = |Quorum { group, votes }: Quorum<'_>| match votes {
        1 => format!("a person of `{group}`"),
        votes => format!("{votes} people of `{group}`"),
    };
    let approvers: Vec<_> = ruling.quorums().into_iter().map(people).collect();
    let mut text = format!("`{operation}` ({class}) is held for {}, hold {hold}", approvers.join(" and "));
    for reason in ruling.told().filter_map(|reason| reason.reason.as_ref()) {
        text.push_str(": ");
        text.push_str(reason);
    }
    if let Some(note) = ruling.note() {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}

pub(super) fn denied(class: Class, operation: &OperationId, ruling: &Ruling) -> String {
    let by: Vec<_> = ruling.told().map(|reason| reason.policy.to_string()).collect();
    let mut text = match (by.as_slice(), ruling.note()) {
        ([], Some(note)) => format!("`{operation}` ({class}) is refused: {note}"),
        ([], None) => format!("`{operation}` ({class}) is refused: no policy permits it"),
        (ids, _) => format!("`{operation}` ({class}) is refused by policy {}", ids.join(", ")),
    };
    for reason in ruling.told().filter_map(|reason| reason.reason.as_ref()) {
        text.push_str(": ");
        text.push_str(reason);
    }
    if let (false, Some(note)) = (by.is_empty(), ruling.note()) {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}

pub(super) fn noted(note: Option<&str>) -> String {
    note.map(|note| format!(": {note}")).unwrap_or_default()
}
