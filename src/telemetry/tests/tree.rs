use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::collector::{Collector, LONG, Zeros};
use crate::call::{BodyFacts, Class, Closing, Outcome, Refusal};
use crate::record::tests::fixture::{decided, intercepted, start};
use crate::telemetry::{Colour, Followers, Ports, Settings, Tree};

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn drawn(colour: Colour) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let screen = Screen::default();
    let tree = Some(Tree::new(Box::new(screen.clone()), colour));
    let ports = Ports { post: Collector::new([]), entropy: Arc::new(Zeros) };
    let followers = Followers::start(&journal, Settings { otlp: None, tree }, ports).unwrap();
    let call = decided(Class::Read);
    journal.open(&call).await.unwrap().close(Closing {
        status: Some(200),
        duration_ns: 34_100_000,
        decided_ns: 200_000,
        first_byte_ns: Some(30_000_000),
        response: BodyFacts { bytes: 12_345, sha256: None, complete: true },
        error: Some("odd\u{1b}[2J\u{202e}".to_owned()),
        ..Closing::bare(Outcome::Answered)
    });
    let refused = intercepted("/things/%C2%9Bx", &[]);
    journal.refuse(refused.account(), &Refusal::IdentityRequired).await.unwrap();
    journal.stop().await;
    followers.stop(LONG).await;
    let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
    (text, call.stage().task.id.to_string())
}

#[tokio::test]
async fn calls_are_drawn_under_their_task() {
    let (text, task) = drawn(Colour::Never).await;
    let refused = text.find("● nobody").unwrap();
    assert_eq!(
        &text[..refused],
        format!(
            "● coder · triage · task {task}\n\
             ├─ ✓ example:things/read  read  POST api.example.test/things/1  200  34.1 ms\n\
             │  ├─ 0.2 ms   allowed by things\n\
             │  ├─ 30.0 ms  the origin begins to answer\n\
             │  └─ 34.1 ms  answered, 0 B sent, 12.3 kB received: odd[2J\n"
        )
    );
    let text = &text[refused..];
    assert!(text.starts_with("● nobody · trace 4bf92f3577b34da6a3ce929d0e0e4736\n"), "{text}");
    let line = "├─ ✗ not recognised  POST api.example.test/things/%C2%9Bx  refused identity_required\n";
    assert!(text.contains(line), "{text}");
    assert!(text.ends_with("the caller has not said who it is\n"), "{text}");
}

#[tokio::test]
async fn colour_is_only_put_where_it_is_wanted() {
    let (plain, _) = drawn(Colour::Never).await;
    assert!(!plain.contains('\u{1b}'));
    let (coloured, _) = drawn(Colour::Always).await;
    assert!(coloured.contains("\u{1b}[32m200\u{1b}[0m"), "{coloured}");
    assert!(!coloured.contains("\u{1b}[2J") && !coloured.contains('\u{202e}'), "a stranger moves the cursor");
}
