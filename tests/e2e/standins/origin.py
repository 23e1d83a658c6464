"""An origin of our own, where a test must see every byte: plain HTTP/1.1 (behind the front) and TLS (faced directly).

It keeps the raw head of each request, counts accepted connections, and answers by path (see `_ROUTES`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

CHUNK = b"\0" * 65_536


@dataclass
class Received:
    """One request. `raw` is the head exactly as it came."""

    method: str
    target: str
    raw: bytes
    headers: list[tuple[str, str]]
    body: bytes = b""
    body_bytes: int = 0
    sent_bytes: int = 0
    sha256: str = ""
    complete: bool = False
    gone: bool = False
    trailers: list[str] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


class Origin:
    def __init__(self, context: ssl.SSLContext | None = None):
        """With a `context` it speaks TLS itself."""
        self.requests: list[Received] = []
        self.accepted = 0
        self._gates: dict[str, asyncio.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._context = context
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)

        async def begin():
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", 0, ssl=self._context, limit=1 << 20)
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        self._loop.run_until_complete(begin())
        self._loop.run_forever()

    def close(self) -> None:
        def end():
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.1, self._loop.stop)

        self._loop.call_soon_threadsafe(end)
        self._thread.join(5)

    def seen(self, marker: str) -> list[Received]:
        """The requests whose target contains `marker`: each test uses a marker of its own."""
        return [request for request in list(self.requests) if marker in request.target]

    def open_gate(self, name: str) -> None:
        """Lets the next part of a `/sse?gate=name` answer go."""
        self._loop.call_soon_threadsafe(lambda: self._gate(name).set())

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            if self.requests:
                self.requests[-1].gone = True
        finally:
            writer.close()

    async def _one(self, reader, writer) -> bool:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = raw.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]
        request = Received(method, target, raw, headers)
        self.requests.append(request)
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        handler = _ROUTES.get(url.path, _hello)
        if request.header("expect") and url.path != "/expect-refused":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
        if url.path != "/expect-refused":
            await self._body(request, reader)
        await handler(self, request, query, writer)
        await writer.drain()
        return url.path != "/expect-refused"

    async def _body(self, request: Received, reader) -> None:
        digest = hashlib.sha256()
        async for piece in _pieces(request, reader):
            digest.update(piece)
            request.body_bytes += len(piece)
            if request.body_bytes <= 1 << 20:
                request.body += piece
        request.sha256, request.complete = digest.hexdigest(), True


async def _pieces(request: Received, reader):
    if (request.header("transfer-encoding") or "").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        while (line := await reader.readline()) not in (b"\r\n", b""):
            request.trailers.append(line.decode("latin-1").strip())
        return
    left = int(request.header("content-length") or 0)
    while left:
        piece = await reader.read(min(left, 65_536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


def _answer(writer, body: bytes, kind: str = "application/json", status: str = "200 OK", extra: str = "") -> None:
    writer.write(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body)


async def _hello(_, request, query, writer):
    _answer(writer, json.dumps({"hello": request.target}).encode())


async def _headers(_, request, query, writer):
    _answer(writer, json.dumps({"headers": request.headers}).encode())


async def _echo(_, request, query, writer):
    _answer(writer, request.body, request.header("content-type") or "application/octet-stream")


async def _sink(_, request, query, writer):
    _answer(writer, json.dumps({"bytes": request.body_bytes, "sha256": request.sha256}).encode())


async def _big(_, request, query, writer):
    left = int(query["bytes"])
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {left}\r\n\r\n".encode())
    while left:
        piece = CHUNK[: min(left, len(CHUNK))]
        writer.write(piece)
        await writer.drain()
        left -= len(piece)
        request.sent_bytes += len(piece)


async def _chunked(_, request, query, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\ntrailer: x-digest\r\n\r\n")
    for word in (b"one ", b"two ", b"three"):
        writer.write(b"%x\r\n%s\r\n" % (len(word), word))
        await writer.drain()
    writer.write(b"0\r\nx-digest: 0123abcd\r\n\r\n")


async def _sse(origin, request, query, writer):
    """Sends one byte a piece, and each event only when the test opens the gate: buffering anywhere would hang it."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    await writer.drain()
    for number in range(int(query.get("events", 3))):
        gate = origin._gate(query["gate"])
        await asyncio.wait_for(gate.wait(), 30)
        gate.clear()
        for byte in f"data: {number}\n\n".encode():
            writer.write(b"1\r\n%c\r\n" % byte)
            await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _expect_refused(_, request, query, writer):
    _answer(writer, b'{"error":"no"}', status="417 Expectation Failed", extra="connection: close\r\n")


async def _broken(_, request, query, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this")
    await writer.drain()
    raise ConnectionError


_ROUTES = {
    "/headers": _headers, "/echo": _echo, "/sink": _sink, "/big": _big, "/chunked": _chunked, "/sse": _sse,
    "/expect-refused": _expect_refused, "/broken": _broken,
}
