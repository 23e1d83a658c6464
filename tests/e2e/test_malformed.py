"""Bad input: a clear refusal or a closed connection, an entry in the journal; never a hang, a panic or a leak."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct

import pytest

import journal as journals
from node import Node
from standins.process import until
from wire import Answer, client, connect, dial, send, tunnel

FD_SLACK = 8


@pytest.fixture(scope="module")
def node(binary, workdir, settings):
    """A node of this module's own, whose descriptors are counted before and after."""
    started = Node(binary, workdir / "malformed", settings).start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def own_task(node):
    return node.task()


@pytest.fixture
def watch(node):
    return journals.Watch(node.journal)


@pytest.fixture(autouse=True)
def healthy(node, own_task, origin):
    """After each test the node still works, has not panicked, and has given its sockets back."""
    with client(node, own_task) as http:
        http.get("https://up.test/headers")
    before = node.descriptors()
    yield
    with client(node, own_task) as http:
        assert http.get("https://up.test/headers").status_code == 200
    until(lambda: node.descriptors() <= before + FD_SLACK, 20, f"descriptors return to about {before}")
    assert node.alive() and "panicked" not in node.log


def half_close(stream) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_WR)


def closed_or_refused(stream, answer: Answer | None) -> None:
    """Fails by the socket's own timeout if remit neither answers nor closes."""
    if answer is not None:
        assert 400 <= answer.status < 500, answer
        return
    try:
        assert stream.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        pass


CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(100))

AT_THE_DOOR = {
    "garbage": os.urandom(2000).replace(b"\n", b"x") + b"\r\n\r\n",
    "a ClientHello": CLIENT_HELLO + b"\r\n\r\n",
    "origin-form": b"GET / HTTP/1.1\r\nHost: up.test\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "HTTP/3.0": b"GET http://up.test/ HTTP/3.0\r\nHost: up.test\r\n\r\n",
    "bare CONNECT": b"CONNECT\r\n\r\n",
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another scheme": b"GET ftp://up.test/ HTTP/1.1\r\nHost: up.test\r\n\r\n",
    "NUL in a field": b"CONNECT up.test:443 HTTP/1.1\r\nHost: up\0.test\r\n\r\n",
    "a field without colon": b"CONNECT up.test:443 HTTP/1.1\r\nHost up.test\r\n\r\n",
    "SOCKS5": b"\x05\x01\x00",
}


@pytest.mark.parametrize("raw", AT_THE_DOOR.values(), ids=AT_THE_DOOR.keys())
def test_bad_first_bytes(node, watch, raw):
    stream = dial(node)
    stream.sendall(raw)
    half_close(stream)
    closed_or_refused(stream, Answer.read(stream))
    until(lambda: watch.entries(), 5, "a journal entry")
    stream.close()


ABSURD = {
    "a long field": ({431}, "GET http://up.test/x HTTP/1.1\r\nHost: up.test\r\nX-Long: {a:1000000}\r\n\r\n"),
    "many fields": ({431}, "GET http://up.test/x HTTP/1.1\r\nHost: up.test\r\n{f:20000}\r\n"),
    "a long target": ({414, 431}, "GET http://up.test/{a:200000} HTTP/1.1\r\nHost: up.test\r\n\r\n"),
    "a long method": ({400, 405, 431, 501}, "{a:100000} http://up.test/ HTTP/1.1\r\nHost: up.test\r\n\r\n"),
    "a long CONNECT target": ({400, 414, 431}, "CONNECT {a:100000}:443 HTTP/1.1\r\nHost: up.test\r\n\r\n"),
}


@pytest.mark.parametrize(("statuses", "pattern"), ABSURD.values(), ids=ABSURD.keys())
def test_absurd_heads(node, own_task, watch, statuses, pattern):
    import re

    def grow(match: re.Match) -> str:
        kind, count = match.group(1), int(match.group(2))
        return "a" * count if kind == "a" else "".join(f"x-{n}: y\r\n" for n in range(count))

    head = re.sub(r"\{(\w):(\d+)\}", grow, pattern)
    first, rest = head.split("\r\n", 1)
    stream = dial(node)
    answer = send(stream, f"{first}\r\nProxy-Authorization: {own_task.basic()}\r\n{rest}".encode())
    # Closed while the flood was still coming is as good: the answer may be lost to the reset.
    assert answer is None or answer.status in statuses, answer
    until(lambda: watch.entries(), 5, "a journal entry")
    stream.close()


INSTEAD_OF_TLS = {
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: up.test\r\n\r\n",
    "garbage": os.urandom(500),
    "nothing": b"",
    "a truncated ClientHello": CLIENT_HELLO,
    "a ClientHello's first byte": b"\x16",
    "an empty record": b"\x16\x03\x01\x00\x00",
    "an endless record": b"\x16\x03\x01\xff\xff" + b"\0" * 1000,
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("raw", INSTEAD_OF_TLS.values(), ids=INSTEAD_OF_TLS.keys())
def test_anything_but_tls_after_connect(node, own_task, watch, bare_origin, raw):
    before = bare_origin.accepted
    stream, answer = connect(node, "bare.up.test:443", own_task)
    assert answer.status == 200
    stream.sendall(raw)
    half_close(stream)
    stream.settimeout(20)
    rest = b""
    try:
        while piece := stream.recv(4096):
            rest += piece
    except ConnectionError:
        pass
    assert b" 200 " not in rest
    if raw:
        until(lambda: watch.entries(), 5, "a journal entry")
    assert bare_origin.accepted == before
    stream.close()


POST = b"POST /echo?smuggle HTTP/1.1\r\nHost: bare.up.test\r\n"
TAIL = b"GET /echo?smuggle-second HTTP/1.1\r\nHost: bare.up.test\r\n\r\n"
DOUBTFUL = {
    "length and chunked": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + TAIL,
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + TAIL,
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 40\r\n\r\nabcd" + TAIL,
    "two equal lengths": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": POST + b"Content-Length: 4, 40\r\n\r\nabcd",
    "a signed length": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a hex length": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "a negative length": POST + b"Content-Length: -1\r\n\r\nabcd",
    "obs-fold": POST + b"X-Folded: one\r\n two\r\nContent-Length: 0\r\n\r\n",
    "folded framing": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + TAIL,
    "bare LF": POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n",
    "one bare LF": POST + b"X-A: b\nContent-Length: 0\r\n\r\n",
    "bare CR": POST + b"X-A: b\rContent-Length: 9\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": POST + b"Content-Length : 4\r\n\r\nabcd",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked with a tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a NUL": POST + b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "chunked in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space in the target": b"GET /echo?smuggle /x HTTP/1.1\r\nHost: bare.up.test\r\n\r\n",
    "a leading space": b" GET /echo?smuggle HTTP/1.1\r\nHost: bare.up.test\r\n\r\n",
}


@pytest.mark.parametrize("raw", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_doubtful_framing_is_refused_never_repaired(node, own_task, watch, bare_origin, raw):
    before = bare_origin.accepted
    with tunnel(node, "bare.up.test", own_task) as stream:
        answer = send(stream, raw)
        assert answer is None or answer.status in (400, 501), answer
        assert Answer.read(stream) is None, "the connection goes on after framing in doubt"
    watch.turned_away("bad_request")
    watch.nothing_opened(host="bare.up.test")
    assert bare_origin.accepted == before and not bare_origin.seen("smuggle")


@pytest.mark.parametrize("body", [b"zz\r\nabcd\r\n", b"4\r\nabcdefgh\r\n", b"-1\r\n", b"4;" + b"x" * 100_000 + b"\r\nabcd\r\n",
                                  b"ffffffffffffffffff\r\nabcd"], ids=["no number", "too long", "negative", "long extension", "overflow"])
def test_a_broken_chunk_ends_the_call(node, own_task, watch, bare_origin, body):
    with tunnel(node, "bare.up.test", own_task) as stream:
        answer = send(stream, b"POST /sink?broken-chunk HTTP/1.1\r\nHost: bare.up.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert answer is None or 400 <= answer.status < 600, answer
    assert not [request for request in bare_origin.seen("broken-chunk") if request.complete]


def test_half_of_a_request_then_gone(node, own_task, watch, bare_origin):
    for part in (b"GET /head", b"POST /sink?half HTTP/1.1\r\nHost: bare.up.test\r\nContent-Length: 100\r\n\r\nhalf"):
        with tunnel(node, "bare.up.test", own_task) as stream:
            stream.sendall(part)
    assert not [request for request in bare_origin.seen("half") if request.complete]


@pytest.mark.parametrize("way", ["closes", "resets", "half-closes"])
def test_who_asks_and_leaves_at_once_is_on_record_all_the_same(node, own_task, way):
    """Or an agent could try every door and leave no trace. A reset may overtake the request: then the connection is what is told."""
    watch = journals.Watch(node.journal)
    for number in range(20):
        with tunnel(node, "bare.up.test", own_task) as stream:
            stream.sendall(f"GET /forbidden/{number} HTTP/1.1\r\nHost: bare.up.test\r\n\r\n".encode())
            if way == "resets":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if way == "half-closes":
                half_close(stream)

    def recorded() -> set[str]:
        calls = {entry["data"]["http"]["path"] for entry in watch.entries() if entry["kind"] == "refused"}
        turned = {entry["data"]["peer"] for entry in watch.entries() if entry["kind"] == "turned_away"}
        return calls | turned if way == "resets" else calls

    try:
        until(lambda: len(recorded()) == 20, 5, "every call is on record")
    except AssertionError:
        pytest.fail(f"{20 - len(recorded())} of 20 refused calls left no trace")


def test_an_absolute_form_request_that_half_closes_is_on_record(node, own_task):
    for _ in range(20):
        watch = journals.Watch(node.journal)
        stream = dial(node)
        stream.sendall(b"GET http://up.test/x HTTP/1.1\r\nHost: up.test\r\n\r\n")
        half_close(stream)
        closed_or_refused(stream, Answer.read(stream))
        watch.turned_away("identity_required")
        stream.close()


def test_two_hundred_connections_that_say_nothing(node):
    streams = [dial(node) for _ in range(200)]
    for stream in streams:
        stream.close()


def test_an_agent_that_distrusts_our_authority(node, own_task, watch):
    stream, answer = connect(node, "up.test:443", own_task)
    assert answer.status == 200
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(stream, server_hostname="up.test")
    stream.close()


@pytest.mark.heavy
@pytest.mark.timeout(200)
def test_a_head_that_never_ends_is_given_up(node, watch):
    stream = dial(node, timeout=150)
    stream.sendall(b"CONNECT up.test:443 HTTP/1.1\r\nHost: ")
    closed_or_refused(stream, Answer.read(stream))
    stream.close()
