"""The stand-ins for servers that give credentials, held against clients and descriptions that are other people's."""

from __future__ import annotations

import time

import pytest
import requests
from github import Auth, Github, GithubException

hvac = pytest.importorskip("hvac", reason="PyPI `hvac` is not in this environment")


def github(standin, auth) -> Github:
    return Github(auth=auth, base_url=standin.url, retry=None)


def test_pygithub_gets_narrowed_installation_tokens(github_app):
    app = Auth.AppAuth(github_app.app_id, github_app.pem)
    installation = app.get_installation_auth(github_app.installation, {"issues": "read"}, requester=github(github_app, app).requester)
    assert installation.token == github_app.tokens[0].value
    token = github_app.token(installation.token)
    assert token.permissions == {"issues": "read", "metadata": "read"}
    assert not github_app.wrong, github_app.wrong


def test_the_github_stand_in_refuses_what_github_refuses(github_app):
    import jwt

    def ask(claims: dict, key: str = github_app.pem, **body):
        now = int(time.time())
        token = jwt.encode({"iat": now - 60, "exp": now + 300, "iss": str(github_app.app_id)} | claims, key, algorithm="RS256")
        return requests.post(f"{github_app.url}/app/installations/{github_app.installation}/access_tokens", json=body,
                             headers={"authorization": f"Bearer {token}"}, timeout=5)

    assert ask({}, repositories=["hello"], permissions={"issues": "read"}).status_code == 201
    assert ask({"exp": int(time.time()) + 700}).status_code == 401
    assert ask({"exp": int(time.time()) - 60}).status_code == 401
    assert ask({"iss": "9"}).status_code == 401
    assert ask({}, repositories=["elsewhere"]).status_code == 422
    assert ask({}, permissions={"administration": "write"}).status_code == 422
    token = ask({}, repositories=["hello"], permissions={"issues": "read"}).json()["token"]

    def use(method: str, path: str):
        return requests.request(method, github_app.url + path, headers={"authorization": f"token {token}"}, timeout=5,
                                json={"title": "x"} if method == "POST" else None).status_code

    assert use("GET", "/repos/octo/hello/issues") == 200
    assert use("POST", "/repos/octo/hello/issues") == 403
    assert use("GET", "/repos/octo/secret/issues") == 404
    assert use("DELETE", "/installation/token") == 204
    assert use("GET", "/repos/octo/hello/issues") == 401
    assert not github_app.wrong, github_app.wrong


def test_the_description_finds_what_does_not_fit(github_app):
    description = github_app._description
    template = "/app/installations/{installation_id}/access_tokens"
    assert description.request("POST", template, {"permissions": {"issues": "all"}})
    assert description.request("POST", template, {"repositories": "hello"})
    assert description.answer("POST", template, 201, {"token": 1})
    assert description.answer("POST", template, 299, {})


def test_hvac_gets_on_with_the_vault_stand_in(vault):
    client = hvac.Client(url=vault.url)
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.auth.approle.login(role_id=vault.role_id, secret_id="wrong")
    client.auth.approle.login(role_id=vault.role_id, secret_id=vault.secret_id)
    assert client.is_authenticated() and "database" in client.auth.token.lookup_self()["data"]["policies"]
    secret = client.secrets.database.generate_credentials("readonly")
    assert secret["lease_duration"] == vault.lease_s and vault.opens(**_pair(secret))
    with pytest.raises(hvac.exceptions.Forbidden):
        client.secrets.database.generate_credentials("closed")
    with pytest.raises(hvac.exceptions.Forbidden):
        client.sys.revoke_lease(secret["lease_id"])
    client.auth.token.revoke_self()
    # As in Vault, a lease ends with the token that asked for it.
    assert not vault.opens(**_pair(secret))
    operator = hvac.Client(url=vault.url, token=vault.operator.value)
    secret = operator.secrets.database.generate_credentials("readwrite")
    assert operator.sys.read_lease(secret["lease_id"])["data"]["ttl"] > 0
    operator.sys.revoke_lease(secret["lease_id"])
    assert not vault.opens(**_pair(secret))
    with pytest.raises(hvac.exceptions.InvalidRequest):
        operator.sys.read_lease(secret["lease_id"])
    operator.sys.revoke_lease(secret["lease_id"])


def _pair(secret: dict) -> dict:
    return {"user": secret["data"]["username"], "password": secret["data"]["password"]}


def test_google_auth_gets_on_with_the_google_stand_in(google):
    from google.auth import exceptions, impersonated_credentials
    from google.auth.transport.requests import AuthorizedSession, Request
    from google.oauth2 import service_account

    from standins.google import READ, SCOPE, WRITE, Google

    account = service_account.Credentials.from_service_account_info(google.key_file, scopes=[READ])
    http, files = AuthorizedSession(account), f"{google.url}/drive/v3/files"
    assert http.get(files).json()["files"][0]["name"] == google.account
    assert http.post(files).status_code == 403, "the scope is one for reading"
    assert requests.get(files, headers={"authorization": "Bearer ya29.unknown"}, timeout=5).status_code == 401
    # Another key, and no scope.
    stranger = Google()
    stranger.close()
    wrong = service_account.Credentials.from_service_account_info(
        google.key_file | {"private_key": stranger.key_file["private_key"]}, scopes=[READ])
    for refused in (wrong, account.with_scopes([])):
        with pytest.raises(exceptions.RefreshError):
            refused.refresh(Request())
    own = account.with_scopes([SCOPE + "iam"])

    def another(name: str, source) -> impersonated_credentials.Credentials:
        return impersonated_credentials.Credentials(
            source_credentials=source, target_principal=name, target_scopes=[WRITE], lifetime=120,
            iam_endpoint_override=f"{google.url}/v1/projects/-/serviceAccounts/{name}:generateAccessToken")

    made = another(google.other, own)
    assert AuthorizedSession(made).post(files).json()["name"] == google.other
    (token,) = [token for token in google.tokens if token.account == google.other]
    assert token.scopes == {WRITE} and token.expires < time.time() + 121
    with pytest.raises(exceptions.RefreshError):
        another("nobody@project.iam.gserviceaccount.com", own).refresh(Request())
    # What may read files makes no tokens.
    narrow = requests.post(f"{google.url}/v1/projects/-/serviceAccounts/{google.other}:generateAccessToken", timeout=5,
                           headers={"authorization": f"Bearer {google.tokens[0].value}"}, json={"scope": [WRITE]})
    assert narrow.status_code == 403 and narrow.json()["error"]["status"] == "PERMISSION_DENIED"
    assert requests.post(f"{google.url}/revoke", data={"token": token.value}, timeout=5).json()["error"] == "invalid_token"
