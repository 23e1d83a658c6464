"""Google as far as service accounts go: tokens for a signed assertion, tokens of another account, and a resource that looks at them.
No part of the product.

Written after what Google publishes: "Using OAuth 2.0 for Server to Server Applications" (the assertion, its claims and errors),
the IAM Service Account Credentials API (`generateAccessToken`), and Drive's list and create, with the scopes that each of them
takes. `test_standins.py` has google-auth, Google's own client, get on with it.
"""

from __future__ import annotations

import datetime
import json
import secrets
import threading
import time
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/"
READ, WRITE = SCOPE + "drive.readonly", SCOPE + "drive"
# Whoever asks for tokens of other accounts has to have one of these.
MAKES_TOKENS = {SCOPE + "iam", SCOPE + "cloud-platform"}
HOUR = 3600
# What assertions are for, as Google's own clients write it wherever they send them.
PUBLISHED = "https://oauth2.googleapis.com/token"
# (method, path) -> scopes, one of which is enough.
RESOURCES = {("GET", "/drive/v3/files"): {READ, WRITE}, ("POST", "/drive/v3/files"): {WRITE}}


@dataclass
class Token:
    value: str
    account: str
    scopes: set[str]
    expires: float


class OauthError(Exception):
    def __init__(self, code: str, description: str):
        super().__init__(description)
        self.code, self.description = code, description


class ApiError(Exception):
    def __init__(self, status: int, word: str, message: str):
        super().__init__(message)
        self.status, self.word, self.message = status, word, message


class Google:
    account, other = "remit@project.iam.gserviceaccount.com", "worker@project.iam.gserviceaccount.com"

    def __init__(self):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._public, self.key_id = key.public_key(), secrets.token_hex(20)
        self.tokens: list[Token] = []
        self.seen: list[str] = []
        # Account -> those that may make tokens of it (roles/iam.serviceAccountTokenCreator).
        self.makers = {self.other: {self.account}}
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _serve(self):
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                status, body = standin._answer(self.command, self.path, self.headers, raw)
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Bearer realm="https://accounts.google.com/", error="invalid_token"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        self.key_file = {
            "type": "service_account", "project_id": "project", "private_key_id": self.key_id, "private_key": pem,
            "client_email": self.account, "client_id": "1", "token_uri": f"{self.url}/token", "universe_domain": "googleapis.com"}
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()

    def _answer(self, method: str, target: str, headers, raw: bytes) -> tuple[int, dict]:
        path = urllib.parse.unquote(target.split("?")[0])
        self.seen.append(f"{method} {path}")
        try:
            if (method, path) == ("POST", "/token"):
                return 200, self._token(dict(urllib.parse.parse_qsl(raw.decode())))
            if (method, path) == ("POST", "/revoke"):
                # Tokens of service accounts are not ended.
                raise OauthError("invalid_token", "Token is not revocable.")
            if method == "POST" and path.startswith("/v1/projects/-/serviceAccounts/"):
                account, _, verb = path.rsplit("/", 1)[1].partition(":")
                if verb == "generateAccessToken":
                    return 200, self._of_another(account, headers, json.loads(raw))
            if (method, path) in RESOURCES:
                return 200, self._resource(method, path, headers)
            raise ApiError(404, "NOT_FOUND", "Requested entity was not found.")
        except OauthError as error:
            return 400, {"error": error.code, "error_description": error.description}
        except ApiError as error:
            return error.status, {"error": {"code": error.status, "message": error.message, "status": error.word}}

    def _give(self, account: str, scopes: set[str], seconds: float) -> Token:
        token = Token("ya29.c." + secrets.token_urlsafe(48), account, scopes, time.time() + seconds)
        self.tokens.append(token)
        return token

    def _token(self, form: dict[str, str]) -> dict:
        if form.get("grant_type") != BEARER:
            raise OauthError("unsupported_grant_type", "Invalid grant_type: " + form.get("grant_type", ""))
        try:
            header = jwt.get_unverified_header(form.get("assertion", ""))
            if header.get("kid", self.key_id) != self.key_id:
                raise jwt.InvalidTokenError("kid")
            required = ["iss", "aud", "iat", "exp"]
            claims = jwt.decode(form["assertion"], self._public, algorithms=["RS256"], audience=[PUBLISHED, f"{self.url}/token"],
                                options={"require": required})
        except jwt.InvalidTokenError:
            raise OauthError("invalid_grant", "Invalid JWT Signature.") from None
        if claims["iss"] != self.account:
            raise OauthError("invalid_grant", "Invalid grant: account not found")
        if claims["exp"] - claims["iat"] > HOUR:
            raise OauthError("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
        scopes = set(claims.get("scope", "").split())
        if not scopes:
            raise OauthError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        token = self._give(self.account, scopes, HOUR - 1)
        return {"access_token": token.value, "expires_in": HOUR - 1, "token_type": "Bearer"}

    def _bearer(self, headers) -> Token:
        scheme, _, value = (headers.get("authorization") or "").partition(" ")
        found = [token for token in self.tokens if token.value == value and token.expires > time.time()]
        if scheme != "Bearer" or not found:
            raise ApiError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        return found[0]

    def _of_another(self, account: str, headers, body: dict) -> dict:
        caller = self._bearer(headers)
        if not caller.scopes & MAKES_TOKENS:
            raise ApiError(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
        if caller.account not in self.makers.get(account, set()):
            raise ApiError(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
        unknown = set(body) - {"scope", "lifetime", "delegates"}
        lifetime = body.get("lifetime", f"{HOUR}s")
        if unknown or not body.get("scope") or not lifetime.endswith("s") or not 0 < float(lifetime[:-1]) <= HOUR:
            raise ApiError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        token = self._give(account, set(body["scope"]), float(lifetime[:-1]))
        expires = datetime.datetime.fromtimestamp(int(token.expires), datetime.timezone.utc)
        return {"accessToken": token.value, "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _resource(self, method: str, path: str, headers) -> dict:
        token = self._bearer(headers)
        if not token.scopes & RESOURCES[method, path]:
            raise ApiError(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
        if method == "GET":
            return {"kind": "drive#fileList", "files": [{"kind": "drive#file", "id": "f1", "name": token.account}]}
        return {"kind": "drive#file", "id": "f2", "name": token.account}
