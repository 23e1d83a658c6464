"""A running remit: its configuration, its process, and its command line."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from journal import Journal
from standins.process import Process, system_environment, until

AGENT = "spiffe://example.org/agent/e2e"
INTENT = "e2e"


@dataclass(frozen=True)
class Task:
    id: str
    token: str
    proxy_url: str
    expires_at: str

    def basic(self) -> str:
        """The value of `Proxy-Authorization` that a client makes of the proxy URL."""
        return "Basic " + base64.b64encode(f"task:{self.token}".encode()).decode()


@dataclass
class Ran:
    """A finished command."""

    status: int
    out: str
    err: str

    def json(self) -> dict:
        """The last line of standard output, which each client program prints as JSON."""
        assert self.status == 0, self
        lines = self.out.strip().splitlines()
        assert lines, self
        return json.loads(lines[-1])

    def __str__(self) -> str:
        return f"status {self.status}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}"

    __repr__ = __str__


def run(command: list, *, env: dict[str, str] | None = None, cwd: Path | None = None, timeout: float = 60,
        stdin: bytes | None = None) -> Ran:
    """Runs a command in a process group of its own and kills the whole group at the deadline."""
    child = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=system_environment() | (env or {}),
        start_new_session=True)
    try:
        out, err = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        raise AssertionError(
            f"{command} did not end within {timeout} s\n{out.decode(errors='replace')[-2000:]}\n"
            f"{err.decode(errors='replace')[-2000:]}") from None
    return Ran(child.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def toml(value: object) -> str:
    """A TOML value; JSON's strings, numbers, booleans and lists are TOML's."""
    return json.dumps(value)


@dataclass
class Settings:
    """What a test may say about a node; the rest is remit's own defaults."""

    resolve: dict[str, str] = field(default_factory=dict)
    policies: Path | None = None
    candidate: Path | None = None
    trust: list[str] = field(default_factory=list)
    otlp: str = ""
    default_agent: str = ""
    identity: str = ""
    extra: str = ""
    listen: str = ""


class Node:
    def __init__(self, binary: Path, home: Path, settings: Settings, *, wrapper: list[str] | None = None,
                 state: Path | None = None):
        home.mkdir(parents=True, exist_ok=True)
        self.binary, self.home, self.state = binary, home, state or home / "state"
        self.config = home / "config.toml"
        self.config.write_text(self._toml(settings))
        self._process: Process | None = None
        self._wrapper = wrapper or []
        self.journal = Journal(self.state / "journal")

    def _toml(self, settings: Settings) -> str:
        resolve = "\n".join(f"{toml(host)} = {toml(target)}" for host, target in settings.resolve.items())
        policies = f"[policies]\ndir = {toml(str(settings.policies))}" if settings.policies else ""
        if settings.candidate:
            policies = f"{policies or '[policies]'}\ncandidate = {toml(str(settings.candidate))}"
        return (
            f"[listen]\nproxy = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{settings.listen}\n"
            f"[state]\ndir = {toml(str(self.state))}\n"
            f"[identity]\ntrust_domain = \"example.org\"\ndefault_agent = {toml(settings.default_agent)}\n"
            f"{settings.identity}\n{policies}\n"
            f"[upstream]\ntrust = {toml(settings.trust)}\n[upstream.resolve]\n{resolve}\n"
            # Nobody is there to answer; tests that play a person say otherwise.
            f"{'' if '[holds]' in settings.extra else '[holds]' + chr(10) + 'patience_s = 0'}\n"
            f"[telemetry]\notlp_endpoint = {toml(settings.otlp)}\n{settings.extra}\n")

    def start(self, within: float = 30) -> Node:
        ready = self.state / "node.json"
        ready.unlink(missing_ok=True)
        self._process = Process("remit", [*self._wrapper, self.binary, "serve", "--config", self.config],
                                self.home / "remit.log", ready.exists, within=within)
        self.facts = until(lambda: self._node_json(ready), 5, "node.json is whole")
        return self

    @staticmethod
    def _node_json(path: Path) -> dict | None:
        try:
            return json.loads(path.read_text())
        except ValueError:
            return None

    @property
    def pid(self) -> int:
        return int(self.facts["pid"])

    @property
    def proxy(self) -> tuple[str, int]:
        host, port = self.facts["proxy"].removeprefix("http://").rsplit(":", 1)
        return host, int(port)

    @property
    def admin(self) -> str:
        return "http://" + self.facts["admin"].removeprefix("http://")

    @property
    def ca(self) -> Path:
        return self.state / "ca" / "ca.pem"

    @property
    def log(self) -> str:
        return self._process.tail(20_000) if self._process else ""

    def task(self, agent: str = AGENT, intent: str = INTENT, *more: str) -> Task:
        opened = self.command("task", "open", "--agent", agent, "--intent", intent, *more, "--json").json_text()
        return Task(opened["id"], opened["token"], opened["proxy_url"], opened["expires_at"])

    def command(self, *arguments: str, timeout: float = 30) -> Ran:
        """`remit VERB ...` against this node."""
        verb, *rest = arguments
        return _Json(**vars(run([self.binary, verb, "--config", self.config, *rest], timeout=timeout)))

    def run(self, *command: object, agent: str = AGENT, intent: str = INTENT, env: dict[str, str] | None = None,
            cwd: Path | None = None, timeout: float = 60) -> Ran:
        """`remit run -- COMMAND`: the environment in which the command finds itself is remit's own doing."""
        return run([self.binary, "run", "--config", self.config, "--agent", agent, "--intent", intent, "--", *command],
                   env=env, cwd=cwd, timeout=timeout)

    def alive(self) -> bool:
        return self._process is not None and self._process.child.poll() is None

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """The exit status, once it has ended."""
        return self._process.child.wait(timeout=seconds)

    def stop(self) -> None:
        if self.alive():
            self.terminate()
            deadline = time.monotonic() + 10
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.05)
        if self._process:
            self._process.kill()


class _Json(Ran):
    def json_text(self) -> dict:
        """Standard output as one JSON document."""
        assert self.status == 0, self
        return json.loads(self.out)
