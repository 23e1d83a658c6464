"""Fills corpus/ with inputs to begin from: `seeds.py [REQUESTS.jsonl]`. Without an argument it looks for the shared corpus."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "corpus" / "dev.jsonl"


def put(target: str, data: bytes) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def of_request(row: dict) -> None:
    headers = {name.lower(): value for name, value in (row.get("headers") or {}).items()}
    media, body = headers.get("content-type", ""), (row.get("body") or "").encode()
    put("path", f"{row['method']} {row['path']}\n{row['path']}".encode())
    put("host", row["host"].encode())
    if not body:
        return
    if b'"query"' in body:
        put("graphql", body)
        put("message", b"\x05" + b'{"type":"subscribe","id":"1","payload":' + body + b"}")
    if b"jsonrpc" in body:
        put("json_rpc", body)
        put("message", b"\x0e" + body)
    if "multipart" in media:
        put("multipart", media.encode() + b"\n" + body)
    if any(word in body.upper() for word in (b"SELECT", b"INSERT", b"GRANT")):
        put("sql", body)
    put("content", b"\n".join([headers.get("content-encoding", "").encode(), media.encode(), body]))


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    if source.exists():
        with source.open() as rows:
            for row in rows:
                of_request(json.loads(row))
    for folder in sorted((HERE.parents[1] / "src" / "catalog" / "data").iterdir())[:20]:
        files = [folder / name for name in ("service.toml", "operations.tsv", "overrides.toml", "facts.toml")]
        if files[0].exists():
            texts = [file.read_bytes() if file.exists() else b"" for file in files]
            put("import", b"\0".join(text[:4096] for text in texts))


main()
