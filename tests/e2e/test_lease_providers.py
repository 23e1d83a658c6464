"""Credentials that are made for a task, narrowed to what it may do, and gone with it: each provider against a server that checks."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
import uuid

import jwt
import pytest
import requests

from standins.google import READ, WRITE
from standins.oidc import REMIT, RESOURCE, Key, Oidc
from standins.process import until
from standins.workload import workload_api
from wire import client

HOST = "plain.up.test"
# The promise.
GONE_WITHIN = 5.0


def secret(tmp_path, name: str, text: str) -> str:
    file = tmp_path / f"{name}-{uuid.uuid4().hex[:6]}"
    file.write_text(text)
    file.chmod(0o600)
    return json.dumps(str(file))


def lease(**keys: str) -> str:
    """One `[[leases]]`; values are TOML."""
    return "[[leases]]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items()) + "\n"


def oauth(server, tmp_path, **more: str) -> str:
    usual = {
        "service": f'"{HOST}"', "provider": '"oauth"', "token_url": f'"{server.url}/token"',
        "revocation_url": f'"{server.url}/token/revocation"', "client_id": '"remit"',
        "secret": f"{{ file = {secret(tmp_path, 'client', server.secret)} }}",
        "scopes": '{ read = ["doc:read"], act = ["doc:read", "doc:write"] }', "resource": f'["{RESOURCE}"]'}
    return lease(**{key: value for key, value in (usual | more).items() if value})


def call(node, task, origin, method: str = "GET") -> str:
    """A call, and what came to the origin in `authorization`."""
    marker = uuid.uuid4().hex
    with client(node, task) as http:
        answer = http.request(method, f"http://{HOST}/headers?{marker}", headers={"authorization": "Bearer of-the-agents-own"})
    assert answer.status_code == 200, answer.text
    received = origin.seen(marker)[-1]
    assert b"of-the-agents-own" not in received.raw
    return received.header("authorization")


def bearer(value: str) -> str:
    scheme, _, token = value.partition(" ")
    assert scheme == "Bearer", value
    return token


def end(node, task) -> None:
    assert node.command("task", "end", task.id).status == 0


def test_a_read_cannot_act_and_both_tokens_die_with_the_task(own_remit, oidc, origin, tmp_path):
    node = own_remit(extra=oauth(oidc, tmp_path))
    task = node.task()
    read = bearer(call(node, task, origin))
    act = bearer(call(node, task, origin, "POST"))
    assert read != act and bearer(call(node, task, origin)) == read, "a lease is used until it ends"
    told = oidc.introspect(read)
    assert told["active"] and told["scope"] == "doc:read" and told["aud"] == RESOURCE
    assert set(oidc.introspect(act)["scope"].split()) == {"doc:read", "doc:write"}
    end(node, task)
    for token in (read, act):
        oidc.inactive_within(token, GONE_WITHIN)


def test_a_kill_between_the_end_and_the_revocation_revokes_at_the_next_start(own_remit, oidc, origin, tmp_path):
    node = own_remit(extra=oauth(oidc, tmp_path))
    task = node.task()
    token = bearer(call(node, task, origin))
    oidc.outage(True)
    try:
        end(node, task)
        time.sleep(0.6)
        assert oidc.introspect(token)["active"], "nobody could take it back yet"
        os.kill(node.pid, signal.SIGKILL)
        node.wait(10)
    finally:
        oidc.outage(False)
    assert oidc.introspect(token)["active"]
    node.start()
    oidc.inactive_within(token, GONE_WITHIN)


def test_the_exchange_tells_the_server_for_whom_and_by_whom(own_remit, oidc, origin, tmp_path):
    signed = {
        "grant": '"token_exchange"', "subject": '"task"', "actor": '"task"', "issuer": f'"{REMIT}"', "signing_key_id": '"task-1"',
        "signing_key": f"{{ file = {secret(tmp_path, 'signing', oidc.signing_key.pem)} }}"}
    node = own_remit(extra=oauth(oidc, tmp_path, **signed))
    task = node.task("spiffe://example.org/agent/ada", "e2e", "--on-behalf-of", "user:grace@example.org")
    told = oidc.introspect(bearer(call(node, task, origin)))
    assert told["subject"] == "user:grace@example.org" and told["act"] == {"sub": "spiffe://example.org/agent/ada"}, told
    assert told["scope"] == "doc:read"
    end(node, task)


def test_a_jwt_of_the_task_is_a_grant_and_the_client_shows_a_key(own_remit, oidc, origin, tmp_path):
    signed = {
        "grant": '"jwt_bearer"', "issuer": f'"{REMIT}"', "signing_key_id": '"task-1"',
        "signing_key": f"{{ file = {secret(tmp_path, 'signing', oidc.signing_key.pem)} }}",
        "client_id": '"remit-key"', "client_auth": '"private_key_jwt"', "key_id": '"client-1"',
        "secret": f"{{ file = {secret(tmp_path, 'key', oidc.client_key.pem)} }}"}
    node = own_remit(extra=oauth(oidc, tmp_path, **signed))
    task = node.task()
    token = bearer(call(node, task, origin))
    told = oidc.introspect(token)
    assert told["subject"] == "spiffe://example.org/agent/e2e" and told["client_id"] == "remit-key", told
    end(node, task)
    oidc.inactive_within(token, GONE_WITHIN)


def test_the_nodes_own_svid_is_a_grant(own_remit, node24, npm, origin, tmp_path):
    key, issuer, agent = Key("svid-1"), "https://spire.example.org", "spiffe://example.org/remit"
    server = Oidc(node24, npm, tmp_path / "oidc", issuers={issuer: [key.jwk]})

    try:
        with workload_api(tmp_path, key, issuer, agent) as endpoint:
            more = {"grant": '"jwt_bearer"', "subject": '"svid"'}
            node = own_remit(extra=oauth(server, tmp_path, **more), identity=f"workload_api = {json.dumps(endpoint)}")
            task = node.task()
            token = bearer(call(node, task, origin))
            assert server.introspect(token)["subject"] == agent
            end(node, task)
            server.inactive_within(token, GONE_WITHIN)
    finally:
        server.close()


def test_a_refresh_token_that_the_server_replaces_outlives_the_node(own_remit, oidc, origin, tmp_path):
    first = oidc.refresh_token()
    # This server ends a refresh token with the access tokens that came of it (RFC 7009 §2.1 lets it), so none is revoked.
    more = {"revocation_url": "", "grant": '"refresh_token"', "refresh_token": f"{{ file = {secret(tmp_path, 'refresh', first)} }}"}
    node = own_remit(extra=oauth(oidc, tmp_path, **more))
    for _ in range(2):
        task = node.task()
        token = bearer(call(node, task, origin))
        assert oidc.introspect(token)["scope"] == "doc:read"
        end(node, task)
    # The first one was used up: a server that sees it again ends the whole grant.
    os.kill(node.pid, signal.SIGKILL)
    node.wait(10)
    node.start()
    token = bearer(call(node, node.task(), origin))
    assert oidc.introspect(token)["active"]


def test_a_token_that_is_bound_to_a_key_comes_with_its_proof(own_remit, oidc_with_nonces, origin, tmp_path):
    node = own_remit(extra=oauth(oidc_with_nonces, tmp_path, dpop="true"))
    task = node.task()
    marker = uuid.uuid4().hex
    with client(node, task) as http:
        assert http.get(f"http://{HOST}/headers?{marker}").status_code == 200
    received = origin.seen(marker)[-1]
    scheme, _, token = received.header("authorization").partition(" ")
    assert scheme == "DPoP"
    told = oidc_with_nonces.introspect(token)
    header = jwt.get_unverified_header(received.header("dpop"))
    proof = jwt.decode(received.header("dpop"), jwt.PyJWK(header["jwk"], "ES256").key, algorithms=["ES256"])
    assert (proof["htm"], proof["htu"]) == ("GET", f"http://{HOST}/headers")
    assert proof["ath"] == _sha256(token) and told["cnf"]["jkt"] == _thumbprint(header["jwk"])
    end(node, task)
    oidc_with_nonces.inactive_within(token, GONE_WITHIN)


def _sha256(text: str) -> str:
    import hashlib

    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _thumbprint(jwk: dict) -> str:
    """RFC 7638."""
    return _sha256(json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True))


def test_what_the_server_refuses_is_told_and_nothing_goes_out(own_remit, oidc, origin, tmp_path):
    node = own_remit(extra=oauth(oidc, tmp_path, secret=f"{{ file = {secret(tmp_path, 'wrong', 'wrong-s3cret-hunter2')} }}"))
    task, marker = node.task(), uuid.uuid4().hex
    with client(node, task) as http:
        answer = http.get(f"http://{HOST}/headers?{marker}")
    assert answer.status_code == 403 and answer.headers["remit-refusal"] == "lease_refused", answer.text
    assert not origin.seen(marker)
    written = b"".join(path.read_bytes() for path in (node.state / "journal").glob("*"))
    assert b"hunter2" not in written and "hunter2" not in node.log and "hunter2" not in answer.text


# --- GitHub Apps -----------------------------------------------------------------------------------------------------


@pytest.fixture
def github_node(own_remit, github_app, tmp_path):
    text = lease(
        service='"github"', provider='"github_app"', app_id=f'"{github_app.app_id}"', installation_id=str(github_app.installation),
        owner=f'"{github_app.owner}"', api_url=f'"{github_app.url}"', secret=f"{{ file = {secret(tmp_path, 'app', github_app.pem)} }}")
    return own_remit(extra=text, resolve={"api.github.com": f"http://127.0.0.1:{github_app.port}"})


def github(node, task, method: str, path: str) -> int:
    with client(node, task) as http:
        return http.request(method, f"https://api.github.com{path}", json={"title": "x"} if method == "POST" else None).status_code


def test_a_github_token_is_narrowed_to_the_task_and_dies_with_it(github_node, github_app):
    task = github_node.task("coder", "e2e", "--grant", "resource=github/repo/octo/hello,resource=github/repo/octo/world")
    assert github(github_node, task, "GET", "/repos/octo/hello/issues") == 200
    assert github(github_node, task, "GET", "/repos/octo/world/issues") == 200
    read, = github_app.tokens
    assert read.permissions == {"issues": "read", "metadata": "read"} and read.repositories == ["hello", "world"]
    assert github(github_node, task, "POST", "/repos/octo/hello/issues") == 201
    _, act = github_app.tokens
    assert act.permissions == {"issues": "write", "metadata": "read"} and act.used == ["issues:write hello"]
    end(github_node, task)
    until(lambda: not github_app.alive(), GONE_WITHIN, "both tokens are revoked")
    assert not github_app.wrong, github_app.wrong


def test_a_github_token_is_revoked_through_an_outage_and_a_kill(github_node, github_app):
    task = github_node.task()
    assert github(github_node, task, "GET", "/repos/octo/hello/issues") == 200
    github_app.outage = 502
    end(github_node, task)
    until(lambda: "DELETE /installation/token" in github_app.seen, GONE_WITHIN, "its end was asked for")
    os.kill(github_node.pid, signal.SIGKILL)
    github_node.wait(10)
    assert github_app.alive()
    github_app.outage = None
    github_node.start()
    until(lambda: not github_app.alive(), GONE_WITHIN, "it is revoked after the start")


# --- Vault -----------------------------------------------------------------------------------------------------------


def vault_lease(vault, tmp_path, **more: str) -> str:
    usual = {
        "service": f'"{HOST}"', "provider": '"vault"', "api_url": f'"{vault.url}"', "place": "{ basic = true }",
        "path": '{ read = "database/creds/readonly", act = "database/creds/readwrite" }',
        "fields": '{ user = "username", password = "password" }'}
    return lease(**(usual | more))


def pair(value: str) -> tuple[str, str]:
    scheme, _, text = value.partition(" ")
    assert scheme == "Basic", value
    user, _, password = base64.b64decode(text).decode().partition(":")
    return user, password


def test_a_dynamic_secret_ends_with_the_login_that_asked_for_it(own_remit, vault, origin, tmp_path):
    approle = {"auth": '"approle"', "role_id": f'"{vault.role_id}"', "secret": f"{{ file = {secret(tmp_path, 'sid', vault.secret_id)} }}"}
    node = own_remit(extra=vault_lease(vault, tmp_path, **approle))
    task = node.task()
    read, act = pair(call(node, task, origin)), pair(call(node, task, origin, "POST"))
    assert "-readonly-" in read[0] and "-readwrite-" in act[0] and vault.opens(*read) and vault.opens(*act)
    end(node, task)
    until(lambda: not vault.opens(*read) and not vault.opens(*act), GONE_WITHIN, "the database lets nobody in")
    own = [token for token in vault.tokens if token is not vault.operator]
    assert own and not any(token.alive() for token in own), "no login is left behind"


def test_a_dynamic_secret_of_the_operators_token_is_revoked_by_its_lease(own_remit, vault, origin, tmp_path):
    node = own_remit(extra=vault_lease(vault, tmp_path, secret=f"{{ file = {secret(tmp_path, 'token', vault.operator.value)} }}"))
    task = node.task()
    read = pair(call(node, task, origin))
    vault.outage = 503
    end(node, task)
    until(lambda: "PUT /v1/sys/leases/revoke" in vault.seen, GONE_WITHIN, "its end was asked for")
    os.kill(node.pid, signal.SIGKILL)
    node.wait(10)
    assert vault.opens(*read)
    vault.outage = None
    node.start()
    until(lambda: not vault.opens(*read), GONE_WITHIN, "it is revoked after the start")
    assert vault.operator.alive()


# --- Google ----------------------------------------------------------------------------------------------------------


def google_lease(google, tmp_path, **more: str) -> str:
    usual = {
        "service": '"google-drive"', "provider": '"google"', "secret": f"{{ file = {secret(tmp_path, 'account', json.dumps(google.key_file))} }}",
        "scopes": f'{{ read = ["{READ}"], act = ["{WRITE}"] }}'}
    return lease(**(usual | more))


def drive(node, task, method: str) -> dict:
    with client(node, task) as http:
        answer = http.request(method, "https://www.googleapis.com/drive/v3/files", headers={"authorization": "Bearer of-the-agents-own"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_service_account_gives_each_class_its_scopes(own_remit, google, tmp_path):
    node = own_remit(extra=google_lease(google, tmp_path), resolve={"www.googleapis.com": f"http://127.0.0.1:{google.port}"})
    task = node.task()
    assert drive(node, task, "GET")["files"][0]["name"] == google.account
    assert drive(node, task, "POST")["name"] == google.account
    read, act = google.tokens
    assert (read.scopes, act.scopes) == ({READ}, {WRITE})
    by_hand = requests.post(f"{google.url}/drive/v3/files", headers={"authorization": f"Bearer {read.value}"}, timeout=5)
    assert by_hand.status_code == 403, "what reads cannot act"
    end(node, task)
    shown = node.command("task", "show", task.id, "--json").json_text()
    # Nobody can end them: what is said is until when they work.
    assert {one["state"] for one in shown["leases"]} == {"expired"} and shown["gone"]["answer"] == "until", shown
    written = b"".join(path.read_bytes() for path in (node.state / "journal").glob("*")) + (node.state / "remit.sqlite").read_bytes()
    assert read.value.encode() not in written and act.value.encode() not in written


def test_tokens_of_another_account_live_as_long_as_the_task(own_remit, google, tmp_path):
    more = {"impersonate": json.dumps(google.other), "iam_url": json.dumps(google.url), "revocation_url": json.dumps(google.url + "/revoke")}
    node = own_remit(extra=google_lease(google, tmp_path, **more), resolve={"www.googleapis.com": f"http://127.0.0.1:{google.port}"})
    task = node.task("spiffe://example.org/agent/e2e", "e2e", "--ttl", "90s")
    assert drive(node, task, "GET")["files"][0]["name"] == google.other
    own, made = google.tokens
    assert (own.account, made.account, made.scopes) == (google.account, google.other, {READ})
    assert 0 < made.expires - time.time() <= 90
    end(node, task)
    until(lambda: "POST /revoke" in google.seen, GONE_WITHIN, "its end was asked for")
    shown = until(lambda: (told := node.command("task", "show", task.id, "--json").json_text())["gone"]["answer"] == "until" and told,
                  GONE_WITHIN, "what Google does not end is told with its end")
    assert shown["leases"][0]["state"] == "expired"


def test_a_key_that_google_does_not_know_is_told_with_the_remedy(own_remit, google, tmp_path):
    google.key_file["private_key_id"] = "deleted"
    node = own_remit(extra=google_lease(google, tmp_path), resolve={"www.googleapis.com": f"http://127.0.0.1:{google.port}"})
    with client(node, node.task()) as http:
        answer = http.get("https://www.googleapis.com/drive/v3/files")
    assert answer.status_code == 403 and answer.headers["remit-refusal"] == "lease_refused", answer.text
    assert "Invalid JWT Signature" in answer.text and "not deleted" in answer.text, answer.text
    assert google.key_file["private_key"] not in node.log
