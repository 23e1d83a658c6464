use std::net::{TcpListener, TcpStream};

use super::*;

fn agent() -> SpiffeId {
    SpiffeId::parse("spiffe://example.org/agent/coder").unwrap()
}

fn rule() -> ProcessRule {
    ProcessRule { agent: agent(), uid: None, executable: None, sha256: None, cgroup: None }
}

fn process() -> Process {
    Process {
        uid: 1000,
        pid: Some(7),
        executable: Some("/usr/bin/coder".into()),
        sha256: Some("ab".into()),
        cgroup: Some("/system.slice/coder.service".into()),
    }
}

#[test]
fn the_tables_are_read_as_the_kernel_writes_them() {
    let line = "   1: 0100007F:9C40 0100007F:1FB6 01 00000000:00000000 00:00000000 00000000  1000        0 52345 1 0000000000000000 20 4 30 10 -1";
    let text = format!(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n{line}\n"
    );
    let (theirs, ours) = ("127.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
    let (theirs, ours) = (spelt(theirs, 40000, "tcp"), spelt(ours, 8118, "tcp"));
    assert_eq!(owner(&text, &theirs, &ours), Some((1000, 52345)));
    assert_eq!(owner(&text, &ours, &theirs), None, "the other end of it is another socket");
    assert_eq!(spelt("::1".parse().unwrap(), 1, "tcp6"), "00000000000000000000000001000000:0001");
    assert_eq!(spelt("127.0.0.1".parse().unwrap(), 1, "tcp6"), "0000000000000000FFFF00000100007F:0001");
}

#[test]
fn whoever_connects_over_loopback_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    let asks = ProcessRule { sha256: Some("00".into()), ..rule() };
    let found = Proc::new(&[asks]).at(peer, server.local_addr().unwrap()).expect("the kernel knows of it");
    assert_eq!(found.pid, Some(std::process::id()));
    assert_eq!(found.executable.as_deref(), std::env::current_exe().unwrap().to_str());
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    let digest = Sha256::digest(&own).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(found.sha256, Some(digest));
    assert_eq!(found.uid, fs::metadata("/proc/self").unwrap().uid());
    drop(client);
    let none = "127.0.0.1:1".parse().unwrap();
    assert_eq!(Proc::new(&[]).at(none, server.local_addr().unwrap()), None);
}

#[test]
fn all_that_a_rule_names_has_to_be_so() {
    let full = ProcessRule {
        agent: agent(),
        uid: Some(1000),
        executable: Some("/usr/bin/coder".into()),
        sha256: Some("ab".into()),
        cgroup: Some(Pattern::parse("/system.slice/*").unwrap()),
    };
    assert!(full.covers(&process()));
    for other in [
        Process { uid: 1001, ..process() },
        Process { executable: Some("/usr/bin/coder (deleted)".into()), ..process() },
        Process { sha256: Some("ac".into()), ..process() },
        Process { cgroup: Some("/user.slice".into()), ..process() },
        Process { executable: None, ..process() },
        Process { sha256: None, ..process() },
        Process { cgroup: None, ..process() },
    ] {
        assert!(!full.covers(&other), "{other:?}");
    }
    assert!(ProcessRule { uid: Some(1000), ..rule() }.covers(&Process { executable: None, ..process() }));
}
