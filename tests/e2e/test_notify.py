"""People are told that a call waits: a webhook checked by the reference library, mail by a real server, Slack with its buttons."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks import Webhook

from conftest import HERE, need
from standins.process import free_port, until

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"


class Listener:
    """Takes requests, and answers as the test says."""

    def __init__(self):
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answer = (200, b'{"ok": true}')
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                status, said = outer.answer
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def at(self, path: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for where, headers, body in self.got if where == path]


@pytest.fixture
def listener():
    served = Listener()
    yield served
    served.server.shutdown()


@pytest.fixture
def holding(own_remit, tmp_path):
    def start(notify: str, operators: str = ""):
        for name, value in (("hook", SECRET), ("signing", SIGNING), ("bot", "xoxb-test"), ("smtp", "hunter2hunter2")):
            (tmp_path / name).write_text(value)
        holds = "[holds]\npatience_s = 0\n"
        return own_remit(policies=HERE / "holding", extra=f"{holds}{operators}{notify}".replace("SECRETS", str(tmp_path)))

    return start


def send(node, task, number: int = 1) -> int:
    done = subprocess.run(
        [need("curl"), "-sS", "--proxy", task.proxy_url, "--cacert", str(node.ca), "-o", "/dev/null", "-w", "%{http_code}",
         "-H", "content-type: application/json", "-d", json.dumps({"n": number}), "https://up.test/echo"],
        capture_output=True, text=True, timeout=30, check=True)
    return int(done.stdout)


def press(node, message: dict, action: str, member: str, signing: str = SIGNING, at: int | None = None) -> int:
    """What Slack sends when a member presses a button of a message; the status of the answer."""
    value = message["blocks"][-1]["elements"][0]["value"]
    payload = {"type": "block_actions", "team": {"id": "T1"}, "user": {"id": member}, "channel": {"id": "C01"},
               "message": {"ts": "17.1"}, "actions": [{"action_id": action, "value": value}]}
    body = urllib.parse.urlencode({"payload": json.dumps(payload)})
    at = str(at or int(time.time()))
    signature = SignatureVerifier(signing, Clock()).generate_signature(timestamp=at, body=body)
    request = urllib.request.Request(node.admin + "/v1/slack/interactions", body.encode(), {
        "content-type": "application/x-www-form-urlencoded", "x-slack-signature": signature, "x-slack-request-timestamp": at})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_webhook_is_verified_by_the_reference_library_and_survives_an_outage_and_a_kill(holding, listener, front, origin):
    notify = f'[[notify]]\nkind = "webhook"\nurl = "{listener.url}/hook"\nsecret = {{ file = "SECRETS/hook" }}\n' \
             'events = ["hold_opened", "hold_settled"]\n'
    node = holding(notify)
    task = node.task()
    listener.answer = (503, b"")
    assert send(node, task) == 425
    until(lambda: len(listener.at("/hook")) >= 2, 20, "it is tried again")
    node._process.kill()
    listener.answer = (204, b"")
    listener.got.clear()
    node.start()
    headers, body = until(lambda: listener.at("/hook"), 20, "it is told after the restart")[0]
    told = Webhook(SECRET).verify(body.decode(), headers)
    assert told["type"] == "hold.opened" and told["data"]["operation"] == "unknown:act", told
    assert told["data"]["wants"] == {"owners": 1}
    assert node.command("refuse", told["data"]["id"]).status == 0

    def settled():
        kinds = [json.loads(body) for _, body in listener.at("/hook")]
        return next((one for one in kinds if one["type"] == "hold.settled"), None)

    one = until(settled, 20, "its end is told")
    assert one["data"]["state"] == "refused" and one["data"]["by"] == ["local:admin"], one
    tampered = body.replace(b"hold.opened", b"hold.refused")
    with pytest.raises(Exception):
        Webhook(SECRET).verify(tampered.decode(), headers)


def test_a_button_in_slack_is_a_vote_of_the_member_who_pressed_it(holding, listener, front, origin, reached):
    notify = f'[[notify]]\nkind = "slack"\napi = "{listener.url}/api"\ntoken = {{ file = "SECRETS/bot" }}\n' \
             'signing_secret = { file = "SECRETS/signing" }\nchannel = "C01"\n'
    operators = '[[operators]]\nid = "slack:T1/U2"\nroles = ["approver"]\ngroups = ["owners"]\n' \
                '[[operators]]\nid = "slack:T1/U3"\nroles = ["viewer"]\n'
    node = holding(notify, operators)
    task = node.task()
    assert send(node, task) == 425
    headers, body = until(lambda: listener.at("/api/chat.postMessage"), 20, "the channel is told")[0]
    assert headers["authorization"] == "Bearer xoxb-test"
    message = json.loads(body)
    assert message["channel"] == "C01" and "Waits for approval" in message["text"], message

    assert press(node, message, "remit_approve", "U2", signing="another") == 401
    assert press(node, message, "remit_approve", "U2", at=int(time.time()) - 4000) == 401
    assert press(node, message, "remit_approve", "U9") == 200, "nobody whom remit knows"
    whispered = until(lambda: listener.at("/api/chat.postEphemeral"), 10, "they are told")[0]
    assert json.loads(whispered[1])["user"] == "U9" and b"no operator" in whispered[1]
    assert press(node, message, "remit_approve", "U3") == 200, "a viewer"
    until(lambda: len(listener.at("/api/chat.postEphemeral")) == 2, 10, "they are told too")
    assert send(node, task) == 425, "none of these was a vote"
    assert press(node, message, "remit_approve", "U2") == 200
    updated = until(lambda: listener.at("/api/chat.update"), 10, "the message says so")[0]
    assert b"approved" in updated[1] and b"slack:T1/U2" in updated[1] and b"remit_approve" not in updated[1]
    assert send(node, task) == 200
    voted = [entry["data"] for entry in node.journal.entries() if entry["kind"] == "hold_voted"]
    assert [one["by"] for one in voted] == ["slack:T1/U2"], voted


def test_two_people_approve_a_deletion_one_in_slack_and_one_at_the_command_line(holding, listener, front, origin, reached):
    notify = f'[[notify]]\nkind = "slack"\napi = "{listener.url}/api"\ntoken = {{ file = "SECRETS/bot" }}\n' \
             'signing_secret = { file = "SECRETS/signing" }\nchannel = "C01"\n'
    node = holding(notify, '[[operators]]\nid = "slack:T1/U2"\nroles = ["approver"]\ngroups = ["owners"]\n')
    task = node.task()

    def delete() -> int:
        done = subprocess.run(
            [need("curl"), "-sS", "--proxy", task.proxy_url, "--cacert", str(node.ca), "-o", "/dev/null", "-w", "%{http_code}",
             "-X", "DELETE", "https://up.test/echo"], capture_output=True, text=True, timeout=30, check=True)
        return int(done.stdout)

    assert delete() == 425
    message = json.loads(until(lambda: listener.at("/api/chat.postMessage"), 20, "the channel is told")[0][1])
    assert press(node, message, "remit_approve", "U2") == 200
    told = until(lambda: listener.at("/api/chat.postEphemeral"), 10, "the first is told")[0]
    assert b"Still wanted: 1 of owners" in told[1], told
    assert not listener.at("/api/chat.update"), "the buttons stay for the second"
    assert delete() == 425, "one is not enough"
    assert node.command("approve", message["blocks"][-1]["elements"][0]["value"].split()[0]).status == 0
    assert delete() == 200
    assert len([seen for seen in reached("up.test") if seen.method == "DELETE"]) == 1
    metrics = urllib.request.urlopen(node.admin + "/metrics", timeout=10).read().decode()
    assert 'remit_notices_total{result="told"} 1' in metrics, metrics


def test_mail_goes_out_over_tls_with_a_password(holding, authority, front, origin):
    got = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            got.append((session.authenticated, envelope.mail_from, envelope.rcpt_tos, envelope.content.decode()))
            return "250 taken"

    def authenticate(server, session, envelope, mechanism, data):
        from aiosmtpd.smtp import AuthResult
        return AuthResult(success=data.login == b"remit" and data.password == b"hunter2hunter2")

    context = authority.server_context("smtp", ["localhost"], [])
    port = free_port()
    server = Controller(Handler(), hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True,
                        authenticator=authenticate, auth_required=True)
    server.start()
    try:
        notify = f'[[notify]]\nkind = "mail"\nserver = "smtp://localhost:{port}"\nuser = "remit"\n' \
                 'password = { file = "SECRETS/smtp" }\nfrom = "remit@example.org"\nto = ["Ops <ops@example.org>"]\n'
        node = holding(notify)
        assert send(node, node.task()) == 425
        authenticated, sender, recipients, content = until(lambda: got, 20, "a mail")[0]
        assert authenticated and sender == "remit@example.org" and recipients == ["ops@example.org"]
        assert "Subject: [remit] Waits for approval" in content and "remit approve" in content, content
        assert '"n": 1' not in content and "n: 1" not in content, "what would be sent is not in a mail"
    finally:
        server.stop()
