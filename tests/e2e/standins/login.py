"""Starts the identity provider of `login.mjs`, and walks a browser through its pages."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from pathlib import Path

import httpx

from .process import Process, free_port, listening

PEOPLE = {
    "ada": {"email": "ada@example.org", "email_verified": True, "groups": ["oncall", "engineering"]},
    "bob": {"email": "bob@example.org", "email_verified": True, "groups": ["engineering"]},
    "eve": {"email": "ada@example.org", "email_verified": False, "groups": ["oncall"]},
    "zoe": {"email": "zoe@example.org", "email_verified": True, "groups": []},
}


class Login:
    def __init__(self, node: Path, npm: Path, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        program = npm / "login.mjs"
        shutil.copy(Path(__file__).with_name("login.mjs"), program)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = secrets.token_urlsafe(32)
        # RFC 8252 §7.3: of an application on the user's machine the port of the redirect URI may be any.
        client = {"client_id": "remit", "client_secret": self.secret, "application_type": "native",
                  "redirect_uris": ["http://127.0.0.1/login/oidc/callback"], "token_endpoint_auth_method": "client_secret_basic"}
        config = folder / "login.json"
        config.write_text(json.dumps({"port": self.port, "client": client, "people": PEOPLE}))
        self._process = Process("identity provider", [node, program, config], folder / "login.log", lambda: listening(self.port), cwd=folder)

    def close(self) -> None:
        self._process.kill()

    def configuration(self, folder: Path) -> str:
        secret = folder / "oidc-secret"
        secret.write_text(self.secret)
        return (f"[admin.oidc]\nissuer = {json.dumps(self.url)}\nclient_id = \"remit\"\n"
                f"client_secret = {{ file = {json.dumps(str(secret))} }}\nscopes = [\"email\", \"groups\"]\n"
                "roles = { approver = [\"oncall\"], viewer = [\"engineering\"] }\n")

    def seen(self) -> list[dict]:
        return httpx.get(f"{self.url}/test/seen", trust_env=False).json()

    def as_person(self, browser: httpx.Client, page: httpx.Response, name: str) -> httpx.Response:
        """From the provider's first page to wherever it sends the browser in the end."""
        for form in ({"prompt": "login", "login": name, "password": "any"}, {"prompt": "consent"}):
            action = re.search(r'action="([^"]+)"', page.text)
            assert action, page.text
            page = browser.post(str(page.url.join(action[1])), data=form)
        return page
