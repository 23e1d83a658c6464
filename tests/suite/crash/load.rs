//! Acts from several connections, each with a path of its own, and an origin that writes down what it got.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A hung node must not hang the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// Head and body of one message; none where the other end has gone.
fn message(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            text => head.push(text.to_owned()),
        }
    }
    let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).ok()?;
    Some(head)
}

fn field<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let fields = head.iter().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[derive(Default)]
struct Book {
    paths: HashSet<String>,
}

/// Answers everything with 200, after it has written it down.
pub(crate) struct Origin {
    address: SocketAddr,
    book: Arc<(Mutex<Book>, Condvar)>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::new((Mutex::default(), Condvar::new()));
        let shared = Arc::clone(&book);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let book = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &book));
            }
        });
        Self { address, book }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until it has received that many more.
    pub(crate) fn wait_for(&self, more: u64) {
        let (book, changed) = &*self.book;
        let book = book.lock().unwrap();
        let wanted = book.paths.len() as u64 + more;
        let few = |book: &mut Book| (book.paths.len() as u64) < wanted;
        let (_book, wait) = changed.wait_timeout_while(book, PATIENCE, few).unwrap();
        assert!(!wait.timed_out(), "the origin gets nothing");
    }

    pub(crate) fn received(&self) -> HashSet<String> {
        self.book.0.lock().unwrap().paths.clone()
    }
}

fn serve(stream: TcpStream, book: &(Mutex<Book>, Condvar)) {
    let mut stream = BufReader::new(stream);
    while let Some(head) = message(&mut stream) {
        let path = head[0].split(' ').nth(1).unwrap().to_owned();
        book.0.lock().unwrap().paths.insert(path);
        book.1.notify_all();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if stream.get_mut().write_all(answer).is_err() {
            return;
        }
    }
}

/// Where the connections go at the moment.
enum Way {
    To(SocketAddr),
    Nowhere,
    Home,
}

/// Connections that call one after the other while there is a node.
pub(crate) struct Load {
    way: Arc<(Mutex<Way>, Condvar)>,
    workers: Vec<JoinHandle<Vec<(String, String)>>>,
}

impl Load {
    pub(crate) fn start(connections: usize) -> Self {
        let way = Arc::new((Mutex::new(Way::Nowhere), Condvar::new()));
        let worker = |number: usize| {
            let way = Arc::clone(&way);
            std::thread::spawn(move || work(number, &way))
        };
        Self { workers: (0..connections).map(worker).collect(), way }
    }

    fn set(&self, way: Way) {
        *self.way.0.lock().unwrap() = way;
        self.way.1.notify_all();
    }

    pub(crate) fn go_to(&self, proxy: SocketAddr) {
        self.set(Way::To(proxy));
    }

    pub(crate) fn halt(&self) {
        self.set(Way::Nowhere);
    }

    /// Path and call of everything that was answered with 200.
    pub(crate) fn stop(self) -> Vec<(String, String)> {
        self.set(Way::Home);
        self.workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    }
}

fn work(number: usize, way: &(Mutex<Way>, Condvar)) -> Vec<(String, String)> {
    let (mut answered, mut calls) = (Vec::new(), 0_u64);
    let mut stream: Option<BufReader<TcpStream>> = None;
    loop {
        let guard = way.1.wait_while(way.0.lock().unwrap(), |way| matches!(way, Way::Nowhere)).unwrap();
        let proxy = match *guard {
            Way::To(proxy) => proxy,
            Way::Nowhere | Way::Home => return answered,
        };
        drop(guard);
        let Some(open) = stream.take().or_else(|| connect(proxy)) else { continue };
        calls += 1;
        let path = format!("/act/{number}-{calls}");
        stream = call(open, &path, &mut answered);
    }
}

fn connect(proxy: SocketAddr) -> Option<BufReader<TcpStream>> {
    let stream = TcpStream::connect(proxy).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(BufReader::new(stream))
}

/// One call; gives back the connection if it can be used again.
fn call(
    mut stream: BufReader<TcpStream>,
    path: &str,
    answered: &mut Vec<(String, String)>,
) -> Option<BufReader<TcpStream>> {
    let request =
        format!("POST http://acts.test{path} HTTP/1.1\r\nhost: acts.test\r\ncontent-length: 1\r\n\r\nx");
    stream.get_mut().write_all(request.as_bytes()).ok()?;
    let head = message(&mut stream)?;
    if head[0].contains(" 200 ") {
        answered.push((path.to_owned(), field(&head, "remit-call").unwrap().to_owned()));
    }
    Some(stream)
}
