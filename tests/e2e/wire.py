"""Bytes by hand: CONNECT, TLS and requests without any client's good manners."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass

import httpx

from node import Node, Task


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_head: bytes

    @classmethod
    def read(cls, stream, *, body: bool = True) -> Answer | None:
        """One answer; nothing if the connection was closed (or reset) instead."""
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                piece = stream.recv(1)
                if not piece:
                    return None
                head += piece
        except (ConnectionError, ssl.SSLError):
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(":") for line in lines if line):
            name = name.strip().lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        answer = cls(int(first.split()[1]), headers, b"", head)
        if body:
            answer.body = answer._read_body(stream)
        return answer

    def _read_body(self, stream) -> bytes:
        def exactly(count: int) -> bytes:
            got = b""
            while len(got) < count:
                piece = stream.recv(count - len(got))
                if not piece:
                    raise ConnectionError(f"closed after {len(got)} of {count} bytes")
                got += piece
            return got

        def line() -> bytes:
            got = b""
            while not got.endswith(b"\r\n"):
                got += exactly(1)
            return got

        if self.headers.get("transfer-encoding") == "chunked":
            whole = b""
            while size := int(line().split(b";")[0], 16):
                whole += exactly(size)
                line()
            while line() != b"\r\n":
                pass
            return whole
        return exactly(int(self.headers.get("content-length", 0)))


def dial(node: Node, *, timeout: float = 15) -> socket.socket:
    stream = socket.create_connection(node.proxy, timeout)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def connect(node: Node, target: str, task: Task | None, *, authorization: str | None = None) -> tuple[socket.socket, Answer | None]:
    """CONNECT, as far as the proxy's answer."""
    stream = dial(node)
    value = authorization if authorization is not None else (task.basic() if task else None)
    line = f"Proxy-Authorization: {value}\r\n" if value else ""
    stream.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{line}\r\n".encode())
    return stream, Answer.read(stream, body=False)


def agent_context(node: Node, alpn: list[str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(node.ca))
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@contextlib.contextmanager
def tunnel(node: Node, host: str, task: Task, *, port: int = 443, sni: str | None = None, alpn: list[str] | None = None):
    """TLS inside CONNECT. With an `sni` of its own the name of the certificate is not checked."""
    stream, answer = connect(node, f"{host}:{port}", task)
    try:
        assert answer and answer.status == 200, answer
        context = agent_context(node, alpn)
        if sni is not None and sni != host:
            context.check_hostname = False
        stream = context.wrap_socket(stream, server_hostname=sni or host)  # takes the plain socket over
        yield stream
    finally:
        stream.close()


def get(stream, host: str, path: str, *more: str) -> Answer | None:
    """GET over an open stream."""
    lines = "".join(line + "\r\n" for line in more)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
    return Answer.read(stream)


def send(stream, raw: bytes) -> Answer | None:
    """Raw bytes, then whatever is answered; nothing if it was closed."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        stream.sendall(raw)
    return Answer.read(stream)


def client(node: Node, task: Task | None, *, http2: bool = False) -> httpx.Client:
    """A well-behaved client inside the test process."""
    host, port = node.proxy
    proxy = task.proxy_url if task else f"http://{host}:{port}"
    return httpx.Client(http2=http2, proxy=proxy, verify=agent_context(node), timeout=30, trust_env=False)
