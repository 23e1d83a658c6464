"""Tokens of people and tokens in answers: what a strict service sees is the injected one, and what it answers with stays with remit."""

from __future__ import annotations

import json
import ssl

import httpx
import pytest
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session
from github import Auth, Github, GithubException
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from journal import Watch as JournalWatch
from node import AGENT
from standins.oidc import RESOURCE

HOST = "backlot.up.test"
PERMIT = '@id("all")\npermit (principal, action, resource);\n'

LEASES = """
[catalog.hosts]
"backlot.up.test/slack/api" = "slack/api"
"backlot.up.test/github" = "github"

[[leases]]
service = "slack"
hosts = ["backlot.up.test"]
provider = "fixed"
secret = {{ file = "{folder}/slack.token" }}

[[leases]]
service = "github"
hosts = ["backlot.up.test"]
provider = "fixed"
secret = {{ file = "{folder}/github.token" }}
"""


@pytest.fixture
def strict(own_remit, backlot, resolve, tmp_path):
    """A node that holds the tokens of two people, before services that refuse whom they do not know."""
    ada, bob = backlot.users[:2]
    (tmp_path / "slack.token").write_text(ada["token"])
    (tmp_path / "github.token").write_text(bob["token"])
    node = own_remit(extra=LEASES.format(folder=tmp_path), resolve=resolve | {HOST: f"http://127.0.0.1:{backlot.port}"})
    task = node.command("task", "open", "--agent", AGENT, "--intent", "e2e", "--json").json_text()
    return node, task, ada, bob


def slack(task: dict, token: str) -> WebClient:
    context = ssl.create_default_context(cafile=task["ca"])
    return WebClient(token=token, base_url=f"https://{HOST}/slack/api/", proxy=task["proxy_url"], ssl=context, timeout=20)


def test_slack_sees_the_person_whose_token_was_injected(strict, backlot):
    node, task, ada, _ = strict
    journal = JournalWatch(node.journal)
    own = WebClient(token="xoxb-nobody-knows", base_url=f"http://127.0.0.1:{backlot.port}/slack/api/")
    with pytest.raises(SlackApiError) as raised:
        own.auth_test()
    assert raised.value.response["error"] == "invalid_auth", "it is strict"
    dummy = task["env"]["SLACK_BOT_TOKEN"]
    assert dummy.startswith("xoxb-rem1t"), dummy
    for token in (dummy, "xoxb-nobody-knows"):
        told = slack(task, token).auth_test()
        assert told["user"] == ada["email"].split("@")[0].replace(".", ""), told.data
    assert slack(task, dummy).conversations_list()["channels"]
    _, closing = journal.allowed(operation="slack:auth.test")
    assert closing["lease"]["provider"] == "fixed"


def test_slack_says_with_200_that_a_token_is_not_taken_and_the_journal_has_it(strict, tmp_path):
    node, task, *_ = strict
    journal = JournalWatch(node.journal)
    (tmp_path / "slack.token").write_text("xoxb-of-nobody")
    with pytest.raises(SlackApiError) as raised:
        slack(task, task["env"]["SLACK_BOT_TOKEN"]).auth_test()
    assert raised.value.response["error"] == "invalid_auth"
    told = journal.event("lease_rejected")
    assert "invalid_auth" in json.dumps(told), told


def test_github_sees_the_other_person(strict, backlot, monkeypatch):
    node, task, ada, bob = strict
    journal = JournalWatch(node.journal)

    def repositories(token: str, base: str, **more) -> list[str]:
        github = Github(auth=Auth.Token(token), base_url=base, retry=None, lazy=True, per_page=100, **more)
        return sorted(repo.full_name for repo in github.get_user().get_repos())

    direct = f"http://127.0.0.1:{backlot.port}/github"
    with pytest.raises(GithubException) as raised:
        repositories("ghp_nobody_knows", direct)
    assert raised.value.status == 401, "it is strict"
    theirs = {who["email"]: repositories(who["token"], direct) for who in (ada, bob)}
    monkeypatch.setenv("HTTPS_PROXY", task["proxy_url"])
    seen = repositories(task["env"]["GITHUB_TOKEN"], f"https://{HOST}/github", verify=task["ca"])
    assert seen == theirs[bob["email"]] and seen, theirs
    journal.allowed(operation="github:repos/list-for-authenticated-user")


def proxied(task: dict) -> httpx.Client:
    return httpx.Client(proxy=task["proxy_url"], verify=ssl.create_default_context(cafile=task["ca"]), timeout=30, trust_env=False)


def test_a_credential_does_not_go_to_another_host_of_the_service(strict, emulate):
    node, task, ada, _ = strict
    with proxied(task) as http:
        answer = http.get("https://slack.com/api/auth.test", headers={"authorization": f"Bearer {task['env']['SLACK_BOT_TOKEN']}"})
        assert answer.headers["remit-refusal"] == "placeholder_misplaced", answer.text
        # With what the agent has itself the call goes out, and without the lease.
        answer = http.get("https://slack.com/api/auth.test", headers={"authorization": "Bearer xoxb-nobody"})
    assert "remit-refusal" not in answer.headers and ada["token"] not in answer.text, answer.text


def test_a_service_that_is_anybodys_is_refused_at_the_start_without_its_hosts(own_remit, tmp_path):
    (tmp_path / "t").write_text("xoxb-real-token")
    with pytest.raises(Exception) as raised:
        own_remit(extra=f'[[leases]]\nservice = "slack"\nprovider = "fixed"\nsecret = {{ file = "{tmp_path}/t" }}\n')
    log = (tmp_path / "remit0" / "remit.log").read_text()
    assert "`*.slack.com`" in log and "hosts = [" in log, (log, raised)


# --- tokens in answers -----------------------------------------------------------------------------------------------


SERVICE = """format = 1
name = "{name}"
title = "{name}"
protocol = "rest"
hosts = ["{host}"]

[provenance]
source = "ours"
version = "1"
date = "2026-11-26"
licence = "ours"
"""


def described(folder, name: str, host: str, operations: str, overrides: str = "") -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "service.toml").write_text(SERVICE.format(name=name, host=host))
    (folder / name / "operations.tsv").write_text("#remit-operations 1\n" + operations)
    if overrides:
        (folder / name / "overrides.toml").write_text(overrides)


def described_node(own_remit, oidc, tmp_path, resolve):
    """A node that knows an authorization server and a service that takes its tokens, and a task there."""
    catalog = tmp_path / "catalog"
    tokens = '[tokens]\nalso = ["notes"]\n[tokens.operations]\n"token" = ["/access_token", "/refresh_token"]\n'
    described(catalog, "as", "id.up.test", "POST\t/token\ttoken\tdelegate\t-\n", tokens)
    described(catalog, "notes", "plain.up.test", "GET\t/headers\tlist\tread\t-\n")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.cedar").write_text(PERMIT)
    extra = f"[catalog]\ndirs = [{json.dumps(str(catalog))}]\n"
    node = own_remit(extra=extra, policies=tmp_path / "policies", resolve=resolve | {"id.up.test": f"http://127.0.0.1:{oidc.port}"})
    task = node.command("task", "open", "--agent", AGENT, "--intent", "e2e", "--json").json_text()
    return node, task


def test_a_token_that_an_oauth_client_is_given_is_a_placeholder_and_works(own_remit, oidc, origin, tmp_path, resolve):
    node, task = described_node(own_remit, oidc, tmp_path, resolve)
    journal = JournalWatch(node.journal)

    # A real client, which was given its secret by somebody and asks for a token by itself.
    http = OAuth2Session(client=BackendApplicationClient("remit", scope=["doc:read"]))
    http.proxies, http.verify, http.trust_env = {"https": task["proxy_url"]}, task["ca"], False
    told = http.fetch_token("https://id.up.test/token", client_secret=oidc.secret, scope="doc:read", resource=RESOURCE,
                            timeout=20)
    assert told["access_token"].startswith("remit_rem1c") and told["token_type"] == "Bearer", told
    assert http.get("https://plain.up.test/headers?captured-1", timeout=20).status_code == 200
    sent = origin.seen("captured-1")[-1].header("authorization").removeprefix("Bearer ")
    assert sent != told["access_token"]
    about = oidc.introspect(sent)
    assert about["active"] and about["scope"] == "doc:read", about
    _, closing = journal.allowed(operation="notes:list")
    assert closing["lease"]["provider"] == "captured" and closing["lease"]["short_lived"] is True
    assert not oidc.introspect(told["access_token"])["active"], "the placeholder is worth nothing there"

    # Nowhere else, and not after the task.
    stolen = http.get("https://bare.up.test/headers?captured-2", timeout=20)
    assert stolen.status_code == 403 and stolen.headers["remit-refusal"] == "placeholder_misplaced", stolen.text
    assert not origin.seen("captured-2")
    written = b"".join(path.read_bytes() for path in (node.state / "journal").glob("*"))
    assert sent.encode() not in written and sent not in node.log


def test_an_oauth_client_refreshes_with_the_placeholder_of_a_refresh_token(own_remit, oidc, origin, tmp_path, resolve):
    node, task = described_node(own_remit, oidc, tmp_path, resolve)
    http = OAuth2Session("remit", scope=["doc:read"])
    http.proxies, http.verify, http.trust_env = {"https": task["proxy_url"]}, task["ca"], False
    client_secret = ("remit", oidc.secret)
    journal = JournalWatch(node.journal)
    # What the agent had before remit was there; each answer has another one, and ends the one before.
    shown = oidc.refresh_token()
    for number in range(3):
        told = http.refresh_token("https://id.up.test/token", refresh_token=shown, auth=client_secret, timeout=20)
        assert told["access_token"].startswith("remit_rem1c") and told["refresh_token"].startswith("remit_rem1c"), told
        assert told["refresh_token"] != shown
        shown = told["refresh_token"]
        assert http.get(f"https://plain.up.test/headers?refreshed-{number}", timeout=20).status_code == 200
        sent = origin.seen(f"refreshed-{number}")[-1].header("authorization").removeprefix("Bearer ")
        assert oidc.introspect(sent)["active"], told
    closings = [entry["data"]["closing"] for entry in journal.entries() if entry["kind"] == "closed"]
    assert sum(1 for closing in closings if (closing.get("lease") or {}).get("provider") == "captured") >= 5, closings
    # Where no tokens are answered with it is misplaced.
    stolen = http.post("https://plain.up.test/headers", data={"refresh_token": shown}, timeout=20)
    assert stolen.status_code == 403 and stolen.headers["remit-refusal"] == "placeholder_misplaced", stolen.text
