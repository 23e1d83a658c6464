"""Refusals that an agent can read, and that nothing at all happens before a permit."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading

import pytest

import journal as journals
from conftest import need
from wire import Answer, client, connect, dial, get, tunnel

PROBLEM = {"type", "title", "status", "detail", "operation", "class", "policies", "advice"}


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
def test_a_forbid_is_told_in_its_authors_words(remit, bare_origin, origin, task, journal, http2):
    with client(remit, task, http2=http2) as http:
        answer = http.post("https://up.test/forbidden/thing", json={"a": 1})
        after = http.get("https://up.test/headers?after-refusal")
    assert after.status_code == 200, "the connection goes on after a refusal"
    problem = answer.json()
    assert answer.status_code == 403 and answer.headers["content-type"].startswith("application/problem+json")
    assert answer.headers["remit-refusal"] == "policy_denied" and answer.headers["remit-call"]
    assert PROBLEM <= set(problem), problem
    assert problem["status"] == 403 and problem["class"] == "act" and problem["operation"] == "unknown:act"
    assert problem["policies"] == ["closed-area"] and problem["advice"] == "Use /headers instead."
    assert "Nothing under /forbidden is for agents." in problem["detail"]
    denied = journal.denied(host="up.test", path="/forbidden/thing")
    assert denied["call"] == answer.headers["remit-call"] and denied["rules"].startswith("sha256:")
    assert not origin.seen("/forbidden")


def test_what_no_policy_permits_is_refused(remit, task, emulate, journal, reached):
    with client(remit, task) as http:
        answer = http.delete("https://api.github.com/repos/alice/demo", headers={"authorization": "Bearer ghp_real_alice"})
    problem = answer.json()
    assert answer.status_code == 403 and problem["operation"] == "github:repos/delete", problem
    assert problem["class"] == "act" and problem["policies"] == [] and problem["advice"]
    assert "no policy permits" in problem["detail"]
    journal.denied(operation="github:repos/delete")
    reached.nothing("api.github.com")


def test_nothing_is_dialled_before_the_permit(remit, bare_origin, task, journal):
    before = bare_origin.accepted
    with tunnel(remit, "bare.up.test", task) as stream:
        assert get(stream, "bare.up.test", "/forbidden/quiet").status == 403
        assert bare_origin.accepted == before, "remit had dialled already"
        assert get(stream, "bare.up.test", "/headers?loud").status == 200
    assert bare_origin.accepted > before
    journal.denied(host="bare.up.test", path="/forbidden/quiet")


class NameServer:
    """Answers every question for an IPv4 address with one private address, and remembers what it was asked."""

    def __init__(self, address: str):
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                question, peer = self._socket.recvfrom(512)
            except OSError:
                return
            name, end = [], 12
            while question[end]:
                name.append(question[end + 1: end + 1 + question[end]].decode())
                end += question[end] + 1
            kind = struct.unpack(">H", question[end + 1: end + 3])[0]
            self.asked.append(".".join(name).lower())
            answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04" + socket.inet_aton("10.1.2.3") if kind == 1 else b""
            self._socket.sendto(question[:2] + b"\x81\x80\0\x01" + struct.pack(">H", bool(answer)) + b"\0\0\0\0"
                                + question[12: end + 5] + answer, peer)

    def close(self) -> None:
        self._socket.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give remit a name server of the test's own")
def test_nothing_is_resolved_before_the_permit_and_a_private_answer_is_refused(own_remit, tmp_path):
    """remit runs in a mount namespace whose /etc/resolv.conf names the test's server."""
    server = NameServer("127.0.0.77")
    configuration = tmp_path / "resolv.conf"
    configuration.write_text("nameserver 127.0.0.77\noptions timeout:1 attempts:1\n")
    script = f"mount --bind {configuration} /etc/resolv.conf && exec \"$@\""
    node = own_remit(wrapper=[need("unshare"), "--mount", "sh", "-c", script, "sh"])
    watch, task = journals.Watch(node.journal), node.task()
    try:
        with client(node, task) as http:
            refused = http.get("https://wanted.denied.test/x")
            assert refused.status_code == 403 and refused.headers["remit-refusal"] == "policy_denied"
            assert server.asked == [], "a name was resolved for a call that was refused"
            private = http.get("https://leads-inside.example/x")
    finally:
        server.close()
    assert "leads-inside.example" in server.asked
    assert private.status_code == 403 and private.headers["remit-refusal"] == "address_forbidden", private.text
    assert "10.1.2.3" in private.json()["detail"]
    watch.denied(host="wanted.denied.test")
    _told_as_forbidden(watch, host="leads-inside.example")


def _told_as_forbidden(watch, **facts) -> None:
    """A forbidden address shows in the closing of an opened call, or in a refusal: the journal must say which."""
    watch.allowed(outcome="origin_failed", **facts)


INSIDE = ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[::1]",
          "[fd00:ec2::254]", "[fe80::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]


@pytest.mark.parametrize("host", INSIDE)
def test_addresses_inside_are_closed(remit, task, journal, host):
    """Permitted by policy, unmapped: the egress guard alone stands between."""
    stream = dial(remit)
    answer = get(stream, host, f"http://{host}/latest/meta-data/", f"Proxy-Authorization: {task.basic()}")
    assert answer and answer.status == 403 and answer.headers["remit-refusal"] == "address_forbidden", answer
    problem = json.loads(answer.body)
    assert problem["advice"] and problem["status"] == 403


def test_a_loopback_server_is_not_reached_through_a_tunnel(remit, task, bare_origin, journal):
    before = bare_origin.accepted
    stream, answer = connect(remit, "localhost:443", task)
    if answer.status == 200:
        import wire

        secured = wire.agent_context(remit).wrap_socket(stream, server_hostname="localhost")
        answer = get(secured, "localhost", "/headers")
    assert answer.status == 403 and answer.headers["remit-refusal"] == "address_forbidden", answer
    assert bare_origin.accepted == before


def test_remits_own_admin_door_is_not_reached_through_the_proxy(remit, task):
    address = remit.admin.removeprefix("http://")
    answer = get(dial(remit), address, f"http://{address}/healthz", f"Proxy-Authorization: {task.basic()}")
    assert answer.status == 403 and answer.headers["remit-refusal"] in ("address_forbidden", "port_refused"), answer


def test_ports_of_other_protocols_are_refused(remit, task, journal):
    for port in (22, 25):
        _, answer = connect(remit, f"up.test:{port}", task)
        assert answer.status == 403 and answer.headers["remit-refusal"] == "port_refused", answer
    journal.turned_away("port_refused")


@pytest.mark.parametrize(("host", "code"), [
    ("expired.up.test", "origin_untrusted"), ("closed.up.test", "origin_unreachable"), ("nowhere.invalid", "origin_unreachable")])
def test_origins_that_fail_are_told_apart(remit, task, journal, host, code):
    with client(remit, task) as http:
        answer = http.get(f"https://{host}/x")
    assert answer.status_code == 502 and answer.headers["remit-refusal"] == code, answer.text
    assert answer.json()["advice"]
    _, closing = journal.allowed(host=host, outcome="origin_failed")
    assert closing["refusal"] == code


def test_trace_and_connect_inside_a_tunnel_are_refused(remit, bare_origin, task, journal):
    for head in ("TRACE /headers?method HTTP/1.1\r\nHost: bare.up.test", "CONNECT other.up.test:443 HTTP/1.1\r\nHost: other.up.test:443"):
        with tunnel(remit, "bare.up.test", task) as stream:
            stream.sendall(head.encode() + b"\r\n\r\n")
            answer = Answer.read(stream)
        assert answer is None or 400 <= answer.status < 500, answer
    assert not bare_origin.seen("method")
