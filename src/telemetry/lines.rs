//! Spans as text, for whoever carries them elsewhere: one `ExportTraceServiceRequest` in JSON a line, as the OpenTelemetry
//! Protocol File Exporter writes it and the collectors' file receivers read it.

use opentelemetry_proto::tonic::trace::v1::Span;

use super::otlp;
use super::pair::Pairs;
use super::span;
use crate::record::Entry;

/// Spans in one line.
const SPANS: usize = 256;

/// Entries go in, in order; lines come out. The ids are those of the spans that a follower sends, so a backend that has
/// both knows them for the same.
#[derive(Default)]
pub struct SpanLines {
    pairs: Pairs,
    ready: Vec<Span>,
}

impl SpanLines {
    /// Takes the next entry; gives back a line, newline included, where one is full.
    pub fn take(&mut self, entry: Entry) -> Option<String> {
        self.ready.extend(self.pairs.take(entry).as_ref().map(span::span));
        if self.ready.len() < SPANS { None } else { self.rest() }
    }

    /// The spans that are left, if there are any. Calls that are open have none yet.
    pub fn rest(&mut self) -> Option<String> {
        let spans = std::mem::take(&mut self.ready);
        if spans.is_empty() {
            return None;
        }
        // Strings and numbers only, so nothing here can fail.
        serde_json::to_string(&otlp::request(&[], spans)).ok().map(|line| line + "\n")
    }
}
