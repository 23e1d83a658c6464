"""GitHub as far as Apps go: installation tokens that are narrowed, used and ended. No part of the product.

Held against GitHub's published OpenAPI document: each request that comes and each answer that goes is checked (`wrong` collects
what does not fit). What tokens may do is checked on a few operations of repositories, with GitHub's own messages.
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .openapi import Description

LIFE = datetime.timedelta(hours=1)
LEVELS = {"read": 1, "write": 2, "admin": 3}
# Operations that tokens can be tried on: what each needs.
TRIED = [
    ("GET", "/repos/{owner}/{repo}", "metadata", "read"),
    ("GET", "/repos/{owner}/{repo}/issues", "issues", "read"),
    ("POST", "/repos/{owner}/{repo}/issues", "issues", "write"),
    ("GET", "/repos/{owner}/{repo}/contents/{path}", "contents", "read"),
    ("PUT", "/repos/{owner}/{repo}/contents/{path}", "contents", "write"),
]


@dataclass
class Token:
    value: str
    installation: int
    permissions: dict[str, str]
    repositories: list[str]
    selected: bool
    expires: datetime.datetime
    revoked: float | None = None
    used: list[str] = field(default_factory=list)


class Refused(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


class GithubApp:
    app_id = 4242
    installation = 77
    owner = "octo"
    repositories = ["hello", "world", "secret"]
    permissions = {"metadata": "read", "issues": "write", "contents": "write", "pull_requests": "read"}

    def __init__(self, description: Description, base: str = ""):
        self.base, self._description = base, description
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()).decode()
        self._public = key.public_key()
        self.tokens: list[Token] = []
        self.wrong: list[str] = []
        self.seen: list[str] = []
        # While set, the end of a token is answered with this status.
        self.outage: int | None = None
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _serve(self):
                length = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(length)
                status, body = standin._answer(self.command, self.path, self.headers, raw)
                content = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{base}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()

    # --- one request ---------------------------------------------------------------------------------------------------

    def _answer(self, method: str, target: str, headers, raw: bytes) -> tuple[int, object]:
        path = target.split("?")[0].removeprefix(self.base)
        self.seen.append(f"{method} {path}")
        template, body = None, None
        try:
            body = json.loads(raw) if raw else None
            template, handler = self._route(method, path)
            if template and (body is not None or method == "POST"):
                self._note("request", method, path, self._description.request(method, template, body))
            status, answer = handler(headers, body)
        except Refused as refused:
            status, answer = refused.status, {
                "message": refused.message, "documentation_url": "https://docs.github.com/rest", "status": str(refused.status)}
        except ValueError:
            status, answer = 400, {"message": "Problems parsing JSON"}
        if template and status < 500:
            self._note("answer", method, path, self._description.answer(method, template, status, answer))
        return status, answer

    def _note(self, what: str, method: str, path: str, wrong: list[str]) -> None:
        self.wrong += [f"{what} {method} {path}: {one}" for one in wrong]

    def _route(self, method: str, path: str):
        routes = [
            ("GET", "/app", self._app),
            ("GET", "/app/installations/{installation_id}", self._installation),
            ("POST", "/app/installations/{installation_id}/access_tokens", self._give),
            ("DELETE", "/installation/token", self._end),
            ("GET", "/installation/repositories", self._reachable),
            *((verb, template, self._tried(need, level)) for verb, template, need, level in TRIED)]
        for verb, template, handler in routes:
            pattern = re.sub(r"\\\{path\\\}", "(?P<path>.+)", re.escape(template))
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
            found = re.fullmatch(pattern, path)
            if verb == method and found:
                # What a token is tried on is there for its permission alone, and not held against the document.
                held = template if template.startswith(("/app", "/installation")) else None
                return held, lambda headers, body, h=handler, f=found: h(headers, body, **f.groupdict())
        raise Refused(404, "Not Found")

    # --- the app -------------------------------------------------------------------------------------------------------

    def _signed(self, headers) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401, "A JSON web token could not be decoded")
        try:
            claims = jwt.decode(token, self._public, algorithms=["RS256"], options={"require": ["iat", "exp", "iss"]}, leeway=5)
        except jwt.ExpiredSignatureError:
            raise Refused(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time") from None
        except jwt.InvalidTokenError:
            raise Refused(401, "A JSON web token could not be decoded") from None
        if claims["exp"] > time.time() + 600:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
        if claims["iss"] not in (self.app_id, str(self.app_id)):
            raise Refused(401, "'Issuer' claim ('iss') must be an Integer")

    def _account(self) -> dict:
        url = f"https://api.github.com/users/{self.owner}"
        return {
            "login": self.owner, "id": 9, "node_id": "U_9", "avatar_url": "https://avatars.example/9", "gravatar_id": "", "url": url,
            "html_url": f"https://github.com/{self.owner}", "followers_url": f"{url}/followers", "following_url": f"{url}/following",
            "gists_url": f"{url}/gists", "starred_url": f"{url}/starred", "subscriptions_url": f"{url}/subscriptions",
            "organizations_url": f"{url}/orgs", "repos_url": f"{url}/repos", "events_url": f"{url}/events",
            "received_events_url": f"{url}/received_events", "type": "Organization", "site_admin": False}

    def _app(self, headers, _):
        self._signed(headers)
        return 200, {
            "id": self.app_id, "node_id": "A_1", "slug": "remit-test", "owner": self._account(), "name": "remit-test", "description": "",
            "external_url": "https://example.org", "html_url": "https://github.com/apps/remit-test",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "permissions": self.permissions, "events": []}

    def _installation(self, headers, _, installation_id):
        self._signed(headers)
        if int(installation_id) != self.installation:
            raise Refused(404, "Not Found")
        api = "https://api.github.com"
        return 200, {
            "id": self.installation, "account": self._account(), "access_tokens_url": f"{api}/app/installations/{self.installation}/access_tokens",
            "repositories_url": f"{api}/installation/repositories", "html_url": f"https://github.com/settings/installations/{self.installation}",
            "app_id": self.app_id, "target_id": 9, "target_type": "Organization", "permissions": self.permissions, "events": [],
            "single_file_name": None, "repository_selection": "selected", "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z", "app_slug": "remit-test", "suspended_at": None, "suspended_by": None}

    def _give(self, headers, body, installation_id):
        self._signed(headers)
        if int(installation_id) != self.installation:
            raise Refused(404, "Not Found")
        body = body or {}
        names = body.get("repositories")
        if names is not None and not {name.lower() for name in names} <= set(self.repositories):
            raise Refused(422, "There is at least one repository that does not exist or is not accessible to the parent installation.")
        wanted = body.get("permissions") or self.permissions
        if any(LEVELS.get(level, 9) > LEVELS.get(self.permissions.get(name, ""), 0) for name, level in wanted.items()):
            raise Refused(422, "The permissions requested are not granted to this installation.")
        expires = (datetime.datetime.now(datetime.timezone.utc) + LIFE).replace(microsecond=0)
        token = Token("ghs_" + secrets.token_hex(18), self.installation, {**wanted, "metadata": "read"},
                      [name.lower() for name in names or self.repositories], names is not None, expires)
        self.tokens.append(token)
        answer = {"token": token.value, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "permissions": token.permissions,
                  "repository_selection": "selected" if token.selected else "all"}
        if token.selected:
            answer["repositories"] = [self._repository(name) for name in token.repositories]
        return 201, answer

    # --- tokens --------------------------------------------------------------------------------------------------------

    def token(self, value: str) -> Token | None:
        return next((token for token in self.tokens if token.value == value), None)

    def alive(self) -> list[Token]:
        now = datetime.datetime.now(datetime.timezone.utc)
        return [token for token in self.tokens if token.revoked is None and token.expires > now]

    def _of(self, headers) -> Token:
        _, _, value = headers.get("authorization", "").partition(" ")
        token = next((token for token in self.alive() if token.value == value), None)
        if not token:
            raise Refused(401, "Bad credentials")
        return token

    def _end(self, headers, _):
        if self.outage:
            raise Refused(self.outage, "We had issues producing the response to your request.")
        self._of(headers).revoked = time.time()
        return 204, None

    def _reachable(self, headers, _):
        token = self._of(headers)
        return 200, {"total_count": len(token.repositories), "repositories": [self._repository(name) for name in token.repositories]}

    def _repository(self, name: str) -> dict:
        """Every member that the published schema requires of a repository, in its plainest form."""
        schema = self._description._document["components"]["schemas"]["repository"]
        plain = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
        whole = {
            member: None if described.get("nullable") else f"https://api.github.com/{member}" if described.get("format") == "uri"
            else plain[described.get("type", "object")]
            for member, described in schema["properties"].items() if member in schema["required"]}
        times = {member: "2026-01-01T00:00:00Z" for member in ("created_at", "updated_at", "pushed_at")}
        return whole | times | {
            "id": 100 + self.repositories.index(name), "node_id": f"R_{name}", "name": name, "full_name": f"{self.owner}/{name}",
            "owner": self._account(), "license": None, "private": True, "default_branch": "main", "visibility": "private"}

    def _tried(self, need: str, level: str):
        def handler(headers, body, owner, repo, path=None):
            token = self._of(headers)
            if owner.lower() != self.owner or repo.lower() not in token.repositories:
                raise Refused(404, "Not Found")
            if LEVELS[level] > LEVELS.get(token.permissions.get(need, ""), 0):
                raise Refused(403, "Resource not accessible by integration")
            token.used.append(f"{need}:{level} {repo.lower()}")
            return (200, []) if level == "read" else (201, {})

        return handler
