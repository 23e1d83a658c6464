"""What a task may spend, what its token has to come with, and who answers for an agent: as an operator says it on the command line."""

from __future__ import annotations

import http.server
import threading

import pytest
import requests

from wire import dial, get

PERMIT = '@id("all") permit (principal, action, resource);\n'


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def node(own_remit, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "all.cedar").write_text(PERMIT)
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{origin.server_port}"
    yield own_remit(policies=policies, resolve={"api.stripe.com": at})
    origin.shutdown()


def charge(node, task, amount: str, currency: str) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    return session.post("https://api.stripe.com/v1/charges", data={"amount": amount, "currency": currency},
                        proxies={"https": task.proxy_url}, verify=str(node.ca), timeout=30)


def test_a_budget_of_money_is_kept(node):
    task = node.task("till", "refunds", "--budget", "money=1.50USD")
    assert charge(node, task, "100", "usd").status_code == 200
    over = charge(node, task, "51", "usd")
    assert over.status_code == 429 and over.headers["remit-refusal"] == "budget_exhausted", over.text
    assert charge(node, task, "50", "USD").status_code == 200
    assert charge(node, task, "1", "usd").status_code == 429
    assert charge(node, task, "1", "eur").status_code == 429, "a currency that is not named has no budget"
    assert charge(node, task, "many", "usd").status_code == 429, "nor has what cannot be read"
    shown = node.command("task", "show", task.id, "--json").json_text()
    assert shown["money"] == {"usd": 150} and shown["budget"]["money"] == {"usd": 150}, shown


def test_agents_are_registered_and_forgotten(node):
    registered = node.command("agent", "register", "coder", "--owner", "team-a", "--kind", "integration", "--label", "tier=2",
                              "--learning", "1h", "--host", "coder.test", "--behind", "self")
    assert registered.status == 0, registered

    def coder() -> dict:
        listed = node.command("agent", "list", "--json").json_text()["agents"]
        return next(agent for agent in listed if agent["id"].endswith("/agent/coder"))

    assert (coder()["registered"], coder()["owner"], coder()["labels"]) == (True, "team-a", {"tier": "2"})
    taken = node.command("agent", "register", "other", "--host", "coder.test")
    assert taken.status == 1 and "answers at" in taken.err, taken
    assert node.command("agent", "forget", "coder").status == 0
    assert coder()["registered"] is False


def test_a_token_is_bound_to_a_certificate_file(node, authority):
    chain, _key = authority.leaf("client", ["client.test"])
    task = node.task("coder", "bound", "--bind-certificate", str(chain))
    stream = dial(node)
    answer = get(stream, "api.stripe.com", "http://api.stripe.com/", f"Proxy-Authorization: Bearer {task.token}")
    assert answer.status == 407 and b"one client certificate" in answer.body, answer
