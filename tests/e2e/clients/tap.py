"""oteltap, which prints every span that it gets as a line of JSON, and a door before it.

    tap.py PORT URL

The door at PORT undoes gzip, which rotel always sends and oteltap does not read, and passes each request on to the backend
at URL too. It says yes only when both have said yes, so whoever sends keeps what one of them has not.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def took(url: str, body: bytes) -> bool:
    try:
        DIRECT.open(urllib.request.Request(url, body, {"content-type": "application/x-protobuf"}), timeout=60).close()
    except OSError:
        return False
    return True


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    urls: list[str] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.send_response(200 if all(took(url, body) for url in self.urls) else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


async def main(port: str, url: str) -> None:
    inner = int(port) + 1
    settings = OtelTapHttpProtobufReceiverSettings(inner, print_traces_as_ndjson=True)
    async with OtelTapHttpProtobufReceiver(settings) as receiver:
        Door.urls = [url, f"http://127.0.0.1:{inner}/v1/traces"]
        door = ThreadingHTTPServer(("127.0.0.1", int(port)), Door)
        threading.Thread(target=door.serve_forever, daemon=True).start()
        async for _span in receiver.stream_traces():
            pass


asyncio.run(main(*sys.argv[1:]))
