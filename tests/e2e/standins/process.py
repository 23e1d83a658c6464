"""Child processes that never outlive the test session: own process group, killed whole, readiness by bounded polling."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

# SIGKILL when the test session goes, however it goes. A program rather than a hook of `subprocess`: the session has threads.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection takes it before its server does."""
    for _ in range(200):
        port = random.randint(20_000, 31_999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 31999")


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(check: Callable[[], object], seconds: float, what: str, *, every: float = 0.05):
    """Polls `check` until it is truthy, and fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(every)


def system_environment() -> dict[str, str]:
    """A small, clean environment: nothing of the caller's proxies, trust stores or keys."""
    keep = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "JAVA_HOME")
    kept = {name: os.environ[name] for name in keep if name in os.environ}
    kept.setdefault("LANG", "C.UTF-8")
    return kept


class Process:
    """One server. `ready` is polled until it says yes; a server that ends before that fails with its own log."""

    def __init__(self, name: str, command: list[str], log: Path, ready: Callable[[], object], *,
                 env: dict[str, str] | None = None, cwd: Path | None = None, within: float = 60.0):
        self.name, self.log = name, log
        environment = system_environment() | (env or {})
        with open(log, "ab") as sink:
            self.child = subprocess.Popen(
                [*DIE_WITH_PARENT, *(str(part) for part in command)], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                env=environment, cwd=cwd, start_new_session=True)

        def up() -> object:
            if self.child.poll() is not None:
                raise AssertionError(f"{name} ended with {self.child.returncode}:\n{self.tail()}")
            return ready()

        try:
            until(up, within, f"{name} is ready")
        except BaseException:
            self.kill()
            print(self.tail())
            raise

    def tail(self, characters: int = 4000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def kill(self) -> None:
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait(timeout=10)
