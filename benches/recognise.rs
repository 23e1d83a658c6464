//! How long it takes to name an operation: `cargo bench --bench recognise`.
//!
//! Each case is one request, recognised again and again as the proxy does it: what of the body is wanted, and what it would do.
//! A round is timed as a whole, so the clock is read once for some hundred calls. Method and figures: benches/README.md.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench that cannot run says why by panicking, and its figures are no exact ones"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use remit::call::{CallId, Head, Origin, Peek, Scheme, SpanId, Target, Timestamp, TraceContext, TraceId};
use remit::catalog::Catalog;

/// One request.
struct Case {
    name: String,
    head: Head,
    body: Bytes,
}

impl Case {
    fn new(name: &str, request: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let (method, place) = request.split_once(' ').expect("a method and a place");
        let (host, path) = place.split_once('/').expect("a host and a path");
        let (host, port) = Origin::parse_authority(host, Some(443)).expect("a host");
        let header = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().expect("a field name");
            (name, HeaderValue::from_str(value).expect("a field value"))
        };
        let head = Head {
            id: "00000000000000000000000000".parse::<CallId>().expect("an id"),
            at: Timestamp::default(),
            origin: Origin { scheme: Scheme::Https, host, port },
            method: Method::from_bytes(method.as_bytes()).expect("a method"),
            target: Target::parse(&format!("/{path}")).expect("a target"),
            version: Version::HTTP_11,
            headers: headers.iter().map(header).collect::<HeaderMap>(),
            trace: TraceContext { trace: TraceId([1; 16]), parent: None, span: SpanId([1; 8]), flags: 0 },
            upgrade: None,
        };
        Self { name: name.to_owned(), head, body: body.into() }
    }

    fn once(&self, catalog: &Catalog) {
        let peek = match catalog.wants_body(&self.head) {
            None => Peek::default(),
            Some(limit) if self.body.len() <= limit => Peek { bytes: self.body.clone(), whole: true },
            Some(limit) => Peek { bytes: self.body.slice(..limit), whole: false },
        };
        black_box(catalog.recognise(black_box(&self.head), &peek));
    }

    /// Nanoseconds a call: median, and the best round.
    fn measure(&self, catalog: &Catalog) -> (f64, f64) {
        let begun = Instant::now();
        let mut warm = 0_u32;
        while begun.elapsed() < Duration::from_millis(100) {
            self.once(catalog);
            warm += 1;
        }
        let calls = (warm / 50).clamp(1, 1_000);
        let mut rounds: Vec<f64> = (0..101)
            .map(|_| {
                let begun = Instant::now();
                (0..calls).for_each(|_| self.once(catalog));
                begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        (rounds[50], rounds[0])
    }
}

/// Services of the operator's, made up: `services` of them with `each` operations.
fn synthetic(dir: &Path, services: usize, each: usize) -> Catalog {
    for service in 0..services {
        let folder = dir.join(format!("made-{service}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let about = format!(
            "format = 1\nname = \"made-{service}\"\ntitle = \"Made up\"\nprotocol = \"rest\"\nhosts = [\"api{service}.made.test\"]\n\
             [provenance]\nsource = \"made up\"\nversion = \"1\"\ndate = \"2026-11-25\"\nlicence = \"none\"\n"
        );
        std::fs::write(folder.join("service.toml"), about).expect("a file");
        let mut lines = String::from("#remit-operations 1\n");
        for at in 0..each {
            let (verb, class) = [("GET", "read"), ("POST", "act")][at % 2];
            writeln!(
                lines,
                "{verb}\t/v1/projects/{{p}}/kind{}/{{id}}/part{at}\tkind.part{at}\t{class}\tproject={{p}}",
                at / 50
            )
            .expect("a line");
        }
        std::fs::write(folder.join("operations.tsv"), lines).expect("a file");
    }
    Catalog::load(&[dir.to_owned()]).expect("a catalog")
}

fn graphql(kib: usize) -> String {
    let mut document = String::from("query Q($n: Int) { viewer { login ");
    let mut at = 0;
    while document.len() < kib * 1024 {
        let _infallible = write!(
            document,
            "f{at}: repository(owner: \\\"octo\\\", name: \\\"hello\\\") {{ id name owner {{ login }} }} "
        );
        at += 1;
    }
    format!("{{\"query\":\"{document} }} }}\",\"operationName\":\"Q\",\"variables\":{{\"n\":1}}}}")
}

fn json_rpc(kib: usize) -> String {
    let mut arguments = String::new();
    let mut at = 0;
    while arguments.len() < kib * 1024 {
        let _infallible = write!(arguments, "\"key{at}\":[1,2,{{\"text\":\"some words of an argument\"}}],");
        at += 1;
    }
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"search\",\"arguments\":{{{arguments}\"end\":true}}}}}}"
    )
}

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn cases() -> Vec<Case> {
    let target =
        [("x-amz-target", "DynamoDB_20120810.GetItem"), ("content-type", "application/x-amz-json-1.0")];
    let mut all = vec![
        Case::new("rest GET", "GET api.github.com/repos/octo/hello/issues?state=open", &[], ""),
        Case::new(
            "rest POST, body for facts",
            "POST slack.com/api/chat.postMessage",
            &[JSON],
            r#"{"channel":"C1","text":"hello"}"#,
        ),
        Case::new("rest, unknown host", "POST nobody.test/v1/things/7/search", &[JSON], r#"{"q":"x"}"#),
        Case::new("form", "POST api.stripe.com/v1/charges", &[FORM], "amount=100&currency=eur"),
        Case::new(
            "aws json",
            "POST dynamodb.eu-west-1.amazonaws.com/",
            &target,
            r#"{"TableName":"t","Key":{"id":{"S":"1"}}}"#,
        ),
        Case::new(
            "aws query",
            "POST iam.amazonaws.com/",
            &[FORM],
            "Action=CreateUser&UserName=x&Version=2010-05-08",
        ),
        Case::new(
            "grpc",
            "POST grpc.nobody.test/pkg.Service/GetThing",
            &[("content-type", "application/grpc")],
            "",
        ),
    ];
    for kib in [1, 16, 100] {
        all.push(Case::new(
            &format!("graphql {kib} KiB"),
            "POST api.github.com/graphql",
            &[JSON],
            graphql(kib),
        ));
        all.push(Case::new(
            &format!("json-rpc {kib} KiB"),
            "POST mcp.nobody.test/mcp",
            &[JSON],
            json_rpc(kib),
        ));
    }
    all
}

/// Bodies that are made to take long. Each is what the proxy would show: cut where it is not whole.
fn worst() -> Vec<Case> {
    let mut fragments = String::from("{...F0}");
    for n in 0..300_000 {
        let _infallible = write!(fragments, "fragment F{n} on Q{{...F{} ...F{}}}", n + 1, n / 2);
    }
    let bomb = {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![b'['; 1 << 20];
        (0..64).for_each(|_| std::io::Write::write_all(&mut packer, &zeros).expect("memory"));
        packer.finish().expect("memory")
    };
    let json = "[".repeat(1 << 20);
    let fields = format!("{{{}\"a\":1}}", "\"query\":\"{a}\",".repeat(70_000));
    vec![
        Case::new(
            "10 MB of nested GraphQL fragments",
            "POST x.test/graphql",
            &[("content-type", "application/graphql")],
            fragments.clone(),
        ),
        Case::new(
            "1 MB of nested GraphQL fragments",
            "POST x.test/graphql",
            &[("content-type", "application/graphql")],
            fragments[..1 << 20].to_owned(),
        ),
        Case::new("1 MB of [", "POST x.test/mcp", &[JSON], json),
        Case::new("70,000 documents", "POST x.test/graphql", &[JSON], fields),
        Case::new("64 MB in gzip", "POST x.test/graphql", &[JSON, ("content-encoding", "gzip")], bomb),
    ]
}

fn main() {
    let shipped = Catalog::shipped().expect("the shipped catalog");
    // `-- NAME`: only the cases with that in their names, and again and again, for a profiler.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if let Some(only) = only {
        for case in cases().iter().filter(|case| case.name.contains(&only)) {
            let rounds: Vec<f64> = (0..20).map(|_| case.measure(&shipped).0).collect();
            let best = rounds.iter().copied().fold(f64::MAX, f64::min);
            println!("{:<36} {:>9} {:>9.2} us at best", case.name, case.body.len(), best / 1e3);
        }
        return;
    }
    let count: usize = shipped.services().map(|service| shipped.operations(&service.0).len()).sum();
    println!("shipped catalog: {} services, {count} operations", shipped.services().count());
    println!("{:<36} {:>9} {:>9} {:>9} {:>9}", "case", "bytes", "p50 us", "best us", "us/KiB");
    for case in cases() {
        let (p50, best) = case.measure(&shipped);
        let kib = case.body.len() as f64 / 1024.0;
        let each = if kib >= 1.0 { format!("{:9.2}", p50 / 1e3 / kib) } else { String::from("        -") };
        println!("{:<36} {:>9} {:>9.2} {:>9.2} {each}", case.name, case.body.len(), p50 / 1e3, best / 1e3);
    }
    for (services, each) in [(25, 1_000), (250, 1_000), (1, 25_000), (1, 250_000)] {
        let dir = tempfile::tempdir().expect("a folder");
        let catalog = synthetic(dir.path(), services, each);
        let (service, at) = (services / 2, each / 2);
        let request = format!("GET api{service}.made.test/v1/projects/p7/kind{}/i9/part{at}", at / 50);
        let (p50, best) = Case::new("", &request, &[], "").measure(&catalog);
        let name = format!("rest GET, {services} x {each} more");
        println!("{name:<36} {:>9} {:>9.2} {:>9.2}", 0, p50 / 1e3, best / 1e3);
    }
    println!("worst cases, once each:");
    for case in worst() {
        let begun = Instant::now();
        case.once(&shipped);
        println!("{:<36} {:>9} {:>9.0} us", case.name, case.body.len(), begun.elapsed().as_secs_f64() * 1e6);
    }
}
