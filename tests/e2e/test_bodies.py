"""Bodies of any size stream through, and remit's memory does not grow with them."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest

from conftest import need

SIZE = 200 << 20
ROOM = 64 << 20


class Peak:
    """Samples remit's resident memory while the block runs."""

    def __init__(self, node):
        self._node, self._done = node, threading.Event()
        self.before = self.most = node.resident_bytes()

    def __enter__(self):
        def watch():
            while not self._done.wait(0.02):
                self.most = max(self.most, self._node.resident_bytes())

        self._thread = threading.Thread(target=watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        return self.most - self.before


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_a_long_download_streams(remit, origin, journal, flag):
    with Peak(remit) as memory:
        ran = remit.run(need("curl"), "-sS", flag, "-o", "/dev/null", "-w", "%{size_download} %{response_code}",
                        f"https://up.test/big?bytes={SIZE}", timeout=110)
    assert ran.out == f"{SIZE} 200", ran
    _, closing = journal.allowed(host="up.test", path="/big")
    assert closing["response"]["bytes"] == SIZE and closing["response"]["complete"]
    assert memory.grown < ROOM, f"{memory.grown >> 20} MiB more for {SIZE >> 20} MiB"


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_a_long_upload_streams(remit, origin, journal, tmp_path, flag):
    file = tmp_path / "zeros"
    with open(file, "wb") as sparse:
        sparse.truncate(SIZE)
    digest = hashlib.sha256()
    for _ in range(SIZE >> 20):
        digest.update(bytes(1 << 20))
    with Peak(remit) as memory:
        ran = remit.run(need("curl"), "-sS", flag, "-T", file, "https://up.test/sink", timeout=110)
    assert json.loads(ran.out) == {"bytes": SIZE, "sha256": digest.hexdigest()}, ran
    _, closing = journal.allowed(host="up.test", path="/sink", method="PUT")
    assert closing["request"] == {"bytes": SIZE, "sha256": digest.hexdigest(), "complete": True}
    assert memory.grown < ROOM, f"{memory.grown >> 20} MiB more for {SIZE >> 20} MiB"
