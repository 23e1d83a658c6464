"""Node clients, of the machine's Node 20 and of Node 24, work unchanged under `remit run`."""

from __future__ import annotations

import pytest

from conftest import need
from test_clients_python import github_story


@pytest.fixture(params=["node 20", "node 24"])
def javascript(request, remit, npm, node24):
    """Runs a client program on one of the two."""
    engine = need("node") if request.param == "node 20" else node24

    def run(program: str):
        return remit.run(engine, npm / "clients" / program, timeout=90).json()

    return run


def test_fetch_reads_acts_and_is_refused(javascript, emulate, journal, reached):
    github_story(journal, reached, javascript("js_fetch.mjs"))


@pytest.mark.heavy
def test_octokit_reads_acts_and_is_refused(javascript, emulate, journal, reached):
    github_story(journal, reached, javascript("js_octokit.mjs"))


@pytest.mark.heavy
def test_slack_web_api_posts_and_is_refused(javascript, emulate, journal, reached):
    told = javascript("js_slack.mjs")
    assert told["channel"] == "general" and told["posted"] == "by web-api"
    assert told["refused"], told
    journal.allowed(operation="slack:chat.postMessage")
    journal.denied(operation="slack:conversations.create")
    assert not [request for request in reached("slack.com", at_least=2) if "conversations.create" in request.uri]


@pytest.mark.heavy
def test_stripe_whose_agents_are_its_own_still_goes_through(javascript, emulate, journal, reached):
    told = javascript("js_stripe.mjs")
    assert told["object"] == "list", told
    assert told["refused"] and told["refused"]["status"] == 403, f"a refused call looks like success: {told}"
    journal.allowed(host="api.stripe.com", method="GET")
    journal.denied(host="api.stripe.com", method="POST")
    reached("api.stripe.com")
    reached.none_matching("api.stripe.com", "POST")
