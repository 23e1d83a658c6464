"""At full load, with the collector away for the middle third and remit killed twice: every call is told, once."""

from __future__ import annotations

import base64
import collections
import os
import signal
import threading
import time
import urllib.request
from dataclasses import replace

import pytest

from conftest import SCRIPTS
from node import AGENT, Node, run
from standins.collector import Rotel, Tap
from standins.process import DIE_WITH_PARENT, free_port, until

# `tests/run --all` asks for the whole figure; a look in between needs less.
COUNT = int(os.environ.get("REMIT_TEST_CALLS") or (50_000 if os.environ.get("REMIT_TEST_FULL") else 5_000))
ID_LINE = 27


def metric(node: Node, name: str) -> float:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(node.admin + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


class Load(threading.Thread):
    """`clients/load.py` in a process of its own."""

    def __init__(self, node: Node, port: int, folder):
        super().__init__(daemon=True)
        self.answered = folder / "answered"
        self.answered.touch()
        self._command = [*DIE_WITH_PARENT, SCRIPTS / "python", "clients/load.py", node.state / "node.json", node.ca, port,
                         COUNT, 48, self.answered]
        self.ran = None

    def run(self):
        self.ran = run(self._command, timeout=1500)

    def wait_for(self, share: float) -> None:
        def there():
            assert self.is_alive() or self.ran.status == 0, self.ran
            return self.answered.stat().st_size // ID_LINE >= COUNT * share

        until(there, 1200, f"{share:.0%} of the calls are answered", every=0.02)


def span_id(span: dict) -> str:
    """In hex; JSON of protobuf has bytes in base64, JSON of OTLP in hex."""
    text = span.get("spanId") or span["span_id"]
    return text.lower() if len(text) == 16 else base64.b64decode(text).hex()


def kill_and_restart(node: Node) -> None:
    os.kill(node.pid, signal.SIGKILL)
    node.wait(10)
    node.start(within=120)


@pytest.mark.heavy
@pytest.mark.timeout(2400)
def test_no_span_is_lost_and_none_is_told_twice(binary, tmp_path, settings, phoenix):
    tap = Tap(SCRIPTS, tmp_path / "tap", f"{phoenix.base}/v1/traces")
    rotel = Rotel(next(SCRIPTS.parent.glob("lib/*/site-packages/rotel/rotel-agent")), tmp_path / "rotel",
                  f"http://127.0.0.1:{tap.port}").start()
    port = free_port()
    mine = replace(settings, resolve=settings.resolve | {"load.up.test": f"http://127.0.0.1:{port}"},
                   otlp=f"http://127.0.0.1:{rotel.http}", default_agent=AGENT)
    project = f"load-{tmp_path.name}"
    node = Node(binary, tmp_path / "remit", mine,
                wrapper=["env", f"OTEL_RESOURCE_ATTRIBUTES=openinference.project.name={project}"])
    try:
        load = Load(node.start(within=120), port, tmp_path)
        began = time.monotonic()
        load.start()
        load.wait_for(1 / 3)
        rotel.stop()
        load.wait_for(1 / 2)
        kill_and_restart(node)
        until(lambda: metric(node, "remit_export_backlog") > 0, 10, "spans wait in the journal")
        load.wait_for(2 / 3)
        rotel.start()
        load.wait_for(5 / 6)
        kill_and_restart(node)
        load.wait_for(1)
        load.join(60)
        calling = time.monotonic() - began
        until(lambda: metric(node, "remit_export_backlog") == 0, 300, "everything is told", every=0.2)
        telling = time.monotonic() - began
        node.stop()
        entries = node.journal.entries()
        told = [entry["data"] for entry in entries if entry["kind"] in ("opened", "refused")]
        calls = {data["call"]: data["span"] for data in told}
        # What the collector took from remit is its own to lose: told to stop, it gives a slow backend some seconds and no more.
        until(lambda: len({span_id(span) for span in tap.spans()}) >= len(calls), 600, "the collector passed all on", every=2)
        rotel.stop()

        answered = load.answered.read_text().split()
        assert len(set(answered)) == len(answered) == COUNT and calls.keys() >= set(answered)
        arrived = collections.Counter(span_id(span) for span in tap.spans())
        assert arrived.keys() == set(calls.values()), (len(arrived), len(calls))
        assert len(set(calls.values())) == len(calls) == len(told)
        verified = node.command("audit", "verify", timeout=120)
        assert verified.status == 0, verified
        until(lambda: phoenix.count(project) >= len(calls), 600, "Phoenix has them", every=1)
        assert phoenix.count(project) == len(calls)
        print(f"{COUNT} calls answered in {calling:.0f} s ({COUNT / calling:.0f}/s), {len(calls)} in the journal "
              f"({len(calls) - COUNT} cut by the kills), {len(arrived)} spans, 0 lost, 0 double by id, "
              f"{sum(arrived.values()) - len(arrived)} sent again, all told after {telling:.0f} s; the journal verifies")
    finally:
        node.stop()
        rotel.close()
        tap.close()
