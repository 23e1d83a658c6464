//! The process at the other end of a loopback connection, as the kernel tells it (Linux, `proc(5)`): the weakest evidence.
//!
//! Whoever can run the program, or make another program's file descriptor their own, is taken for it. So it is asked for only
//! where the operator maps processes to agents, and policies see it by its name (`socket-peer`). The kernel's word is the user id;
//! the process is found by looking for who holds the socket, which needs the right to look into that user's processes. Where
//! several processes hold it and are not one program, none of them is told.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::call::grant::Pattern;
use crate::call::port::Neighbours;
use crate::call::{Process, SpiffeId};

/// Programs whose digest is remembered, by file and its last change.
const DIGESTS: u64 = 256;
/// Longest program that is digested, bytes.
const LONGEST_PROGRAM: u64 = 1 << 30;
/// Most processes that may hold one socket.
const HOLDERS: usize = 16;

/// Which processes are which agent. Each that is named has to be so; at least one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRule {
    /// Who it is.
    pub agent: SpiffeId,
    /// Its user.
    pub uid: Option<u32>,
    /// Its program, as the kernel names the file.
    pub executable: Option<String>,
    /// SHA-256 of its program, hex.
    pub sha256: Option<String>,
    /// Its cgroup.
    pub cgroup: Option<Pattern>,
}

impl ProcessRule {
    /// Whether `process` is meant. What could not be found out is never what was named.
    pub fn covers(&self, process: &Process) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let group = process.cgroup.as_deref();
        self.uid.is_none_or(|uid| uid == process.uid)
            && is(&self.executable, &process.executable)
            && is(&self.sha256, &process.sha256)
            && self.cgroup.as_ref().is_none_or(|names| group.is_some_and(|group| names.covers(group)))
    }
}

/// A file as it was at some time: device, inode, last change in seconds and nanoseconds, length.
type FileKey = (u64, u64, i64, i64, u64);

/// Looks into `/proc`.
pub struct Proc {
    digests: Option<Cache<FileKey, String>>,
}

impl Proc {
    /// Programs are read whole only where some rule asks for a digest.
    pub fn new(rules: &[ProcessRule]) -> Self {
        let wanted = rules.iter().any(|rule| rule.sha256.is_some());
        Self { digests: wanted.then(|| Cache::new(DIGESTS)) }
    }

    fn process(&self, uid: u32, inode: u64) -> Process {
        let unknown = Process { uid, pid: None, executable: None, sha256: None, cgroup: None };
        let pids = holders(inode);
        let mut found = pids.iter().map(|pid| self.describe(uid, *pid));
        let Some(first) = found.next() else { return unknown };
        let alike = |other: Process| other.executable == first.executable && other.cgroup == first.cgroup;
        if pids.len() > HOLDERS || !found.all(alike) {
            return unknown;
        }
        // A process that ended meanwhile may have left its number to another one.
        if holds(first.pid.unwrap_or_default(), inode) { first } else { unknown }
    }

    fn describe(&self, uid: u32, pid: u32) -> Process {
        let of = |name: &str| format!("/proc/{pid}/{name}");
        let executable =
            fs::read_link(of("exe")).ok().and_then(|path| path.into_os_string().into_string().ok());
        let groups = fs::read_to_string(of("cgroup")).unwrap_or_default();
        // cgroups(7): `0::` is the one hierarchy of version 2.
        let group = groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned);
        Process { uid, pid: Some(pid), executable, sha256: self.digest(Path::new(&of("exe"))), cgroup: group }
    }

    /// Of the program that runs, even if its file was replaced since.
    fn digest(&self, program: &Path) -> Option<String> {
        let cache = self.digests.as_ref()?;
        let file = fs::File::open(program).ok()?;
        let meta = file.metadata().ok()?;
        // When it was changed, and not when it says so: that its owner can set.
        let key = (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len());
        if let Some(known) = cache.get(&key) {
            return Some(known);
        }
        let (mut digest, mut part) = (Sha256::new(), vec![0; 1 << 16]);
        let mut file = file.take(LONGEST_PROGRAM);
        loop {
            match file.read(&mut part).ok()? {
                0 => break,
                read => digest.update(part.get(..read)?),
            }
        }
        let hex = digest.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        cache.insert(key, hex.clone());
        Some(hex)
    }
}

impl Neighbours for Proc {
    fn at(&self, peer: SocketAddr, local: SocketAddr) -> Option<Process> {
        let v4 = (peer.ip().to_canonical(), local.ip().to_canonical());
        let tables = [("/proc/net/tcp", v4), ("/proc/net/tcp6", (peer.ip(), local.ip()))];
        let (uid, inode) = tables.into_iter().find_map(|(table, (theirs, ours))| {
            let text = fs::read_to_string(table).ok()?;
            owner(&text, &spelt(theirs, peer.port(), table), &spelt(ours, local.port(), table))
        })?;
        Some(self.process(uid, inode))
    }
}

/// The user and the inode of the socket that goes from `theirs` to `ours`.
fn owner(table: &str, theirs: &str, ours: &str) -> Option<(u32, u64)> {
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let (from, to) = (fields.nth(1)?, fields.next()?);
        if from != theirs || to != ours {
            return None;
        }
        let uid = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok().filter(|inode| *inode != 0)?;
        Some((uid, inode))
    })
}

/// An address as the tables spell it: the words of the address in the byte order of the machine, in hex.
fn spelt(address: IpAddr, port: u16, table: &str) -> String {
    let words = match address {
        IpAddr::V4(v4) if table.ends_with('6') => v4.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let hex = words.chunks_exact(4).filter_map(|word| Some(u32::from_ne_bytes(word.try_into().ok()?)));
    let hex = hex.fold(String::new(), |hex, word| format!("{hex}{word:08X}"));
    format!("{hex}:{port:04X}")
}

/// The processes that hold a socket, as far as this process may see.
fn holders(inode: u64) -> BTreeSet<u32> {
    let Ok(all) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| holds(*pid, inode)).collect()
}

fn holds(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let leads =
        |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str());
    descriptors.flatten().any(leads)
}

#[cfg(test)]
mod tests;
