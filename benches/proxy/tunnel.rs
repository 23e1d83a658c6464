//! The plainest CONNECT proxy that works, in a process of its own so that its processor time can be told apart: what any
//! proxy costs, before TLS interception, decision and record.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::origin::{Origins, Protocol};

/// The tunnel's process.
pub(crate) struct Spawned {
    /// Killed on drop.
    _child: Child,
    /// Its process id.
    pub(crate) pid: u32,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// Starts this binary again, as a tunnel.
pub(crate) async fn spawn(origins: &Origins) -> anyhow::Result<Spawned> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("tunnel")
        .args(Protocol::ALL.map(|protocol| origins.address(protocol).to_string()))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("the tunnel has no output")?).read_line(&mut line).await?;
    let pid = child.id().context("the tunnel ended at once")?;
    Ok(Spawned { _child: child, pid, address: line.trim().parse()? })
}

/// `tunnel HTTP1-ADDRESS HTTP2-ADDRESS`: prints where it listens, then serves until it is killed.
pub(crate) async fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let [_, http1, http2] = arguments else { anyhow::bail!("two addresses are wanted") };
    let (http1, http2): (SocketAddr, SocketAddr) = (http1.parse()?, http2.parse()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (agent, _) = listener.accept().await?;
        tokio::spawn(carry(agent, http1, http2));
    }
}

async fn carry(mut agent: TcpStream, http1: SocketAddr, http2: SocketAddr) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(agent.read_u8().await?);
    }
    let wanted = format!("CONNECT {}", Protocol::Http2.host());
    let to = if head.starts_with(wanted.as_bytes()) { http2 } else { http1 };
    let mut origin = TcpStream::connect(to).await?;
    agent.set_nodelay(true)?;
    origin.set_nodelay(true)?;
    agent.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut agent, &mut origin).await?;
    Ok(())
}
