"""Three agents over two nodes: `ada` asks `bob` (A2A) through node 1, bob asks `cy`, an A2A agent of its own kind, through
node 2, and each node knows for whom it all is."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
import requests

from node import Node
from standins.process import free_port
from standins.services import A2aAgent

PERMIT = '@id("all") permit (principal, action, resource);\n'
ADA, BOB, CY = (f"spiffe://example.org/agent/{name}" for name in ("ada", "bob", "cy"))


def message(text: str) -> dict:
    parts = [{"text": text}]
    return {"jsonrpc": "2.0", "id": 1, "method": "SendMessage",
            "params": {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": parts}}}


def send(node: Node, task, url: str, *, body: dict | None = None, chain: str | None = None) -> requests.Response:
    """What an agent's own HTTP client does: the proxy's URL, the CA, and the chain passed on like a `traceparent`."""
    session = requests.Session()
    session.trust_env = False
    headers = {"remit-chain": chain} if chain else {}
    proxies = {"https": task.proxy_url}
    if body is None:
        return session.get(url, headers=headers, proxies=proxies, verify=str(node.ca), timeout=30)
    return session.post(url, json=body, headers=headers, proxies=proxies, verify=str(node.ca), timeout=30)


class Bob:
    """An agent that answers A2A by asking cy, and by reading something for itself; each through node 2."""

    def __init__(self):
        self.node, self.task, self.chains, self.answers = None, None, [], []
        bob = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # noqa: N802
                self._answer(200, {"read": self.path})

            def do_POST(self):  # noqa: N802
                self.rfile.read(int(self.headers.get("content-length", 0)))
                chain = self.headers.get("remit-chain")
                bob.chains.append(chain)
                asked = send(bob.node, bob.task, "https://cy.agents.test/a2a", body=message("sum 40 2"), chain=chain)
                read = send(bob.node, bob.task, "https://bob.agents.test/notes", chain=chain)
                act = send(bob.node, bob.task, "https://bob.agents.test/notes", body={}, chain=chain)
                bob.answers = [asked, read, act]
                self._answer(200, {"jsonrpc": "2.0", "id": 1, "result": asked.json().get("result")})

            def _answer(self, status: int, body: dict) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def house(own_remit, tmp_path, node24, npm):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "all.cedar").write_text(PERMIT)
    bob, cy = Bob(), A2aAgent(node24, npm, tmp_path, free_port(), "cy")
    resolve = {"bob.agents.test": f"http://127.0.0.1:{bob.server.server_port}", "cy.agents.test": f"http://127.0.0.1:{cy.port}"}

    def agent(name: str, behind: str) -> str:
        return f'[[agents]]\nid = "{name}"\nhosts = ["{name}.agents.test"]\nbehind = "{behind}"\n'

    one = own_remit(policies=policies, resolve=resolve, identity='node = "node-1"', extra=agent("bob", "node-2"))
    key = json.dumps(str(one.state / "chain.pub"))
    peer = f'[[identity.peers]]\nname = "node-1"\nkey = {key}\nspeaks_for = ["{ADA}"]\n'
    two = own_remit(policies=policies, resolve=resolve, identity='node = "node-2"',
                    extra=peer + agent("bob", "node-2") + agent("cy", "node-3"))
    bob.node, bob.task = two, two.task("bob")
    yield one, two, bob, cy
    bob.server.shutdown()
    cy.close()


def test_a_chain_of_three_agents_over_two_nodes(house):
    one, two, bob, cy = house
    ada = one.task("ada", "sums", "--grant", "class=read,class=delegate")
    answer = send(one, ada, "https://bob.agents.test/a2a", body=message("what is 40 and 2?"))
    assert answer.status_code == 200 and "42" in answer.text, (answer.text, bob.answers)
    asked, read, act = bob.answers
    assert asked.status_code == 200 and read.status_code == 200, (asked.text, read.text)
    assert act.status_code == 403 and act.headers["remit-refusal"] == "outside_grant", act.text
    assert "ada" in act.text, "the link that could not make the call is named"

    sent = next(entry for entry in cy.journal() if "a2a" in json.dumps(entry))
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    assert headers.get("remit-chain"), "cy got a chain of node 2's"
    assert headers["remit-chain"] != bob.chains[0]

    def opened(node: Node, agent: str) -> list[dict]:
        entries = [entry["data"] for entry in node.journal.entries() if entry["kind"] == "task_opened"]
        return [task for task in entries if task["agent"] == agent and "terms" in task]

    handed = next(task["terms"] for task in opened(two, BOB) if "handed" in task["terms"])
    assert handed["handed"]["by"] == "node-1" and handed["actors"] == [ADA]
    lent = next(task for task in opened(one, BOB) if task["terms"].get("lent_to") == "node-2")
    assert lent["task"] == handed["handed"]["task"]
    further = next(task["terms"] for task in opened(two, CY))
    assert further["actors"] == [BOB, ADA] and further["lent_to"] == "node-3"

    # Somebody else at node 2 has no use for what bob got, and ada cannot act through bob.
    mallory = two.task("mallory")
    stolen = send(two, mallory, "https://bob.agents.test/notes", chain=bob.chains[0])
    assert stolen.status_code == 401 and stolen.headers["remit-refusal"] == "identity_invalid", stolen.text
    one.command("task", "end", ada.id)
    shown = one.command("task", "show", lent["task"], "--json").json_text()
    assert shown["state"] == "ended" and shown["ended"]["why"] == "parent", shown
