"""The disk of the journal fills up, refuses and gives way again: nothing goes out unrecorded, and nobody restarts anything."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from node import Node
from standins.process import until
from wire import client

ROOM_BYTES = 1 << 20
# SIGXFSZ would end the process; ignored, `write` fails with EFBIG as with any other full disk.
LIMITED = ("import os, resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
           "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY)); "
           "os.execv(sys.argv[2], sys.argv[2:])")


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A file system of one mebibyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system; RLIMIT_FSIZE stands in for it")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "tmpfs", place], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def post(http: httpx.Client, marker: str) -> httpx.Response:
    return http.post(f"https://up.test/echo?{marker}", content=b"x")


def fails_closed(node: Node, origin, words: list[str], fill: Callable[[], None], give_way: Callable[[], None]) -> None:
    """Reads and acts get 503 with the reason while the disk is full, reach nobody, and pass again afterwards."""
    with client(node, node.task()) as http:
        assert post(http, "before-it-is-full").status_code == 200
        fill()
        # What room is left in the file's last page is used up first.
        full = until(lambda: next((answer for answer in (post(http, "fills-it") for _ in range(50))
                                   if answer.status_code == 503), None), 30, "the disk is full")
        assert full.headers["remit-refusal"] == "journal_unavailable", full.headers
        refused = [post(http, "act-while-full"), http.get("https://up.test/hello?read-while-full")]
        for answer in [full, *refused]:
            assert answer.status_code == 503 and any(word in answer.text for word in words), answer.text
        give_way()
        again = until(lambda: (answer := post(http, "after-it-was-full")).status_code == 200 and answer, 30, "it goes on")
        assert again.headers["remit-call"]
    assert origin.seen("before-it-is-full") and origin.seen("after-it-was-full")
    assert not origin.seen("act-while-full") and not origin.seen("read-while-full")
    node.stop()
    entries = node.journal.entries()
    told = [entry["data"] for entry in entries if entry["kind"] == "writing_failed"]
    assert told and told[0]["refused"] >= 3 and any(word in told[0]["error"] for word in words), told
    opened = [entry["data"]["call"] for entry in entries if entry["kind"] == "opened"]
    closed = [entry["data"]["call"] for entry in entries if entry["kind"] == "closed"]
    assert sorted(opened) == sorted(closed)
    verified = node.command("audit", "verify")
    assert verified.status == 0, verified


def test_a_full_disk_refuses_and_recovers(own_remit, origin, small_disk):
    node = own_remit(state=small_disk / "state")
    filler = small_disk / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 4096):
                    pass
            except OSError:
                return

    fails_closed(node, origin, ["free some space"], fill, filler.unlink)


def test_a_file_that_may_not_grow_refuses_and_recovers(own_remit, origin):
    wrapper = [sys.executable, "-c", LIMITED, str(ROOM_BYTES)]
    node = own_remit(wrapper=wrapper)

    def limit(most: int) -> None:
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def fill() -> None:
        (segment,) = (node.state / "journal").glob("*.jsonl")
        limit(segment.stat().st_size + 3_000)

    fails_closed(node, origin, ["File too large"], fill, lambda: limit(resource.RLIM_INFINITY))


def test_a_file_system_that_is_read_only_is_named_at_start(binary, tmp_path, settings, small_disk):
    node = Node(binary, tmp_path / "read-only", settings, state=small_disk / "state")
    node.start()
    node.stop()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    ended = subprocess.run([binary, "serve", "--config", node.config], capture_output=True, timeout=30, text=True)
    assert ended.returncode == 2 and "Read-only file system" in ended.stderr, ended
