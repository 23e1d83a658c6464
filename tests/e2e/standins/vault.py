"""Vault's HTTP API as far as leases go: logins, dynamic secrets, their ends. No part of the product.

Written after Vault's published HTTP API documentation; `test_standins.py` has hvac, its Python client, get on with it. As in
Vault, a lease belongs to the token that asked for it and ends with it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DENIED = "1 error occurred:\n\t* permission denied\n\n"
UNKNOWN = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"


@dataclass
class Token:
    value: str
    policies: set[str]
    expires: float
    accessor: str = field(default_factory=lambda: secrets.token_hex(12))
    revoked: float | None = None

    def alive(self) -> bool:
        return self.revoked is None and time.time() < self.expires


@dataclass
class Lease:
    id: str
    data: dict[str, str]
    token: Token
    expires: float
    revoked: float | None = None

    def alive(self) -> bool:
        return self.revoked is None and time.time() < self.expires and self.token.alive()


class Refused(Exception):
    def __init__(self, status: int, *errors: str):
        super().__init__(*errors)
        self.status, self.errors = status, list(errors)


class Vault:
    role_id, secret_id = str(uuid.uuid4()), str(uuid.uuid4())
    # Role of the database engine -> policy that may read it.
    roles = {"readonly": "database", "readwrite": "database", "closed": "nobody"}

    def __init__(self, namespace: str = "", lease_s: int = 600):
        self.namespace, self.lease_s = namespace, lease_s
        self.operator = Token("hvs." + secrets.token_urlsafe(24), {"default", "database", "leases"}, time.time() + 86_400)
        self.tokens, self.leases, self.seen = [self.operator], [], []
        # While set, the ends of tokens and leases are answered with this status.
        self.outage: int | None = None
        self._lock = threading.RLock()
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _serve(self):
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                status, body = standin._answer(self.command, self.path, self.headers, raw)
                content = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Cache-Control", "no-store")
                if status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_LIST = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()

    def opens(self, user: str, password: str) -> bool:
        """Whether the database would let them in."""
        return any(lease.alive() and lease.data == {"username": user, "password": password} for lease in self.leases)

    # --- one request ---------------------------------------------------------------------------------------------------

    def _answer(self, method: str, target: str, headers, raw: bytes) -> tuple[int, object]:
        path = target.split("?")[0]
        with self._lock:
            self.seen.append(f"{method} {path}")
            try:
                if headers.get("x-vault-namespace", "").strip("/") != self.namespace:
                    raise Refused(404, "no handler for route")
                body = json.loads(raw) if raw else {}
                return self._route(method, path.removeprefix("/v1/").strip("/"), headers, body)
            except Refused as refused:
                return refused.status, {"errors": refused.errors}
            except (ValueError, KeyError, TypeError) as error:
                return 400, {"errors": [f"error parsing JSON: {type(error).__name__}"]}

    def _route(self, method: str, path: str, headers, body: dict) -> tuple[int, object]:
        update = method in ("POST", "PUT")
        if update and path == "auth/approle/login":
            return self._login(body)
        token = next((token for token in self.tokens if token.value == headers.get("x-vault-token") and token.alive()), None)
        if not token:
            raise Refused(403, UNKNOWN if headers.get("x-vault-token") else "missing client token")
        if method == "GET" and path == "auth/token/lookup-self":
            return 200, self._said(data={
                "id": token.value, "accessor": token.accessor, "policies": sorted(token.policies), "ttl": int(token.expires - time.time()),
                "path": "auth/approle/login", "renewable": True})
        if update and path == "auth/token/revoke-self":
            self._unless_out()
            token.revoked = time.time()
            return 204, None
        if method == "GET" and path.startswith("database/creds/"):
            return self._credentials(path, token)
        if update and path in ("sys/leases/revoke", "sys/revoke"):
            self._policy(token, "leases")
            self._unless_out()
            # A lease that is not known is as good as revoked.
            for lease in self.leases:
                if lease.id == body["lease_id"] and lease.revoked is None:
                    lease.revoked = time.time()
            return 204, None
        if update and path == "sys/leases/lookup":
            self._policy(token, "leases")
            lease = next((lease for lease in self.leases if lease.id == body["lease_id"] and lease.alive()), None)
            if not lease:
                raise Refused(400, "invalid lease")
            return 200, self._said(data={"id": lease.id, "renewable": True, "ttl": int(lease.expires - time.time())})
        raise Refused(404, f'no handler for route "{path}". route entry not found.')

    def _unless_out(self) -> None:
        if self.outage:
            raise Refused(self.outage, "Vault is sealed")

    @staticmethod
    def _policy(token: Token, policy: str) -> None:
        if policy not in token.policies:
            raise Refused(403, DENIED)

    @staticmethod
    def _said(**parts) -> dict:
        return {"request_id": str(uuid.uuid4()), "lease_id": "", "renewable": False, "lease_duration": 0, "data": None, "wrap_info": None,
                "warnings": None, "auth": None, **parts}

    def _login(self, body: dict) -> tuple[int, object]:
        if body.get("role_id") != self.role_id:
            raise Refused(400, "invalid role or secret ID")
        if body.get("secret_id") != self.secret_id:
            raise Refused(400, "invalid role or secret ID")
        # This role may not revoke leases: as in most vaults, only its own token.
        token = Token("hvs." + secrets.token_urlsafe(24), {"default", "database"}, time.time() + 1200)
        self.tokens.append(token)
        return 200, self._said(auth={
            "client_token": token.value, "accessor": token.accessor, "policies": sorted(token.policies), "token_policies": sorted(token.policies),
            "metadata": {"role_name": "remit"}, "lease_duration": 1200, "renewable": True, "entity_id": str(uuid.uuid4()),
            "token_type": "service", "orphan": True})

    def _credentials(self, path: str, token: Token) -> tuple[int, object]:
        role = path.removeprefix("database/creds/")
        if role not in self.roles:
            raise Refused(400, f"unknown role: {role}")
        self._policy(token, self.roles[role])
        data = {"username": f"v-remit-{role}-{secrets.token_hex(6)}", "password": secrets.token_urlsafe(18)}
        lease = Lease(f"{path}/{secrets.token_hex(12)}", data, token, time.time() + self.lease_s)
        self.leases.append(lease)
        return 200, self._said(lease_id=lease.id, renewable=True, lease_duration=self.lease_s, data=data)
