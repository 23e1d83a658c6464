//! The real program as a child process, on a state folder that outlives it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a node may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a configuration under which everything goes to `origin`, and gives back its path.
pub(crate) fn configure(dir: &Path, origin: SocketAddr) -> PathBuf {
    std::fs::create_dir(dir.join("policies")).unwrap();
    let all = "@id(\"all\")\npermit (principal, action, resource);\n";
    std::fs::write(dir.join("policies/all.cedar"), all).unwrap();
    let config = dir.join("config.toml");
    let text = format!(
        "[listen]\nproxy = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[identity]\ndefault_agent = \"load\"\n\
         [policies]\ndir = \"policies\"\n[upstream.resolve]\n\"acts.test:80\" = \"http://{origin}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    config
}

pub(crate) struct Node {
    child: Child,
    /// What it says on standard error, line by line; the sender goes with the process.
    said: mpsc::Receiver<String>,
}

impl Node {
    pub(crate) fn spawn(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_remit"))
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| say.send(line))
        });
        Self { child, said }
    }

    /// Waits until it is ready.
    pub(crate) fn proxy(&self) -> SocketAddr {
        let mut before = Vec::new();
        loop {
            let line =
                self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it did not start: {before:?}"));
            match line.strip_prefix("remit is ready: proxy ").and_then(|rest| rest.split(',').next()) {
                Some(address) => return address.parse().unwrap(),
                None => before.push(line),
            }
        }
    }

    /// SIGKILL, that long from now at the latest.
    pub(crate) fn kill_after(&mut self, pause: Duration) {
        // Nothing more is said in good order: this waits for the time alone.
        let _nothing = self.said.recv_timeout(pause);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and it ends in good order.
    pub(crate) fn terminate(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut last = Vec::new();
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            last.push(line);
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {last:?}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}
