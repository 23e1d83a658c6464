"""A person at the console: Debian's Chromium, led by Playwright, with what goes wrong in a page written down."""

from __future__ import annotations

import json
from pathlib import Path

from node import Node

# What is asked of every page: WCAG 2.2 up to AA, and what axe-core's authors hold to be good practice beyond it.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Console:
    """One window on one node's console."""

    def __init__(self, browser, node: Node, *, scheme: str = "light", token: str | None = None, **more):
        token = token if token is not None else (node.state / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.node = node
        self.context = browser.new_context(
            base_url=node.admin, color_scheme=scheme, viewport={"width": 1360, "height": 900}, extra_http_headers=headers, **more)
        self.context.set_default_timeout(15_000)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._is_own)

    def _is_own(self, request) -> None:
        if not request.url.startswith((self.node.admin, "data:")):
            self.wrong.append(f"asked elsewhere: {request.url}")

    def go(self, path: str):
        answer = self.page.goto(path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.text()[:500]}"
        return self.page

    def violations(self, axe: Path) -> list[str]:
        """What axe-core finds in the page as it stands. It runs in the page: the driver is above the page's own policy."""
        self.page.evaluate(axe.read_text())
        found = self.page.evaluate(
            "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})", RULES)
        return [f"{one['id']} ({one['impact']}): {one['help']}: " + "; ".join(json.dumps(node["target"]) + " " + node.get("failureSummary", "")
                for node in one["nodes"][:4]) for one in found["violations"]]

    def close(self) -> None:
        self.context.close()
