"""A sparse Cargo registry with one crate, so that `cargo fetch` has something real to fetch."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "crates.up.test"
MANIFEST = b'[package]\nname = "tinydep"\nversion = "1.0.0"\nedition = "2021"\n'


def _crate() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in (("Cargo.toml", MANIFEST), ("src/lib.rs", b"pub const TINY: u8 = 1;\n")):
            entry = tarfile.TarInfo(f"tinydep-1.0.0/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Crates:
    def __init__(self):
        crate = _crate()
        line = {"name": "tinydep", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False,
                "cksum": hashlib.sha256(crate).hexdigest()}
        pages = {
            "/index/config.json": json.dumps({"dl": f"https://{HOST}/dl/{{crate}}/{{version}}.crate"}).encode(),
            "/index/ti/ny/tinydep": json.dumps(line).encode() + b"\n",
            "/dl/tinydep/1.0.0.crate": crate}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                content = pages.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
