//! Pushes metrics by OTLP, at an interval and once at the end.
//!
//! Sums are cumulative since the node's start, so a push that is lost costs nothing but its moment; nothing is queued.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as Histograms, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use tokio::sync::watch;

use super::metrics::{Family, Labels, Series, seconds};
use super::otlp::{self, Otlp, Verdict, Wire};
use super::semconv;
use crate::call::meter::{Histogram, Measured};
use crate::call::{Clock, Timestamp};

/// Tells how things stand.
pub type Scrape = Arc<dyn Fn() -> Vec<Family> + Send + Sync>;

pub(super) struct Push {
    pub(super) wire: Wire,
    pub(super) otlp: Otlp,
    pub(super) every: Duration,
    pub(super) scrape: Scrape,
    pub(super) clock: Arc<dyn Clock>,
}

impl Push {
    /// Runs until `stop` is set; then pushes once more.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let began = self.clock.now();
        let mut trouble = false;
        loop {
            let over = tokio::time::timeout(self.every, stop.wait_for(|stop| *stop)).await.is_ok();
            let request = request(&self.otlp.resource, &(self.scrape)(), began, self.clock.now());
            let why = match self.wire.send_metrics(request).await {
                Verdict::Taken { rejected: 0, .. } => None,
                Verdict::Taken { why, .. }
                | Verdict::Later { why, .. }
                | Verdict::TooMuch { why }
                | Verdict::Unfit { why } => Some(why),
            };
            // Once, not every minute: a backend for traces alone never takes them.
            if let Some(why) = why.as_deref().filter(|_| !trouble) {
                tracing::warn!(why, "metrics cannot be pushed; /metrics has them");
            }
            trouble = why.is_some();
            if over {
                return;
            }
        }
    }
}

/// Puts metrics into an envelope that says who sends them.
pub(super) fn request(
    resource: &[(String, String)],
    families: &[Family],
    began: Timestamp,
    now: Timestamp,
) -> ExportMetricsServiceRequest {
    let span = Span { began: began.unix_ns(), now: now.unix_ns() };
    let (resource, scope) = otlp::sender(resource);
    let metrics = families.iter().map(|family| span.metric(family)).collect();
    let schema_url = semconv::SCHEMA_URL.to_owned();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: schema_url.clone() }];
    let of = ResourceMetrics { resource: Some(resource), scope_metrics, schema_url };
    ExportMetricsServiceRequest { resource_metrics: vec![of] }
}

/// The time that is told of.
struct Span {
    began: u64,
    now: u64,
}

impl Span {
    fn metric(&self, family: &Family) -> Metric {
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match &family.series {
            Series::Sums(all) => metric::Data::Sum(Sum {
                data_points: all
                    .iter()
                    .map(|(labels, value)| {
                        let value = i64::try_from(*value).unwrap_or(i64::MAX);
                        self.number(labels, number_data_point::Value::AsInt(value))
                    })
                    .collect(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            Series::Gauges(all) => metric::Data::Gauge(Gauge {
                data_points: all
                    .iter()
                    .map(|(labels, value)| self.number(labels, number_data_point::Value::AsDouble(*value)))
                    .collect(),
            }),
            Series::Histograms(all) => metric::Data::Histogram(Histograms {
                data_points: all.iter().map(|(labels, measured)| self.histogram(labels, measured)).collect(),
                aggregation_temporality: cumulative,
            }),
        };
        Metric {
            name: family.name.to_owned(),
            description: family.help.to_owned(),
            unit: family.unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn number(&self, labels: &Labels, value: number_data_point::Value) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(&self, labels: &Labels, measured: &Measured) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            count: measured.count(),
            sum: Some(seconds(measured.sum_ns)),
            bucket_counts: measured.buckets.to_vec(),
            explicit_bounds: Histogram::BOUNDS_NS.iter().map(|ns| seconds(*ns)).collect(),
            ..HistogramDataPoint::default()
        }
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(key, value)| otlp::text(key, value)).collect()
}
