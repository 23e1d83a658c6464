//! The same families as text and as OTLP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use prost::Message as _;
use url::Url;

use super::collector::{LONG, Zeros};
use crate::call::Timestamp;
use crate::call::meter::Histogram;
use crate::record::tests::fixture::{Ticking, start};
use crate::telemetry::metrics::{Family, Series, text};
use crate::telemetry::push::request;
use crate::telemetry::{Endpoint, Followers, Otlp, Ports, Post, Posted, Settings};

fn families() -> Vec<Family> {
    let took = Histogram::default();
    took.add(Duration::from_micros(20));
    took.add(Duration::from_secs(60));
    vec![
        Family {
            name: "remit.calls",
            help: "Calls.",
            unit: "{call}",
            series: Series::Sums(vec![(vec![("class", "read"), ("decision", "allow")], 7)]),
        },
        Family {
            name: "remit.export.lag",
            help: "Age.",
            unit: "s",
            series: Series::Gauges(vec![(Vec::new(), 1.5)]),
        },
        Family {
            name: "remit.judge.duration",
            help: "Judging.",
            unit: "s",
            series: Series::Histograms(vec![(vec![("stage", "judge")], took.measured())]),
        },
    ]
}

#[test]
fn prometheus_gets_names_with_units_and_buckets_that_add_up() {
    let told = text(&families());
    let has = |line: &str| assert!(told.lines().any(|one| one == line), "{line} is not in\n{told}");
    has("# TYPE remit_calls_total counter");
    has("remit_calls_total{class=\"read\",decision=\"allow\"} 7");
    has("remit_export_lag_seconds 1.5");
    has("# TYPE remit_judge_duration_seconds histogram");
    has("remit_judge_duration_seconds_bucket{stage=\"judge\",le=\"0.00001\"} 0");
    has("remit_judge_duration_seconds_bucket{stage=\"judge\",le=\"0.000025\"} 1");
    has("remit_judge_duration_seconds_bucket{stage=\"judge\",le=\"30\"} 1");
    has("remit_judge_duration_seconds_bucket{stage=\"judge\",le=\"+Inf\"} 2");
    has("remit_judge_duration_seconds_count{stage=\"judge\"} 2");
    has("remit_judge_duration_seconds_sum{stage=\"judge\"} 60.00002");
}

#[test]
fn otlp_gets_cumulative_sums_and_as_many_buckets_as_bounds_and_one() {
    let (began, now) = (Timestamp::from_unix_s(1_000), Timestamp::from_unix_s(1_060));
    let sent = request(&[("service.name".to_owned(), "n".to_owned())], &families(), began, now);
    let of = &sent.resource_metrics[0];
    assert_eq!(of.resource.as_ref().unwrap().attributes[1].key, "service.name");
    let metrics = &of.scope_metrics[0].metrics;
    let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{metrics:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    assert_eq!(sum.data_points[0].start_time_unix_nano, began.unix_ns());
    let Some(Data::Histogram(took)) = &metrics[2].data else { panic!("{metrics:?}") };
    let point = &took.data_points[0];
    assert_eq!((point.count, point.bucket_counts.len()), (2, point.explicit_bounds.len() + 1));
    assert_eq!(metrics[2].unit, "s");
}

/// Keeps what is posted.
#[derive(Default)]
struct Posts(Mutex<Vec<(String, Bytes)>>);

impl Post for Posts {
    fn post<'a>(
        &'a self,
        url: &'a Url,
        _headers: HeaderMap,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Posted, String>> {
        self.0.lock().unwrap().push((url.to_string(), body));
        std::future::ready(Ok(Posted { status: 200, ..Posted::default() })).boxed()
    }
}

#[tokio::test]
async fn metrics_are_pushed_at_the_end_although_no_interval_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let posts = Arc::new(Posts::default());
    let world = Ports { post: posts.clone(), entropy: Arc::new(Zeros) };
    let followers = Followers::start(&journal, Settings::default(), world.clone()).unwrap();
    let to = Otlp::new(Endpoint::Http("http://collector.test:4318/v1/metrics".parse().unwrap()));
    followers.push(to, Duration::from_secs(3600), Arc::new(families), &world, Ticking::new()).unwrap();
    journal.stop().await;
    followers.stop(LONG).await;
    let posts = posts.0.lock().unwrap();
    let [(url, body)] = posts.as_slice() else { panic!("{posts:?}") };
    assert_eq!(url, "http://collector.test:4318/v1/metrics");
    let sent = ExportMetricsServiceRequest::decode(body.clone()).unwrap();
    assert_eq!(sent.resource_metrics[0].scope_metrics[0].metrics[0].name, "remit.calls");
}
