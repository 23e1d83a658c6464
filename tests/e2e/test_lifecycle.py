"""A node's life: what it says of itself, how it drains, what a bad configuration is told, what `remit run` leaves."""

from __future__ import annotations

import json
import re
import threading

import journal as journals
from conftest import need
from node import run
from wire import Answer, client, connect, get, tunnel


def test_a_node_says_where_it_is(remit):
    assert remit.proxy[0] == "127.0.0.1" and remit.proxy[1] > 0
    assert remit.pid > 1 and remit.facts["version"]
    answer = run([need("curl"), "-sS", "-w", " %{http_code}", f"{remit.admin}/healthz"])
    assert answer.out.endswith(" 200"), answer


def test_sigterm_lets_a_running_answer_finish(own_remit, origin):
    node = own_remit()
    task, watch = node.task(), journals.Watch(node.journal)
    with tunnel(node, "up.test", task) as stream:
        stream.sendall(b"GET /sse?gate=drain&events=2 HTTP/1.1\r\nHost: up.test\r\n\r\n")
        answer = Answer.read(stream, body=False)
        assert answer.status == 200
        node.terminate()
        origin.open_gate("drain")
        got = b""
        # The origin writes byte by byte; how many come together in a chunk is for the machine to say.
        while b"data: 0" not in _unchunked(got):
            got += stream.recv(1000)
        assert _turned_away_while_draining(node, task)
        origin.open_gate("drain")
        while piece := stream.recv(1000):
            got += piece
            if got.endswith(b"0\r\n\r\n"):
                break
        assert got.endswith(b"0\r\n\r\n"), "the stream was cut"
    assert node.wait(30) == 0
    watch.allowed(host="up.test", path="/sse")
    assert node.journal.entries()[-1]["kind"] == "node_stopped"


def _unchunked(got: bytes) -> bytes:
    """What the whole chunks in it carry (RFC 9112, section 7.1)."""
    body = b""
    while match := re.match(rb"([0-9a-f]+)\r\n", got):
        size = int(match[1], 16)
        chunk, got = got[match.end():match.end() + size], got[match.end() + size + 2:]
        body += chunk
    return body


def _turned_away_while_draining(node, task) -> bool:
    """While it drains, a new agent is told so, or finds the door closed."""
    try:
        _, answer = connect(node, "up.test:443", task)
    except ConnectionError:
        return True
    return answer is None or answer.status == 503


def test_sigterm_without_work_ends_at_once(own_remit, origin):
    node = own_remit()
    with client(node, node.task()) as http:
        http.get("https://up.test/headers?before-sigterm")
        node.terminate()
        assert node.wait(15) == 0, node.log
    assert [entry["kind"] for entry in node.journal.entries()][-1] == "node_stopped"


def test_every_opened_call_is_closed_once(remit, origin, task):
    with client(remit, task) as http:
        for number in range(5):
            http.get(f"https://up.test/headers?once={number}")
    node_entries = remit.journal.entries()
    assert [entry["seq"] for entry in node_entries] == list(range(len(node_entries)))
    opened = [entry["data"]["call"] for entry in node_entries if entry["kind"] == "opened"]
    closed = [entry["data"]["call"] for entry in node_entries if entry["kind"] == "closed"]
    assert len(set(opened)) == len(opened) and len(set(closed)) == len(closed)
    assert set(closed) <= set(opened)


def test_a_bad_key_is_named_with_its_line_and_the_nearest_one(binary, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('mode = "enforce"\n[listen]\nprxy = "127.0.0.1:0"\n')
    ran = run([binary, "serve", "--config", config])
    assert ran.status == 2, ran
    assert "prxy" in ran.err and "`proxy`" in ran.err.replace("listen.proxy", "proxy") and "3" in ran.err, ran


def test_a_bad_value_is_named(binary, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[listen]\nproxy = "not an address"\n')
    ran = run([binary, "serve", "--config", config])
    assert ran.status == 2 and "listen.proxy" in ran.err and "not an address" in ran.err, ran


def test_a_policy_that_does_not_fit_the_schema_stops_the_start(binary, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "bad.cedar").write_text('@id("typo")\npermit (principal, action, resource) when { context.http.hots == "x" };\n')
    config = tmp_path / "config.toml"
    config.write_text(f'[state]\ndir = "{tmp_path}/state"\n[policies]\ndir = "{policies}"\n'
                      '[listen]\nproxy = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n')
    ran = run([binary, "serve", "--config", config])
    assert ran.status == 2 and "bad.cedar" in ran.err and "hots" in ran.err, ran


def test_run_passes_the_commands_status_on(remit):
    assert remit.run("sh", "-c", "exit 7").status == 7
    assert remit.run("sh", "-c", "kill -TERM $$").status == 128 + 15


def test_run_tells_in_a_table_what_happened(remit, origin):
    script = ("curl -sS -o /dev/null https://up.test/headers;"
              "curl -sS -o /dev/null https://up.test/forbidden/thing")
    ran = remit.run("sh", "-c", script)
    assert ran.status == 0 and ran.out == "", ran
    assert "unknown:read" in ran.err and "allow" in ran.err and "policy_denied" in ran.err, ran


def test_the_token_of_run_dies_with_its_command(remit, origin, journal):
    ran = remit.run("sh", "-c", 'printf %s "$HTTPS_PROXY"')
    credentials = ran.out.removeprefix("http://").split("@")[0]
    token = credentials.split(":", 1)[1]
    stream, answer = connect(remit, "up.test:443", None, authorization=f"Bearer {token}")
    if answer and answer.status == 200:
        import wire

        answer = get(wire.agent_context(remit).wrap_socket(stream, server_hostname="up.test"), "up.test", "/headers?dead-token")
    assert answer is None or answer.status in (401, 407), answer
    journal.turned_away("task_ended")
    assert not origin.seen("dead-token")


def test_run_sets_the_environment_of_every_client(remit):
    environment = dict(line.split("=", 1) for line in remit.run("env", "-0").out.split("\0") if "=" in line)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        assert environment[name] == environment[name.lower()] and environment[name].startswith("http://task:")
    assert "127.0.0.1" in environment["NO_PROXY"] and environment["NO_PROXY"] == environment["no_proxy"]
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "AWS_CA_BUNDLE",
                 "CARGO_HTTP_CAINFO", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        assert environment[name].endswith("bundle.pem"), name
    assert environment["NODE_EXTRA_CA_CERTS"].endswith("ca.pem") and "SSL_CERT_DIR" not in environment


def test_run_overrides_what_the_machine_had_set(remit):
    inherited = {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt", "HTTPS_PROXY": "http://elsewhere:1", "SSL_CERT_DIR": "/etc/ssl/certs"}
    ran = remit.run("sh", "-c", 'printf "%s %s %s" "$SSL_CERT_FILE" "$HTTPS_PROXY" "$SSL_CERT_DIR"', env=inherited)
    assert "elsewhere" not in ran.out and "/etc/ssl" not in ran.out, ran


def test_run_without_a_node_starts_one_inside(binary, tmp_path, settings, origin):
    from node import Node

    node = Node(binary, tmp_path / "inside", settings)
    ran = node.run(need("curl"), "-sS", "https://up.test/headers?inside")
    assert ran.status == 0 and json.loads(ran.out)["headers"], ran
    entries = node.journal.entries()
    assert entries[-1]["kind"] == "node_stopped"
    assert any(entry["kind"] == "opened" and entry["data"]["http"]["host"] == "up.test" for entry in entries)


def test_ten_agents_at_once(remit, origin):
    """Attribution holds under concurrency: each call is in the journal under its own task."""
    watch = journals.Watch(remit.journal)
    tasks = [remit.task(f"spiffe://example.org/agent/a{n}") for n in range(5)]
    results: list[tuple[str, str]] = []

    def work(mine):
        with client(remit, mine) as http:
            for _ in range(10):
                results.append((http.get("https://up.test/headers?crowd").headers["remit-call"], mine.id))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in tasks for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 100
    owners = {entry["data"]["call"]: entry["data"]["task"] for entry in watch.entries() if entry["kind"] == "opened"}
    assert all(owners[call] == owner for call, owner in results)
