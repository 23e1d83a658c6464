//! Calls, clocks and failing disks for the tests of this room.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use http::{HeaderMap, HeaderValue, Method, Version};

use crate::call::principal::Entrance;
use crate::call::task::IntentName;
use crate::call::{
    Call, CallId, Class, Clock, Decided, Decision, Entropy, Evidence, Head, History, Intercepted, Operation,
    OperationId, Operations, Origin, PolicyId, Presented, Principal, Reason, Recognition, Resource, Ruled,
    RulesDigest, Ruling, Scheme, ServiceName, SpiffeId, Target, Task, TaskId, Timestamp, TraceContext,
};
use crate::record::checkpoint::LogKey;
use crate::record::disk::{Disk, FileSystem, Storage};
use crate::record::{Entry, Journal, Settings, Tail};

/// One millisecond later each time.
pub(crate) struct Ticking(AtomicU64);

impl Ticking {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_795_500_000_000_000_001)))
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ns(self.0.fetch_add(1_000_000, Ordering::Relaxed))
    }
}

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (at, byte) in buffer.iter_mut().rev().enumerate() {
            *byte = count.iter().rev().nth(at).copied().unwrap_or(7);
        }
    }
}

struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// A journal in `dir` whose heads are signed.
pub(crate) fn signed(dir: &Path) -> Settings {
    Settings { log_key: Some(Arc::new(LogKey::load_or_make(dir, &Sevens).unwrap())), ..settings(dir) }
}

static ENTROPY: Counting = Counting(AtomicU64::new(1));

/// For a process whose ids must not be those of another.
pub(crate) fn renumber(from: u64) {
    ENTROPY.0.store(from, Ordering::Relaxed);
}

pub(crate) fn call_id() -> CallId {
    CallId::fresh(&*Ticking::new(), &ENTROPY)
}

pub(crate) fn intercepted(target: &str, headers: &[(&'static str, &str)]) -> Call<Intercepted> {
    let id = call_id();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let (host, port) = Origin::parse_authority("api.example.test", Some(443)).unwrap();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let head = Head {
        id,
        at: Timestamp::from_unix_s(1_795_500_000),
        origin: Origin { scheme: Scheme::Https, host, port },
        method: Method::POST,
        target: Target::parse(target).unwrap(),
        version: Version::HTTP_11,
        headers: map,
        trace: TraceContext::of(id, Some(traceparent), &ENTROPY),
        upgrade: None,
    };
    let presented = Presented {
        peer: "127.0.0.1:50000".parse().unwrap(),
        by: Entrance::Proxy,
        token: None,
        certificates: None,
        chain: None,
        process: None,
    };
    Call::intercepted(head, presented)
}

pub(crate) fn task() -> Task {
    Task {
        id: TaskId::fresh(&*Ticking::new(), &ENTROPY),
        agent: SpiffeId::parse("spiffe://example.org/agent/coder").unwrap(),
        intent: IntentName::parse("triage").unwrap(),
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        opened: Timestamp::from_unix_s(1_795_500_000),
        deadline: Timestamp::from_unix_s(1_795_500_900),
        terms: crate::call::Terms::default(),
    }
}

pub(crate) fn decided_from(call: Call<Intercepted>, class: Class) -> Call<Decided> {
    let operation = Operation {
        id: OperationId(format!("example:things/{class}").into()),
        service: ServiceName("example".into()),
        class,
        resource: Some(Resource { kind: "thing".into(), id: "a/b".to_owned() }),
        how: Recognition::Exact,
        facts: crate::call::Facts::default(),
        because: "catalog".into(),
        ai: None,
    };
    let task = task();
    let principal = Principal {
        agent: task.agent.clone(),
        evidence: Evidence::TaskToken,
        claims: crate::call::Claims::default(),
    };
    let history = History { reads: 3, ..History::default() };
    let call = call.recognise(Operations::one(operation)).attribute(principal, Arc::new(task), history);
    let permit = Reason { policy: PolicyId("things".into()), reason: None, advice: None, hold: None };
    let ruling = Ruling::assertion(Decision::Allow, vec![permit], None, RulesDigest([7; 32]));
    match call.decide(ruling) {
        Ruled::Allowed(call) => call,
        Ruled::Denied(_) | Ruled::Held(_) => unreachable!("the ruling allows"),
    }
}

pub(crate) fn decided(class: Class) -> Call<Decided> {
    decided_from(intercepted("/things/1?page=2", &[]), class)
}

pub(crate) fn settings(dir: &Path) -> Settings {
    Settings::new(dir)
}

pub(crate) fn start(dir: &Path) -> Journal {
    Journal::start(settings(dir), Ticking::new()).unwrap()
}

pub(crate) fn entries(dir: &Path) -> Vec<Entry> {
    Tail::open(dir, crate::call::EntryId(0)).read(usize::MAX).unwrap()
}

/// Kind of each entry, with the outcome of closings.
pub(crate) fn kinds(dir: &Path) -> Vec<String> {
    let word = |entry: &Entry| match &entry.what {
        crate::record::What::Closed(closed) => format!("closed {:?}", closed.closing.outcome),
        other => {
            let json = serde_json::to_value(other).unwrap();
            json["kind"].as_str().unwrap().to_owned()
        }
    };
    entries(dir).iter().map(word).collect()
}

pub(crate) fn text(dir: &Path) -> String {
    let mut paths: Vec<_> =
        std::fs::read_dir(dir.join("journal")).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "jsonl"));
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// A disk that fails on command, counts its syncs, and can be made to wait.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) syncs: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) sync_fails: AtomicBool,
    pub(crate) truncate_fails: AtomicBool,
    /// Fails writes after this many bytes of them; none: never.
    write_room: Mutex<Option<(usize, io::ErrorKind)>>,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Faults {
    /// From now on each write takes this many bytes and then fails.
    pub(crate) fn full_after(&self, bytes: Option<usize>) {
        *self.write_room.lock().unwrap() = bytes.map(|bytes| (bytes, io::ErrorKind::StorageFull));
    }

    /// From now on each write is refused so.
    pub(crate) fn refuse(&self, kind: Option<io::ErrorKind>) {
        *self.write_room.lock().unwrap() = kind.map(|kind| (0, kind));
    }

    /// While held, `fdatasync` does not return.
    pub(crate) fn hold_syncs(&self, hold: bool) {
        *self.gate.lock().unwrap() = hold;
        self.opened.notify_all();
    }
}

pub(crate) struct Faulty(pub(crate) Arc<Faults>);

struct FaultyFile(Box<dyn Storage>, Arc<Faults>);

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(FaultyFile(FileSystem.create(path)?, Arc::clone(&self.0))))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(FaultyFile(FileSystem.open(path)?, Arc::clone(&self.0))))
    }

    fn aside(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        FileSystem.aside(path)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        FileSystem.replace(path, bytes)
    }
}

impl Storage for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.writes.fetch_add(1, Ordering::SeqCst);
        if let Some((room, kind)) = *self.1.write_room.lock().unwrap() {
            self.0.write_at(&bytes[..room.min(bytes.len())], offset)?;
            return Err(kind.into());
        }
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let gate = self.1.gate.lock().unwrap();
        drop(self.1.opened.wait_while(gate, |held| *held).unwrap());
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if self.1.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("input/output error"));
        }
        self.0.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.1.truncate_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("input/output error"));
        }
        self.0.set_len(len)
    }
}

pub(crate) fn start_faulty(dir: &Path) -> (Journal, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let disk = Arc::new(Faulty(Arc::clone(&faults)));
    (Journal::start_on(settings(dir), Ticking::new(), disk).unwrap(), faults)
}
