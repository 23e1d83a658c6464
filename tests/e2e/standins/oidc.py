"""Starts the authorization server of `oidc.mjs`, and asks it as a resource server would (RFC 7662)."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import time
import urllib.parse
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .process import Process, free_port, listening

RESOURCE = "https://plain.up.test/"
SCOPES = "doc:read doc:write"
GRANTS = ["client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange",
          "urn:ietf:params:oauth:grant-type:jwt-bearer"]
REMIT = "https://remit.example.org"


class Key:
    """P-256: its private half as PEM, its public half as a JWK."""

    def __init__(self, kid: str):
        key = ec.generate_private_key(ec.SECP256R1())
        self.pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        numbers = key.public_key().public_numbers()
        part = lambda number: base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()  # noqa: E731
        self.jwk = {"kty": "EC", "crv": "P-256", "x": part(numbers.x), "y": part(numbers.y), "kid": kid, "use": "sig", "alg": "ES256"}


class Oidc:
    def __init__(self, node: Path, npm: Path, folder: Path, *, nonces: bool = False, issuers: dict[str, list[dict]] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        program = npm / "oidc.mjs"
        shutil.copy(Path(__file__).with_name("oidc.mjs"), program)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = secrets.token_urlsafe(32)
        # Its own name, its own key, and a name for whoever guards the API.
        self.client_key, self.signing_key = Key("client-1"), Key("task-1")
        plain = {"grant_types": GRANTS, "scope": f"openid offline_access {SCOPES}"}
        clients = [
            {**plain, "client_id": "remit", "client_secret": self.secret, "token_endpoint_auth_method": "client_secret_basic"},
            {**plain, "client_id": "remit-key", "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [self.client_key.jwk]},
             "token_endpoint_auth_signing_alg": "ES256"},
            {"client_id": "api", "client_secret": "api-" + self.secret, "grant_types": ["client_credentials"],
             "token_endpoint_auth_method": "client_secret_basic"}]
        config = folder / "oidc.json"
        vouching = {REMIT: {"keys": [self.signing_key.jwk]}} | {name: {"keys": keys} for name, keys in (issuers or {}).items()}
        config.write_text(json.dumps({
            "port": self.port, "clients": clients, "issuers": vouching, "resource": RESOURCE, "scope": SCOPES, "nonces": nonces}))
        self._command = [node, program, config]
        self._log = folder / "oidc.log"
        self._process = Process("oidc-provider", self._command, self._log, lambda: listening(self.port), cwd=folder)

    def close(self) -> None:
        self._process.kill()

    def _ask(self, path: str, fields: dict | None = None) -> dict | list:
        request = urllib.request.Request(self.url + path)
        if fields:
            pair = base64.b64encode(f"api:api-{self.secret}".encode()).decode()
            request.add_header("authorization", f"Basic {pair}")
            request.data = urllib.parse.urlencode(fields).encode()
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    def introspect(self, token: str) -> dict:
        return self._ask("/token/introspection", {"token": token})

    def refresh_token(self) -> str:
        """As after a login."""
        return self._ask("/test/refresh")["refresh_token"]

    def outage(self, on: bool) -> None:
        """While on, nothing can be revoked."""
        self._ask(f"/test/outage?{'on' if on else 'off'}")

    def seen(self) -> list[dict]:
        """The token requests."""
        return [one for one in self._ask("/test/seen") if "grant" in one]

    def inactive_within(self, token: str, seconds: float) -> float:
        """How long it took until introspection said so."""
        began = time.monotonic()
        while self.introspect(token)["active"]:
            took = time.monotonic() - began
            assert took < seconds, f"the token still works after {took:.1f} s"
            time.sleep(0.05)
        return time.monotonic() - began
