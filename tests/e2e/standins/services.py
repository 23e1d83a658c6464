"""The stand-in services that are other people's programs: how each is started, and what it is seeded with."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from .authority import Authority
from .process import Process, free_port, listening, system_environment

GITHUB_TOKEN = "ghp_real_alice"
SLACK_TOKEN = "xoxb-local-test"

EMULATE_SEED = """
tokens:
  ghp_real_alice: { login: alice, scopes: [repo, user, delete_repo] }
github:
  users: [ { login: alice }, { login: bob } ]
  repos: [ { owner: alice, name: demo, private: true, auto_init: true } ]
slack:
  bots: [ { name: agent-bot } ]
  users: [ { name: developer } ]
  channels: [ { name: general } ]
  strict_scopes: true
  tokens: [ { token: xoxb-local-test, user: developer, scopes: ["chat:write", "channels:read"] } ]
"""

# The agent's first turn calls tools, its second says that it is done; `hello` is for the SDKs.
LLM_FIXTURES = {"fixtures": [
    {"match": {"userMessage": "open an issue", "hasToolResult": False}, "response": {"toolCalls": [
        {"name": "Bash", "arguments": {
            "command": "curl -s https://api.github.com/user -H 'Authorization: Bearer ghp_real_alice'",
            "description": "who am I"}},
        {"name": "mcp__ev__echo", "arguments": {"message": "through the proxy"}}]}},
    {"match": {"hasToolResult": True}, "response": {"content": "all done"}},
    {"match": {"userMessage": "hello"}, "response": {"content": "Hi from the stand-in, word by word by word."}},
]}


def answers(url: str) -> bool:
    """Whether anything speaks HTTP there; any status will do."""
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Emulate:
    """GitHub, Slack and Stripe: consecutive ports from `port`, in the order of `services`."""

    services = ("github", "slack", "stripe")

    def __init__(self, node: Path, npm: Path, folder: Path, port: int):
        folder.mkdir(parents=True, exist_ok=True)
        seed = folder / "seed.yaml"
        seed.write_text(EMULATE_SEED)
        self.port = port
        self._process = Process(
            "emulate",
            [node, npm / "node_modules/emulate/dist/index.js", "start", "--service", ",".join(self.services),
             "--port", str(port), "--seed", seed],
            folder / "emulate.log", lambda: all(listening(port + n) for n in range(len(self.services))), cwd=folder)

    def close(self) -> None:
        self._process.kill()


def consecutive_ports(count: int) -> int:
    """The first of `count` free ports in a row."""
    while True:
        first = free_port()
        if not any(listening(first + n) for n in range(count)):
            return first


def moto(scripts: Path, folder: Path, port: int) -> Process:
    return Process("moto", [scripts / "moto_server", "-H", "127.0.0.1", "-p", str(port)], folder / "moto.log",
                   lambda: answers(f"http://127.0.0.1:{port}/moto-api/"))


class Llm:
    """OpenAI and Anthropic. `journal` is its own record of what it was asked, headers included, but for keys. With `keys` it
    takes these and answers all others with 401."""

    def __init__(self, node: Path, npm: Path, folder: Path, port: int, keys: list[str] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        fixtures = folder / "llm.json"
        fixtures.write_text(json.dumps(LLM_FIXTURES))
        self.port, self._keys = port, keys
        self._process = Process(
            "llmock", [node, npm / "node_modules/.bin/llmock", "-p", str(port), "-f", fixtures, "--latency", "20",
                       "--chunk-size", "4"],
            folder / "llm.log", lambda: answers(f"http://127.0.0.1:{port}/health"), cwd=folder,
            env={"AIMOCK_API_KEYS": ",".join(keys)} if keys else None)

    def journal(self) -> list[dict]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/__aimock/journal")
        if self._keys:
            request.add_header("authorization", f"Bearer {self._keys[0]}")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
            found = json.load(answer)
        return found if isinstance(found, list) else found.get("entries", found.get("requests", []))

    def close(self) -> None:
        self._process.kill()


class Backlot:
    """Slack, GitHub and others over one small corpus, each below a path of its own. Unknown tokens are refused as the vendors do
    it, and each token sees what its person may. `users` are these people, with their tokens."""

    def __init__(self, scripts: Path, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        env = {"BACKLOT_DATA_DIR": str(folder / "data"), "BACKLOT_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
        subprocess.run([scripts / "backlot", "import", "--bundled"], env=system_environment() | env, cwd=folder, check=True,
                       capture_output=True, timeout=60)
        self._process = Process(
            "backlot", [scripts / "backlot", "serve", "--port", str(self.port), "--disable-telemetry"], folder / "backlot.log",
            lambda: answers(f"http://127.0.0.1:{self.port}/_meta/users"), env=env, cwd=folder)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://127.0.0.1:{self.port}/_meta/users", timeout=5) as answer:
            self.users = json.load(answer)["users"]

    def close(self) -> None:
        self._process.kill()


class A2aAgent:
    """An agent that answers A2A 1.0 (`SendMessage` over JSON-RPC) at `/a2a`. `journal` is its own record of what it was asked,
    headers included."""

    def __init__(self, node: Path, npm: Path, folder: Path, port: int, name: str):
        config = folder / "a2a.json"
        agent = {"name": name, "description": "adds up", "version": "1", "url": f"http://127.0.0.1:{port}/a2a",
                 "messages": [{"pattern": "sum", "parts": [{"text": "42"}]}]}
        config.write_text(json.dumps({"a2a": {"path": "/a2a", "agents": [agent]}}))
        self.port, self._keys = port, ()
        self._process = Process(
            "a2a agent", [node, npm / "node_modules/.bin/aimock", "-c", config, "-p", str(port)],
            folder / "a2a.log", lambda: listening(port), cwd=folder)

    journal = Llm.journal

    def close(self) -> None:
        self._process.kill()


def mcp_everything(node: Path, npm: Path, folder: Path, port: int) -> Process:
    return Process(
        "mcp everything",
        [node, npm / "node_modules/@modelcontextprotocol/server-everything/dist/index.js", "streamableHttp"],
        folder / "mcp.log", lambda: listening(port), env={"PORT": str(port)})


def gcs(scripts: Path, folder: Path, authority: Authority, port: int) -> Process:
    """Google Cloud Storage; speaks TLS and HTTP/2 by itself."""
    binary = next(scripts.parent.glob("**/fake-gcs-server-linux-amd64*"))
    chain, key = authority.leaf("gcs", ["storage.googleapis.com", "*.storage.googleapis.com"])
    return Process(
        "fake-gcs-server",
        [binary, "-scheme", "https", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
         "-public-host", "storage.googleapis.com", "-cert-location", chain, "-private-key-location", key],
        folder / "gcs.log", lambda: listening(port))


class Phoenix:
    """Arize Phoenix: a real OpenTelemetry backend, asked through its REST API."""

    def __init__(self, scripts: Path, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.grpc = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._process = Process(
            "phoenix", [scripts / "phoenix", "serve"], folder / "phoenix.log",
            lambda: answers(f"{self.base}/healthz") and listening(self.grpc), within=180,
            env={"PHOENIX_WORKING_DIR": str(folder), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": str(self.port),
                 "PHOENIX_GRPC_PORT": str(self.grpc), "PHOENIX_TELEMETRY_ENABLED": "false"})

    def _get(self, path: str) -> dict:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.base + path, timeout=10) as answer:
            return json.load(answer)

    def spans(self) -> list[dict]:
        """Every span of every project."""
        found = []
        for project in self._get("/v1/projects")["data"]:
            found += self._get(f"/v1/projects/{project['id']}/spans?limit=1000")["data"]
        return found

    def count(self, project: str) -> int:
        """How many spans a project has; none where there is no such project."""
        query = json.dumps({"query": "{projects{edges{node{name recordCount}}}}"}).encode()
        request = urllib.request.Request(self.base + "/graphql", query, {"content-type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            edges = json.load(answer)["data"]["projects"]["edges"]
        return sum(edge["node"]["recordCount"] for edge in edges if edge["node"]["name"] == project)

    def close(self) -> None:
        self._process.kill()
