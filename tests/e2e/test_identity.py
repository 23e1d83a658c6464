"""Who asks: tokens in the proxy URL, 407 without one, and what a task's end means."""

from __future__ import annotations

import journal as journals
from conftest import need
from node import run
from wire import client, connect, dial, get, tunnel


def test_without_credentials_407_and_nothing_moves(remit, bare_origin, journal):
    before = bare_origin.accepted
    _, answer = connect(remit, "bare.up.test:443", None)
    assert answer.status == 407 and answer.headers["remit-refusal"] == "identity_required", answer
    assert "basic" in answer.headers["proxy-authenticate"].lower()
    journal.turned_away("identity_required", authority="bare.up.test:443")
    assert bare_origin.accepted == before


def test_absolute_form_without_credentials_is_407_too(remit, origin, journal):
    stream = dial(remit)
    answer = get(stream, "plain.up.test", "http://plain.up.test/headers?absolute-407")
    assert answer.status == 407, answer
    assert not origin.seen("absolute-407")
    journal.turned_away("identity_required")


def test_curl_without_credentials_fails_with_407(remit, journal):
    host, port = remit.proxy
    ran = run([need("curl"), "-sS", "-x", f"http://{host}:{port}", "https://api.github.com/user"])
    assert ran.status != 0 and "407" in ran.err, ran
    journal.turned_away("identity_required", authority="api.github.com:443")


def test_wrong_tokens_are_refused_and_never_written_down(remit, task, journal):
    forged = task.token[:-8] + ("A" * 8 if not task.token.endswith("A" * 8) else "B" * 8)
    for authorization in ("Bearer secret-that-is-wrong", f"Bearer {forged}", "Basic !!!", "Negotiate abc"):
        _, answer = connect(remit, "up.test:443", None, authorization=authorization)
        assert answer.status == 407 and answer.headers["remit-refusal"].startswith("identity_"), (authorization, answer)
    journal.turned_away("identity_invalid")
    written = b"".join(path.read_bytes() for path in (remit.state / "journal").glob("*"))
    assert b"secret-that-is-wrong" not in written and forged.encode() not in written


def test_bearer_does_as_well_as_basic(remit, origin, task, journal):
    stream, answer = connect(remit, "up.test:443", None, authorization=f"Bearer {task.token}")
    assert answer.status == 200, answer
    stream.close()


def test_the_origin_never_sees_what_was_for_the_proxy(remit, origin, task, journal):
    with tunnel(remit, "up.test", task) as stream:
        answer = get(stream, "up.test", "/headers?strip", f"Proxy-Authorization: {task.basic()}", "Proxy-Connection: keep-alive",
                     "Connection: x-mine", "X-Mine: hop", "X-Kept: yes")
    assert answer.status == 200 and answer.headers["remit-call"]
    received = origin.seen("strip")[0]
    assert received.header("x-kept") == "yes" and received.header("x-mine") is None
    assert task.token.encode() not in received.raw and b"roxy-" not in received.raw


def test_agent_and_intent_decide(remit, origin, journal):
    reader = remit.task("spiffe://example.org/agent/reader", "read-only")
    with client(remit, reader) as http:
        assert http.get("https://up.test/headers?reader").status_code == 200
        refused = http.post("https://up.test/echo?reader-act", content=b"x")
    assert refused.status_code == 403 and refused.json()["policies"] == ["reader-only-reads"]
    denied = journal.denied(host="up.test", method="POST", agent="spiffe://example.org/agent/reader", intent="read-only")
    assert denied["policies"] == ["reader-only-reads"]
    assert not origin.seen("reader-act")


def test_an_ended_task_opens_no_door(remit, origin, journal):
    ending = remit.task()
    with client(remit, ending) as http:
        assert http.get("https://up.test/headers?before-end").status_code == 200
    assert remit.command("task", "end", ending.id).status == 0
    journal.event("task_ended", task=ending.id)
    with client(remit, ending) as http:
        try:
            status = http.get("https://up.test/headers?after-end").status_code
        except Exception as error:  # a refused CONNECT is an exception of the client's own
            status = str(error)
    assert "401" in str(status) or "407" in str(status), status
    journal.turned_away("task_ended")
    assert not origin.seen("after-end")


def test_a_default_agent_answers_for_those_without_a_token(own_remit, origin):
    node = own_remit(default_agent="spiffe://example.org/agent/someone")
    watch = journals.Watch(node.journal)
    with client(node, None) as http:
        assert http.get("https://up.test/headers?default-agent").status_code == 200
    opened, _ = watch.allowed(host="up.test", agent="spiffe://example.org/agent/someone")
    assert opened["evidence"] == "assumed", opened


def test_absolute_form_reaches_a_plain_origin(remit, origin, task, journal):
    stream = dial(remit)
    answer = get(stream, "plain.up.test", "http://plain.up.test/headers?absolute", f"Proxy-Authorization: {task.basic()}")
    assert answer.status == 200, answer
    received = origin.seen("absolute")[-1]
    assert received.target == "/headers?absolute" and received.header("proxy-authorization") is None
    opened, _ = journal.allowed(host="plain.up.test")
    assert opened["http"]["scheme"] == "http"


def test_the_agents_leaf_is_for_one_name_and_no_authority(remit, task):
    from cryptography import x509

    with tunnel(remit, "up.test", task) as stream:
        leaf = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
        version = stream.version()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names == ["up.test"] and version == "TLSv1.3"
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() < 8 * 24 * 3600
    assert (remit.state / "ca").stat().st_mode & 0o077 == 0 or remit.state.stat().st_mode & 0o077 == 0


def test_keys_and_tokens_are_for_their_owner_alone(remit):
    assert remit.state.stat().st_mode & 0o077 == 0
    keys = [path for path in (remit.state / "ca").iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert keys and all(path.stat().st_mode & 0o077 == 0 for path in [*keys, remit.state / "admin.token"])
