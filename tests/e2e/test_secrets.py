"""Nothing secret is kept or told: canaries in every place of a call, then a search through all that remit leaves behind."""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import urllib.parse
import urllib.request
import zlib
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from node import Node
from standins.otlp import Receiver
from standins.process import until
from wire import agent_context, client, connect, dial, get, send, tunnel


class Canaries:
    """One value a place, each random enough to be found by no accident."""

    def __init__(self):
        self.planted: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        value = f"canary-{secrets.token_hex(12)}"
        self.planted[place] = value
        return value

    def forms(self):
        """Each value, plain and as it could have been written down in another coding."""
        for place, value in self.planted.items():
            raw = value.encode()
            yield place, "plain", raw
            yield place, "upper case", raw.upper()
            yield place, "hex", raw.hex().encode()
            yield place, "percent", "".join(f"%{byte:02X}" for byte in raw).encode()
            yield place, "random part", raw.removeprefix(b"canary-")
            for before in range(3):
                # Inside of a longer text base64 has three forms; the edges hang on what stands beside.
                coded = base64.b64encode(b"x" * before + raw)
                yield place, f"base64 at {before}", coded[4 if before else 0:-4]


def unpacked(raw: bytes) -> list[bytes]:
    """The bytes, and what is in them if they are packed."""
    found = [raw]
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            found.append(unpack(raw))
        except (OSError, EOFError, zlib.error):
            continue
    return found


def plant(node: Node, canary: Canaries, grpc_origin) -> tuple[list[bytes], str]:
    """Sends them. Gives back what the agent was answered by remit itself, and a marker that is no secret."""
    task, refusals = node.task(), []
    canary.planted["task token"] = task.token
    marker = "plainmarker"

    def refused(answer) -> None:
        assert answer is not None
        refusals.append(getattr(answer, "raw_head", b"") + answer.body)

    headers = lambda where: {  # noqa: E731
        "authorization": f"Bearer {canary(where + ' authorization')}", "cookie": f"session={canary(where + ' cookie')}",
        "x-api-key": canary(where + " header"), "referer": f"https://up.test/?k={canary(where + ' referer')}",
        "user-agent": f"tool/1 ({canary(where + ' user agent')})",
        "content-type": f"application/json; boundary={canary(where + ' content type')}"}
    for http2 in (False, True):
        with client(node, task, http2=http2) as http:
            where = "h2" if http2 else "h1"
            body = json.dumps({"password": canary(where + " body"), canary(where + " body name"): 1})
            query = {"token": canary(where + " query"), canary(where + " query name"): "1"}
            path = f"/{marker}/items/{canary(where + ' path')}/bot{canary(where + ' path in a word')}/send"
            assert http.post(f"https://up.test{path}", params=query, headers=headers(where), content=body).status_code == 200
            answer = http.delete(f"https://up.test/forbidden/{canary(where + ' refused path')}", params={
                "q": canary(where + " refused query")}, headers=headers(where + " refused"))
            assert answer.status_code == 403
            refusals.append(answer.content + str(answer.headers).encode())
            answer = http.get(f"https://closed.up.test/{canary(where + ' unreachable path')}?a={canary(where + ' unreachable query')}")
            assert answer.status_code in (502, 504)
            refusals.append(answer.content + str(answer.headers).encode())

    plant_by_hand(node, task, canary, refused)
    plant_by_grpc(node, task, canary)
    return refusals, marker


def plant_by_hand(node: Node, task, canary: Canaries, refused) -> None:
    """What no client sends: bad credentials, users in authorities, broken requests."""
    for scheme in ("Bearer", "Basic", "Digest"):
        value = canary(f"proxy {scheme}")
        sent = base64.b64encode(f"task:{value}".encode()).decode() if scheme == "Basic" else value
        stream, answer = connect(node, "up.test:443", None, authorization=f"{scheme} {sent}")
        stream.close()
        refused(answer)
    for target in (f"user:{canary('user in CONNECT')}@up.test:443", f"{canary('name in CONNECT')}@up.test:443"):
        stream, answer = connect(node, target, task)
        stream.close()
        refused(answer)
    basic = f"Proxy-Authorization: {task.basic()}\r\n"
    for url in (f"http://user:{canary('user in URL')}@plain.up.test/x", f"http://plain.up.test/{canary('broken path')}/../x",
                f"http://plain.up.test/x?{canary('query without a name')} y"):
        with dial(node) as stream:
            refused(send(stream, f"GET {url} HTTP/1.1\r\nHost: plain.up.test\r\n{basic}\r\n".encode()))
    with tunnel(node, "up.test", task) as stream:
        refused(get(stream, f"user:{canary('user in Host')}@up.test", "/x"))
    with tunnel(node, "up.test", task) as stream:
        refused(send(stream, (f"POST /x HTTP/1.1\r\nHost: up.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"
                              f"X-Key: {canary('broken framing')}\r\n\r\n0\r\n\r\n").encode()))
    with tunnel(node, "up.test", task) as stream:
        stream.sendall((f"GET /x HTTP/1.1\r\nHost: up.test\r\nUpgrade: {canary('upgrade')}\r\n"
                        "Connection: upgrade\r\n\r\n").encode())


def plant_by_grpc(node: Node, task, canary: Canaries) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: F401
    channel = grpc.secure_channel(
        "grpc.up.test:443", grpc.ssl_channel_credentials(node.ca.read_bytes()),
        options=[("grpc.http_proxy", task.proxy_url)])
    with channel:
        call = channel.unary_unary("/demo.Echo/Unary", request_serializer=bytes, response_deserializer=bytes)
        try:
            call(canary("gRPC message").encode(), timeout=20, metadata=[
                ("authorization", f"Bearer {canary('gRPC metadata')}"), ("x-key-bin", canary("gRPC binary metadata").encode())])
        except grpc.RpcError as error:
            assert error.code() != grpc.StatusCode.DEADLINE_EXCEEDED, error


@pytest.mark.parametrize("log", ["trace"])
def test_no_canary_is_found_in_anything_that_remit_leaves(binary, tmp_path, settings, origin, grpc_origin, log):
    receiver, canary = Receiver(), Canaries()
    node = Node(binary, tmp_path / "remit", replace(settings, otlp=receiver.http, extra="metrics_interval_s = 1\n"),
                wrapper=["env", f"REMIT_LOG={log},h2={log},hyper={log},rustls={log}"])
    try:
        node.start()
        refusals, marker = plant(node, canary, grpc_origin)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(node.admin + "/metrics") as answer:
            metrics = answer.read()
        tasks = node.command("task", "list", "--json").out.encode()
        node.stop()
        places = {f"state {path.relative_to(node.state)}": path.read_bytes()
                  for path in node.state.rglob("*") if path.is_file()}
        places |= {"log": node._process.log.read_bytes(), "metrics": metrics, "task list": tasks}
        places |= {f"refusal {n}": refusal for n, refusal in enumerate(refusals)}
        places |= {f"OTLP request {n}": raw for n, raw in enumerate(list(receiver.raw))}
    finally:
        node.stop()
        receiver.close()
    # The search finds what is there.
    journal = b"".join(raw for name, raw in places.items() if name.startswith("state journal"))
    spans = b"".join(raw for name, raw in places.items() if name.startswith("OTLP"))
    assert marker.encode() in journal and marker.encode() in spans and b"DEBUG" in places["log"]
    assert b"remit.calls" in spans, "metrics are pushed too"
    sent = b"".join(request.raw + request.body for request in list(origin.requests))
    for where in ("h1 authorization", "h2 cookie", "h1 body", "h2 query", "h1 path in a word"):
        assert canary.planted[where].encode() in sent, f"{where} was not sent at all"
    assert len(canary.planted) > 40 and len(refusals) > 10
    found = [(place, form, name) for name, raw in places.items() for bytes_ in unpacked(raw)
             for place, form, needle in canary.forms() if needle in bytes_]
    assert not found, found
