"""One authority: CONNECT target, SNI, Host and :authority name one origin, or the call does not go on."""

from __future__ import annotations

import ssl

import pytest

from wire import Answer, client, connect, dial, get, send, tunnel


def test_another_name_in_the_sni_is_refused(remit, bare_origin, task, journal):
    before = bare_origin.accepted
    try:
        with tunnel(remit, "bare.up.test", task, sni="other.up.test") as stream:
            answer = get(stream, "bare.up.test", "/headers?sni")
        assert answer is None or answer.status == 421, answer
    except (ssl.SSLError, ConnectionError):
        pass  # refused in the handshake
    journal.turned_away("origin_mismatch")
    assert bare_origin.accepted == before


@pytest.mark.parametrize("host", ["other.up.test", "bare.up.test:8443", "bare.up.test.evil.test", "up.test"])
def test_another_name_in_host_is_refused(remit, bare_origin, task, journal, host):
    before = bare_origin.accepted
    with tunnel(remit, "bare.up.test", task) as stream:
        answer = get(stream, host, "/headers?host")
    assert answer.status == 421 and answer.headers["remit-refusal"] == "origin_mismatch", answer
    journal.turned_away("origin_mismatch")
    assert bare_origin.accepted == before


@pytest.mark.parametrize("host", ["bare.up.test", "BARE.up.test", "bare.up.test:443", "bare.up.test."])
def test_spellings_of_the_same_name_agree(remit, bare_origin, task, host):
    with tunnel(remit, "bare.up.test", task) as stream:
        answer = get(stream, host, "/headers?same")
    # A trailing dot may be refused; it must not lead elsewhere.
    assert answer.status == 200 or (host.endswith(".") and answer.status in (400, 421)), answer


def test_another_authority_in_h2_is_refused(remit, bare_origin, origin, task, journal):
    with client(remit, task, http2=True) as http:
        answer = http.get("https://up.test/headers?h2-authority", headers={"Host": "bare.up.test"})
    assert answer.status_code == 421 and answer.headers["remit-refusal"] == "origin_mismatch", answer
    journal.turned_away("origin_mismatch")
    assert not origin.seen("h2-authority") and not bare_origin.seen("h2-authority")


def test_absolute_form_inside_a_tunnel_must_name_it_too(remit, bare_origin, task, journal):
    with tunnel(remit, "bare.up.test", task) as stream:
        answer = get(stream, "bare.up.test", "https://other.up.test/headers?inner-absolute")
    assert answer.status in (400, 421), answer
    assert not bare_origin.seen("inner-absolute")


def test_absolute_form_and_host_must_agree(remit, origin, task, journal):
    answer = get(dial(remit), "api.github.com", "http://plain.up.test/headers?disagree", f"Proxy-Authorization: {task.basic()}")
    assert answer.status in (400, 421), answer
    assert not origin.seen("disagree")


@pytest.mark.parametrize("head", [
    b"GET /headers?hosts HTTP/1.1\r\nHost: bare.up.test\r\nHost: bare.up.test\r\n\r\n",
    b"GET /headers?hosts HTTP/1.1\r\nHost: bare.up.test\r\nHost: other.up.test\r\n\r\n",
    b"GET /headers?hosts HTTP/1.1\r\n\r\n",
    b"GET /headers?hosts HTTP/1.1\r\nHost: user@bare.up.test\r\n\r\n"], ids=["twice", "two names", "none", "user-info"])
def test_a_doubtful_host_is_refused(remit, bare_origin, task, journal, head):
    with tunnel(remit, "bare.up.test", task) as stream:
        answer = send(stream, head)
    assert answer.status in (400, 421), answer
    assert not bare_origin.seen("hosts")


@pytest.mark.parametrize("target", ["up.test", "up.test:0", "up.test:99999", "user@up.test:443", "https://up.test:443",
                                    "up .test:443", "", ":443", "up.test:443/x", "[::1:443"])
def test_a_doubtful_connect_target_is_refused(remit, task, journal, target):
    _, answer = connect(remit, target, task)
    assert answer is None or answer.status == 400, answer
    journal.turned_away("bad_request")


def test_connect_and_its_host_header_must_agree(remit, task, journal):
    stream = dial(remit)
    answer = send(stream, f"CONNECT up.test:443 HTTP/1.1\r\nHost: api.github.com:443\r\n"
                          f"Proxy-Authorization: {task.basic()}\r\n\r\n".encode())
    assert isinstance(answer, Answer) and answer.status in (400, 421), answer
