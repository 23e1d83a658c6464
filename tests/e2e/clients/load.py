"""Calls as fast as a node takes them, over many connections, and the origin that answers; comes back when the node does.

    load.py NODE_JSON CA_PEM ORIGIN_PORT COUNT CONNECTIONS ANSWERED

Of ten calls seven read, two act and one is refused by policy. Each answered call's id goes into the file ANSWERED, one a
line; a call whose connection broke is made again, as another call. Ends when COUNT calls are answered.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

HOST = "load.up.test"


class Origin(asyncio.Protocol):
    """Answers every request with two bytes; requests are small and come one at a time."""

    def connection_made(self, transport):
        self.transport, self.seen = transport, b""

    def data_received(self, data):
        self.seen += data
        while b"\r\n\r\n" in self.seen:
            head, rest = self.seen.split(b"\r\n\r\n", 1)
            length = 4 if head.startswith(b"POST") else 0
            if len(rest) < length:
                return
            self.seen = rest[length:]
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


class Load:
    def __init__(self, node: Path, ca: Path, count: int, answered):
        self.node, self.left, self.answered = node, count, answered
        self.context = ssl.create_default_context(cafile=str(ca))

    async def connect(self):
        host, port = json.loads(self.node.read_text())["proxy"].removeprefix("http://").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise OSError(head.decode(errors="replace"))
        await writer.start_tls(self.context, server_hostname=HOST)
        return reader, writer

    async def call(self, reader, writer, number: int) -> None:
        kind = number % 10
        if kind == 9:
            line, body, wanted = f"DELETE /forbidden/{number}", b"", b"403"
        elif kind >= 7:
            line, body, wanted = f"POST /act/{number}", b"body", b"200"
        else:
            line, body, wanted = f"GET /read/{number}", b"", b"200"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{line} HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        fields = dict(field.lower().split(b": ", 1) for field in head[1:] if b": " in field)
        await reader.readexactly(int(fields[b"content-length"]))
        status = head[0].split(b" ")[1]
        if status != wanted:
            raise AssertionError(f"{line}: {head}")
        self.answered.write(fields[b"remit-call"].upper() + b"\n")

    async def work(self) -> None:
        writer, number = None, 0
        while self.left > 0:
            self.left -= 1
            number = self.left
            done = False
            while not done:
                try:
                    if writer is None:
                        reader, writer = await asyncio.wait_for(self.connect(), 10)
                    await asyncio.wait_for(self.call(reader, writer, number), 30)
                    done = True
                except ssl.SSLCertVerificationError:
                    raise  # no node of ours
                except (OSError, EOFError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                    # The node is gone; its file may be gone, or half written.
                    writer = None
                    await asyncio.sleep(0.05)


async def main(node: str, ca: str, port: str, count: str, connections: str, answered: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(Origin, "127.0.0.1", int(port))
    with open(answered, "wb", buffering=0) as sink:
        load = Load(Path(node), Path(ca), int(count), sink)
        await asyncio.gather(*(load.work() for _ in range(int(connections))))


asyncio.run(main(*sys.argv[1:]))
