"""Between remit and the backends: rotel, a collector that can be stopped and started, and oteltap, which counts."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

from .process import Process, free_port, listening
from .services import consecutive_ports


class Tap:
    """oteltap: takes OTLP/HTTP, prints every span and passes it on to `backend`, the URL of its traces."""

    def __init__(self, scripts: Path, folder: Path, backend: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = consecutive_ports(2)
        self._log = folder / "oteltap.ndjson"
        self._process = Process("oteltap", [scripts / "python", "clients/tap.py", str(self.port), backend], self._log,
                                lambda: listening(self.port))

    def _lines(self) -> Iterator[dict]:
        with open(self._log, "rb") as lines:
            for line in lines:
                if line.startswith(b"{") and line.endswith(b"\n"):
                    yield json.loads(line)

    def spans(self) -> Iterator[dict]:
        """Every span as it arrived, duplicates included."""
        for told in self._lines():
            yield from spans_in(told)

    def close(self) -> None:
        self._process.kill()


def spans_in(told: object) -> Iterator[dict]:
    """The objects with a span id in one line, however deep they are."""
    if isinstance(told, dict):
        if "spanId" in told or "span_id" in told:
            yield told
        else:
            for value in told.values():
                yield from spans_in(value)
    elif isinstance(told, list):
        for value in told:
            yield from spans_in(value)


class Rotel:
    """A collector in a process of its own. What it has taken it keeps in memory; told to stop, it delivers that first."""

    def __init__(self, binary: Path, folder: Path, backend: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.http, self.grpc = free_port(), free_port()
        self._binary, self._folder, self._backend = binary, folder, backend
        self._process: Process | None = None

    def start(self) -> Rotel:
        self._process = Process(
            "rotel", [self._binary, "start", "--otlp-http-endpoint", f"127.0.0.1:{self.http}",
                      "--otlp-grpc-endpoint", f"127.0.0.1:{self.grpc}", "--exporter", "otlp",
                      "--otlp-exporter-endpoint", self._backend, "--otlp-exporter-protocol", "http"],
            self._folder / "rotel.log", lambda: listening(self.http))
        return self

    def stop(self) -> None:
        """SIGTERM, and waits until it has delivered."""
        if self._process is not None:
            self._process.child.send_signal(signal.SIGTERM)
            self._process.child.wait(timeout=60)
            self._process = None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
