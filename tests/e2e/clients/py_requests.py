"""requests: a read, an act, a refused act at the GitHub stand-in."""

import json

import requests

from refused import told

API = "https://api.github.com"
session = requests.Session()
session.headers["Authorization"] = "Bearer ghp_real_alice"
who = session.get(f"{API}/user", timeout=20)
issue = session.post(f"{API}/repos/alice/demo/issues", json={"title": "by requests"}, timeout=20)
refused = session.delete(f"{API}/repos/alice/demo", timeout=20)
print(json.dumps({
    "login": who.json()["login"], "call": who.headers["remit-call"], "issue": issue.json()["title"],
    "refused": told(refused.status_code, refused.headers, refused.json())}))
