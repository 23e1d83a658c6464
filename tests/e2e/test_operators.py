"""Operators: signed in at an identity provider, by a certificate or by the admin token; what each may, and what a foreign page may not."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node import run
from standins.process import until

HTML = {"accept": "text/html"}


def browser() -> httpx.Client:
    return httpx.Client(follow_redirects=True, trust_env=False, timeout=20)


def signed_in(node, login, name: str) -> httpx.Client:
    client = browser()
    page = client.get(f"{node.admin}/v1/session", headers=HTML)
    assert page.status_code == 401, "an API answers with a status and not with a page"
    page = client.get(f"{node.admin}/login/oidc?next=/v1/session")
    page = login.as_person(client, page, name)
    client.landed = page
    return client


@pytest.fixture
def staffed(own_remit, login, tmp_path):
    return own_remit(extra=login.configuration(tmp_path))


def test_a_person_signs_in_at_the_provider_and_may_what_the_groups_give(staffed, login):
    ada = signed_in(staffed, login, "ada")
    landed = ada.landed
    assert landed.status_code == 200 and str(landed.url) == f"{staffed.admin}/v1/session", landed.text
    told = landed.json()
    assert told["id"] == "oidc:ada@example.org" and set(told["roles"]) == {"approver", "viewer"}
    assert set(told["groups"]) == {"oncall", "engineering"}
    asked = login.seen()[-1]
    assert asked["code_challenge_method"] == "S256" and asked["state"] and asked["nonce"]
    csrf = {"remit-csrf": told["csrf"]}

    refused = ada.post(f"{staffed.admin}/v1/tasks", json={"agent": "coder", "intent": "e2e"}, headers=csrf)
    assert refused.status_code == 403 and refused.json()["code"] == "role_wanted", refused.text
    assert "admin" in refused.json()["detail"]
    # A viewer alone may not vote; an approver may, and here there is nothing to vote on.
    vote = {"digest": "sha256:" + "0" * 64}
    path = "/v1/holds/01KB0ZX5D2Q7C3V9T4N8M6R1WE/approve"
    assert ada.post(staffed.admin + path, json=vote, headers=csrf).status_code in (400, 404)
    bob = signed_in(staffed, login, "bob")
    theirs = {"remit-csrf": bob.landed.json()["csrf"]}
    assert bob.post(staffed.admin + path, json=vote, headers=theirs).json()["code"] == "role_wanted"
    assert bob.get(f"{staffed.admin}/v1/tasks").status_code == 200


def test_a_session_is_a_cookie_that_no_script_sees_and_that_ends_with_the_sign_out(staffed, login):
    ada = signed_in(staffed, login, "ada")
    (cookie,) = [one for one in ada.cookies.jar if one.name.startswith("remit-") and "attempt" not in one.name]
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "Lax"
    assert cookie.path == "/" and len(cookie.value) == 43
    csrf = ada.landed.json()["csrf"]
    for headers in ({}, {"remit-csrf": "x"}, {"remit-csrf": csrf, "origin": "https://evil.test"},
                    {"remit-csrf": csrf, "sec-fetch-site": "cross-site"}):
        refused = ada.post(f"{staffed.admin}/logout", headers=headers)
        assert refused.status_code == 403, (headers, refused.text)
    stolen = {"cookie": f"{cookie.name}={cookie.value}"}
    assert httpx.get(f"{staffed.admin}/v1/tasks", headers=stolen, trust_env=False).status_code == 200
    out = ada.post(f"{staffed.admin}/logout", data={"csrf": csrf})
    assert str(out.url) == f"{staffed.admin}/login" and out.status_code == 200
    assert httpx.get(f"{staffed.admin}/v1/tasks", headers=stolen, trust_env=False).status_code == 401
    kinds = staffed.command("audit", "query", "--by", "ada@example.org", "--json").out
    assert [json.loads(line)["kind"] for line in kinds.splitlines()] == ["operator_signed_in", "operator_signed_out"]


@pytest.mark.parametrize(("name", "why"), [("eve", "email_verified"), ("zoe", "no role")])
def test_who_is_not_known_or_has_no_role_is_not_let_in(staffed, login, name, why):
    client = signed_in(staffed, login, name)
    assert client.landed.status_code == 403 and why in client.landed.text
    assert client.get(f"{staffed.admin}/v1/tasks").status_code == 401


def test_an_answer_for_another_browser_or_a_second_time_signs_nobody_in(staffed, login):
    ada = browser()
    page = ada.get(f"{staffed.admin}/login/oidc")
    ada.event_hooks = {"response": [lambda answer: backs.append(answer.headers.get("location", ""))]}
    backs: list[str] = []
    login.as_person(ada, page, "ada")
    back = next(one for one in backs if "/login/oidc/callback" in one)
    for client in (browser(), ada):
        again = client.get(back)
        assert again.status_code == 403, again.text
    assert browser().get(f"{staffed.admin}/login/oidc/callback?error=access_denied").status_code == 403


def test_the_admin_token_opens_a_session_and_a_wrong_one_has_to_wait(staffed):
    token = (staffed.state / "admin.token").read_text().strip()
    form = browser().get(f"{staffed.admin}/login", headers=HTML)
    assert "script" not in form.text and "'none'" in form.headers["content-security-policy"]
    client = browser()
    landed = client.post(f"{staffed.admin}/login", data={"token": token, "next": "/v1/session"})
    assert landed.json()["id"] == "local:admin" and landed.json()["groups"] == "all"
    answers = [client.post(f"{staffed.admin}/login", data={"token": "nope"}) for _ in range(25)]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert int(answers[-1].headers["retry-after"]) <= 7
    assert browser().post(f"{staffed.admin}/login", data={"token": token, "next": "/v1/session"}).status_code == 200


class Ca:
    """A CA of the operators' own, and of the listener."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operators")])
        self.file = self._write("ca", self._sign(self.key, self.name, [], is_ca=True), None)[0]

    def _sign(self, key, subject, names, *, is_ca=False):
        now = datetime.datetime.now(datetime.UTC)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=1)).add_extension(x509.BasicConstraints(is_ca, None), True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name, certificate, key):
        pem, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key:
            secret.write_bytes(key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return pem, secret

    def issue(self, name, *names):
        key = ec.generate_private_key(ec.SECP256R1())
        return self._write(name, self._sign(key, x509.Name([]), list(names)), key)


def test_a_client_certificate_names_an_operator_at_the_tls_listener_and_the_command_line_shows_it(own_remit, binary, tmp_path):
    folder = tmp_path / "pki"
    folder.mkdir()
    ca = Ca(folder)
    own, own_key = ca.issue("own", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    uri = "spiffe://example.org/operator/ada"
    ada, ada_key = ca.issue("ada", x509.UniformResourceIdentifier(uri))
    bob, bob_key = ca.issue("bob", x509.RFC822Name("bob@example.org"))
    node = own_remit(extra="\n".join([
        "[admin]", f"certificate = {json.dumps(str(own))}", f"key = {json.dumps(str(own_key))}",
        f"client_ca = {json.dumps(str(ca.file))}", "[[operators]]", f"id = {json.dumps(uri)}", 'roles = ["admin"]']),
        listen='admin_tls = "127.0.0.1:0"')
    url = "https://" + node.facts["admin_tls"]

    def remit(*arguments, certificate=ada, key=ada_key):
        shown = ["--admin-ca", ca.file, "--admin-cert", certificate, "--admin-key", key] if certificate else ["--admin-ca", ca.file]
        return run([binary, *arguments, "--admin", url, *shown], env={"REMIT_ADMIN_TOKEN": "" if certificate else "nope"})

    opened = remit("task", "open", "--agent", "coder", "--intent", "e2e", "--json")
    assert opened.status == 0, opened
    told = node.command("audit", "query", "--by", uri, "--json").out.splitlines()
    assert [json.loads(line)["kind"] for line in told] == ["task_opened"]
    stranger = remit("task", "list", certificate=bob, key=bob_key)
    assert stranger.status == 1 and "cert:bob@example.org" in stranger.err and "[[operators]]" in stranger.err, stranger
    nobody = remit("task", "list", certificate=None)
    assert nobody.status == 1 and "token" in nobody.err, nobody
    # Without its CA the listener is not believed.
    doubted = run([binary, "task", "list", "--admin", url, "--admin-cert", ada, "--admin-key", ada_key])
    assert doubted.status == 3 and "TLS" in doubted.err, doubted

    # Certificates and CA are replaced while the node runs; what cannot be used changes nothing.
    own.write_text("nonsense")
    until(lambda: "cannot be used; those before stay" in node.log, 15, "the node tells of it")
    assert remit("task", "list").status == 0
    (tmp_path / "next").mkdir()
    following = Ca(tmp_path / "next")
    (before, key_before), before_ca = (ada, ada_key), ca.file
    ada, ada_key = following.issue("ada", x509.UniformResourceIdentifier(uri))
    fresh, fresh_key = following.issue("own", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    replaced = folder / "operators.pem"
    replaced.write_bytes(following.file.read_bytes())
    ca.file = following.file
    for made, place in ((fresh_key, own_key), (fresh, own), (replaced, before_ca)):
        os.replace(made, place)
    until(lambda: remit("task", "list", certificate=ada, key=ada_key).status == 0, 15, "the new certificates count")
    assert remit("task", "list", certificate=before, key=key_before).status == 1, "the CA before is not believed any more"
