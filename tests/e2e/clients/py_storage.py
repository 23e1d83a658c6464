"""httpx over HTTP/2 against the Cloud Storage stand-in, which speaks h2 by itself."""

import json

import httpx

API = "https://storage.googleapis.com"
with httpx.Client(http2=True, timeout=20) as client:
    client.post(f"{API}/storage/v1/b", json={"name": "agents"}).raise_for_status()
    content = b"0123456789" * 50_000
    client.post(f"{API}/upload/storage/v1/b/agents/o", params={"uploadType": "media", "name": "a.bin"},
                content=content).raise_for_status()
    got = client.get(f"{API}/storage/v1/b/agents/o/a.bin", params={"alt": "media"})
print(json.dumps({"same": got.content == content, "version": got.http_version}))
