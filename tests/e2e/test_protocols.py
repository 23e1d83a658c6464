"""HTTP as agents really speak it: versions, streams, trailers, expectations, and an origin that breaks off."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

import journal as journals
from conftest import HERE, SCRIPTS
from node import AGENT, INTENT
from standins.process import system_environment, until
from wire import Answer, client, get, tunnel


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_events_arrive_one_by_one(remit, origin, journal, version):
    """The origin sends the next event only when the test has seen the last one at the agent."""
    gate = f"sse-{version}"
    command = [remit.binary, "run", "--config", remit.config, "--agent", AGENT, "--intent", INTENT, "--",
               SCRIPTS / "python", HERE / "clients" / "sse_watch.py", f"https://up.test/sse?gate={gate}&events=3", version]
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True,
                             env=system_environment(), start_new_session=True)
    try:
        assert child.stdout.readline().strip() == f"status 200 HTTP/{'2' if version == 'h2' else '1.1'}"
        for number in range(3):
            origin.open_gate(gate)
            assert child.stdout.readline().strip() == f"data: {number}"
        assert child.stdout.readline().strip() == "end"
        assert child.wait(20) == 0
    finally:
        child.kill()
    opened, closing = journal.allowed(host="up.test", path="/sse")
    assert opened["http"]["version"] == ("2" if version == "h2" else "1.1") and closing["response"]["complete"]


def test_h2_in_and_h1_out(remit, front, task, journal, reached):
    with client(remit, task, http2=True) as http:
        answer = http.post("https://h1.up.test/echo?h2h1", content=b"over two versions")
    assert answer.http_version == "HTTP/2" and answer.content == b"over two versions"
    assert reached("h1.up.test")[0].protocol == "HTTP/1.1"
    opened, _ = journal.allowed(host="h1.up.test")
    assert opened["http"]["version"] == "2"


def test_many_streams_of_one_connection(remit, origin, task, journal):
    import asyncio

    import httpx

    from wire import agent_context

    async def all_at_once():
        async with httpx.AsyncClient(http2=True, proxy=task.proxy_url, verify=agent_context(remit), timeout=30) as http:
            return await asyncio.gather(*(http.get(f"https://up.test/headers?many={n}") for n in range(40)))

    answers = asyncio.run(all_at_once())
    assert [answer.status_code for answer in answers] == [200] * 40
    assert len({answer.headers["remit-call"] for answer in answers}) == 40
    assert len(origin.seen("many=")) == 40


def test_no_alpn_is_http_1(remit, origin, task, journal):
    with tunnel(remit, "up.test", task) as stream:
        assert stream.selected_alpn_protocol() is None
        first = get(stream, "up.test", "/headers?keep=1")
        second = get(stream, "up.test", "/headers?keep=2")
    assert first.status == second.status == 200
    assert first.headers["remit-call"] != second.headers["remit-call"]
    journal.allowed(host="up.test", call=first.headers["remit-call"], version="1.1")
    journal.allowed(host="up.test", call=second.headers["remit-call"])


def test_a_body_waits_for_100_continue(remit, bare_origin, task, journal):
    with tunnel(remit, "bare.up.test", task) as stream:
        stream.sendall(b"POST /echo?expect HTTP/1.1\r\nHost: bare.up.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        interim = Answer.read(stream, body=False)
        assert interim.status == 100, interim
        stream.sendall(b"hello")
        answer = Answer.read(stream)
    assert answer.status == 200 and answer.body == b"hello"
    assert bare_origin.seen("expect")[-1].body == b"hello"
    journal.allowed(host="bare.up.test", path="/echo")


EXPECTING = "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


def test_a_refused_expectation_is_answered_before_the_body(remit, emulate, task, journal, reached):
    """Where the head alone says what the call would do."""
    with tunnel(remit, "api.github.com", task) as stream:
        stream.sendall(EXPECTING.format("/user/keys", "api.github.com").encode())
        answer = Answer.read(stream)
    assert answer.status == 403 and answer.headers["remit-refusal"] == "policy_denied", answer
    journal.denied(host="api.github.com", path="/user/keys")
    reached.none_matching("api.github.com", "POST")


def test_an_expectation_whose_body_decides_is_asked_for_the_body_and_refused(remit, bare_origin, task, journal):
    before = bare_origin.accepted
    with tunnel(remit, "bare.up.test", task) as stream:
        stream.sendall(EXPECTING.format("/forbidden/x", "bare.up.test").encode())
        interim = Answer.read(stream, body=False)
        assert interim.status == 100, interim
        stream.sendall(b"hello")
        answer = Answer.read(stream)
    assert answer.status == 403 and answer.headers["remit-refusal"] == "policy_denied", answer
    journal.denied(host="bare.up.test", path="/forbidden/x")
    assert bare_origin.accepted == before


def test_the_origins_own_417_comes_through(remit, bare_origin, task, journal):
    with tunnel(remit, "bare.up.test", task) as stream:
        stream.sendall(b"POST /expect-refused HTTP/1.1\r\nHost: bare.up.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        answer = Answer.read(stream, body=False)
        while answer.status == 100:
            stream.sendall(b"hello")
            answer = Answer.read(stream, body=False)
    assert answer.status == 417, answer


def test_a_chunked_upload_arrives_whole(remit, origin, task, journal):
    pieces = [bytes([n]) * (n * 1000 + 1) for n in range(20)]
    with tunnel(remit, "up.test", task) as stream:
        stream.sendall(b"POST /sink?chunked HTTP/1.1\r\nHost: up.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            stream.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        stream.sendall(b"0\r\n\r\n")
        answer = Answer.read(stream)
    digest = hashlib.sha256(b"".join(pieces)).hexdigest()
    assert json.loads(answer.body)["sha256"] == digest
    _, closing = journal.allowed(host="up.test", path="/sink", call=answer.headers["remit-call"])
    assert closing["request"]["sha256"] == digest and closing["request"]["complete"]


def test_trailers_of_the_answer_are_kept(remit, bare_origin, task, journal):
    with tunnel(remit, "bare.up.test", task) as stream:
        stream.sendall(b"GET /chunked HTTP/1.1\r\nHost: bare.up.test\r\nTE: trailers\r\n\r\n")
        whole = b""
        while b"x-digest: 0123abcd" not in whole.lower():
            piece = stream.recv(4096)
            assert piece, whole
            whole += piece
    assert b"one " in whole and b"three" in whole
    journal.allowed(host="bare.up.test", path="/chunked")


def test_head_has_no_body(remit, origin, task, journal):
    with client(remit, task) as http:
        answer = http.head("https://up.test/headers?head")
        again = http.get("https://up.test/headers?after-head")
    assert answer.status_code == 200 and answer.content == b"" and again.status_code == 200
    journal.allowed(host="up.test", method="HEAD")


def test_an_origin_that_breaks_off_is_not_passed_off_as_whole(remit, bare_origin, task, journal):
    with tunnel(remit, "bare.up.test", task) as stream:
        with pytest.raises(ConnectionError):
            get(stream, "bare.up.test", "/broken")
    _, closing = journal.allowed(host="bare.up.test", path="/broken", outcome="origin_failed")
    assert closing["response"]["complete"] is False


def test_an_agent_that_leaves_takes_its_call_to_the_origin_with_it(remit, bare_origin, task, journal):
    with tunnel(remit, "bare.up.test", task) as stream:
        stream.sendall(b"GET /sse?gate=left-alone HTTP/1.1\r\nHost: bare.up.test\r\n\r\n")
        assert Answer.read(stream, body=False).status == 200
    bare_origin.open_gate("left-alone")
    bare_origin.open_gate("left-alone")
    journal.allowed(host="bare.up.test", path="/sse", outcome="agent_gone", within=15)


def test_https_of_the_agent_to_a_plain_stand_in(remit, origin, task, journal):
    with client(remit, task) as http:
        assert http.get("https://plain.up.test/headers?plain-443").status_code == 200
    assert origin.seen("plain-443")[0].header("host") == "plain.up.test"
    opened, _ = journal.allowed(host="plain.up.test")
    assert opened["http"]["scheme"] == "https" and opened["http"]["port"] == 443


def test_a_refused_websocket_is_refused_in_http(remit, websocket_origin, task, journal):
    before = len(websocket_origin.handshakes)
    with tunnel(remit, "ws.up.test", task) as stream:
        answer = get(stream, "ws.up.test", "/forbidden/chat", "Connection: Upgrade", "Upgrade: websocket",
                     "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    assert answer.status == 403 and json.loads(answer.body)["policies"] == ["closed-area"]
    journal.denied(host="ws.up.test", path="/forbidden/chat")
    assert len(websocket_origin.handshakes) == before


def test_other_upgrades_never_reach_the_origin(remit, bare_origin, task, journal):
    """An upgrade is an offer: not taking it up is an answer (RFC 9110 7.8), and so is a refusal."""
    with tunnel(remit, "bare.up.test", task) as stream:
        answer = get(stream, "bare.up.test", "/headers?h2c", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                     "HTTP2-Settings: AAMAAABkAAQAAP__")
    assert answer.status in (200, 403), answer
    assert not [one for one in bare_origin.seen("h2c") if one.header("upgrade") or one.header("http2-settings")]


def test_a_long_answer_waits_for_a_slow_reader(remit, bare_origin, task, journal):
    """Back-pressure: what the agent does not read, the origin cannot send."""
    size = 200 << 20
    with tunnel(remit, "bare.up.test", task) as stream:
        stream.sendall(f"GET /big?bytes={size}&slow-reader HTTP/1.1\r\nHost: bare.up.test\r\n\r\n".encode())
        assert Answer.read(stream, body=False).status == 200
        request = bare_origin.seen("slow-reader")[0]
        history = [-1]

        def stands_still() -> bool:
            history.append(request.sent_bytes)
            return len(history) > 20 and len(set(history[-20:])) == 1

        until(stands_still, 30, "the origin stops sending")
        assert 0 < request.sent_bytes < 48 << 20, request.sent_bytes
    journal.allowed(host="bare.up.test", path="/big", outcome="agent_gone", within=15)


def test_a_service_is_known_at_a_host_of_the_operator_s_own(own_remit, front):
    """GitHub Enterprise has its API below /api/v3: what `[catalog.hosts]` says of a host counts for policies and the record."""
    node = own_remit(extra='[catalog.hosts]\n"h1.up.test/api/v3" = "github"\n"h1.up.test/api" = "github-graphql"\n')
    task, watch = node.task(), journals.Watch(node.journal)
    with client(node, task) as http:
        http.get("https://h1.up.test/api/v3/repos/octo/hello/issues")
        assert http.post("https://h1.up.test/api/v3/repos/octo/hello/issues", json={"title": "t"}).status_code != 403
        refused = http.put("https://h1.up.test/api/v3/repos/octo/hello/collaborators/eve", json={})
        deleted = http.delete("https://h1.up.test/api/v3/repos/octo/hello")
        graphql = http.post("https://h1.up.test/api/graphql", json={"query": "mutation{deleteIssue(input:{}){clientMutationId}}"})
    watch.allowed(host="h1.up.test", operation="github:issues/list-for-repo")
    watch.allowed(host="h1.up.test", operation="github:issues/create")
    assert refused.status_code == 403 and refused.json()["operation"] == "github:repos/add-collaborator"
    assert deleted.status_code == 403 and deleted.json()["operation"] == "github:repos/delete"
    [error] = graphql.json()["errors"]
    assert graphql.headers["remit-refusal"] == "policy_denied"
    assert error["extensions"]["operation"] == "github-graphql:deleteIssue"


def test_a_host_of_a_service_that_is_not_there_stops_the_start(own_remit):
    with pytest.raises(AssertionError, match="did you mean `github`"):
        own_remit(extra='[catalog.hosts]\n"h1.up.test" = "githob"\n')
