"""httpx, HTTP/1.1 or HTTP/2 by the first argument."""

import json
import sys

import httpx

from refused import told

API = "https://api.github.com"
with httpx.Client(http2=sys.argv[1] == "h2", headers={"Authorization": "Bearer ghp_real_alice"}, timeout=20) as client:
    who = client.get(f"{API}/user")
    issue = client.post(f"{API}/repos/alice/demo/issues", json={"title": "by httpx"})
    refused = client.delete(f"{API}/repos/alice/demo")
print(json.dumps({
    "login": who.json()["login"], "version": who.http_version, "issue": issue.json()["title"],
    "refused": told(refused.status_code, refused.headers, refused.json())}))
