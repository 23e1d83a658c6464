"""The console in a real browser: what moves, what is ended by a click, what the keyboard does, and that anybody can read it.

Screenshots of every page are kept in `screenshots` of the test folder, to be looked at."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import many
from browser import Console
from conftest import HERE, INSTALLED, NPM
from node import AGENT, Node, Settings
from standins.process import until
from wire import Answer, client, tunnel

PAGES = ["now", "holds", "tasks", "tasks?state=all", "agents", "calls", "calls?class=act&since=1h", "policies", "health"]


@pytest.fixture(scope="session")
def axe():
    path = NPM / "node_modules" / "axe-core" / "axe.min.js"
    assert path.exists(), f"{path} is not installed; tests/run installs it"
    return path


@pytest.fixture(scope="module")
def watched(binary, workdir, settings):
    """A node that only these tests use, so that they know what there is to see."""
    node = Node(binary, workdir / "watched", Settings(**vars(settings))).start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def busy(watched, front):
    """The same with something to see: reads, acts, refusals, a delegation three deep."""
    root = watched.task(AGENT, "triage", "--label", "team=blue", "--budget", "calls=500")
    child = watched.command("task", "delegate", root.id, "--to", "reviewer", "--intent", "review", "--json").json_text()
    watched.command("task", "delegate", child["id"], "--to", "tester", "--intent", "review", "--json").json_text()
    watched.command("task", "delegate", root.id, "--to", "translator", "--intent", "translate", "--json").json_text()
    with client(watched, root) as http:
        for number in range(12):
            http.get(f"https://up.test/things/{number}")
        http.post("https://up.test/things", json={"name": "one"})
        http.get("https://up.test/forbidden/1")
        http.put("https://api.github.com/repos/octo/hello/collaborators/eve")
    return root


@pytest.fixture
def console(browser, watched):
    opened = []

    def look(node: Node = watched, **more) -> Console:
        opened.append(Console(browser, node, **more))
        return opened[-1]

    yield look
    wrong = [line for one in opened for line in one.wrong]
    for one in opened:
        one.close()
    assert not wrong, wrong


def test_every_page_can_be_read_by_anybody_in_light_and_dark(console, watched, busy, axe):
    folder = INSTALLED / "screenshots"
    folder.mkdir(exist_ok=True)
    newest = watched.command("audit", "query", "--class", "act", "--json").out.splitlines()
    call = re.search(r'"call":"(\w{26})"', newest[0])[1]
    found = {}
    for scheme in ["light", "dark"]:
        look = console(scheme=scheme)
        for path in [*PAGES, f"tasks/{busy.id}", f"calls/{call}"]:
            page = look.go(f"/console/{path}")
            if path.startswith("calls/"):
                page.get_by_text("proved").wait_for()
                page.locator(".explanation").first.wait_for()
            name = re.sub(r"[/?=&]+", "-", path.split("/")[0] + "-one" if path.count("/") else path)
            page.screenshot(path=folder / f"{name}.{scheme}.png", full_page=True)
            found[f"{path} {scheme}"] = look.violations(axe)
        page = look.go("/console/now")
        page.keyboard.press("?")
        page.locator("dialog[open]").wait_for()
        page.screenshot(path=folder / f"keys.{scheme}.png")
        found[f"keys {scheme}"] = look.violations(axe)
    wrong = {where: what for where, what in found.items() if what}
    assert not wrong, "\n".join(f"{where}: {line}" for where, lines in wrong.items() for line in lines)


def test_a_narrow_window_shows_the_same(console, busy, axe):
    look = console()
    look.page.set_viewport_size({"width": 400, "height": 800})
    for path in ["now", "tasks", "calls"]:
        page = look.go(f"/console/{path}")
        page.screenshot(path=INSTALLED / "screenshots" / f"{path}.narrow.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path
        assert not look.violations(axe), path


def test_a_call_appears_as_it_is_made(console, watched, busy):
    page = console().go("/console/now")
    stands = page.evaluate("performance.timeOrigin")
    with client(watched, busy) as http:
        http.get("https://up.test/seen-as-it-happens")
    page.get_by_text("/seen-as-it-happens").first.wait_for()
    assert page.evaluate("performance.timeOrigin") == stands, "the page was loaded anew"
    page.get_by_role("button", name="Pause").click()
    with client(watched, busy) as http:
        http.get("https://up.test/not-while-paused")
    time.sleep(1.5)  # long enough for three pushes, which are not to be taken
    assert page.get_by_text("/not-while-paused").count() == 0
    page.get_by_role("button", name="Go on").click()
    with client(watched, busy) as http:
        http.get("https://up.test/again")
    page.get_by_text("/again").first.wait_for()


def test_a_task_is_ended_and_its_stream_is_cut(console, watched, origin):
    task = watched.task()
    with tunnel(watched, "up.test", task) as stream:
        stream.sendall(b"GET /sse?gate=console&events=2 HTTP/1.1\r\nHost: up.test\r\n\r\n")
        assert Answer.read(stream, body=False).status == 200
        page = console().go(f"/console/tasks/{task.id}")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="End task").click()
        page.get_by_text("by command").first.wait_for()
        stream.settimeout(10)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while stream.recv(1000):
                pass
    assert page.get_by_role("button", name="End task").count() == 0
    with client(watched, task) as http, pytest.raises(httpx.ProxyError, match="401"):
        http.get("https://up.test/after")


def test_nothing_is_ended_where_the_question_is_answered_no(console, watched):
    task = watched.task()
    page = console().go(f"/console/tasks/{task.id}")
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="End task").click()
    page.reload()
    assert page.get_by_role("button", name="End task").count() == 1


def test_an_agent_is_shut_out_and_let_in_again(console, watched):
    task = watched.task("loose")
    with client(watched, task) as http:
        assert http.get("https://up.test/before").status_code == 200
    page = console().go("/console/agents")
    page.on("dialog", lambda dialog: dialog.accept())
    row = page.get_by_role("row").filter(has_text="loose")
    row.get_by_role("button", name="Quarantine").click()
    page.get_by_text("in quarantine").wait_for()
    with client(watched, task) as http, pytest.raises(httpx.ProxyError):
        http.get("https://up.test/after")
    row.get_by_role("button", name="Release").click()
    until(lambda: page.get_by_text("in quarantine").count() == 0, 10, "it is let in again")
    watched.task("loose")


def test_the_keyboard_leads_everywhere(console, busy):
    page = console().go("/console/now")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for key, title in [("c", "Calls"), ("t", "Tasks"), ("a", "Agents"), ("p", "Policies"), ("e", "Health"), ("h", "Holds"), ("n", "Now")]:
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/console/{title.lower()}")
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url("**/console/calls")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    rows = page.locator("[data-rows] tbody tr a[href^='/console/calls/']")
    assert page.evaluate("document.activeElement.href").endswith(rows.first.get_attribute("href"))
    page.keyboard.press("/")
    page.keyboard.type("unknown:act")
    page.keyboard.press("Enter")
    page.wait_for_url("**operation=unknown%3Aact**")
    # The rest of the form asked nothing.
    assert page.locator("[data-rows] tbody tr").count() == 1
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/calls/*")


def test_a_call_is_found_and_told_from_end_to_end(console, watched, busy):
    page = console().go("/console/calls")
    page.get_by_label("decision").select_option("deny")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**decision=deny**")
    page.get_by_role("link", name="unknown:read").first.click()
    page.get_by_role("heading", name="Refused").wait_for()
    assert page.get_by_text("closed-area").count() > 0
    page.get_by_text("proved").wait_for()
    page.locator(".explanation").get_by_text("Nothing under /forbidden is for agents.").wait_for()


def test_a_draft_tells_what_it_would_change(console, busy):
    page = console().go("/console/policies")
    text = page.locator("textarea[name=text]")
    draft = text.input_value()
    assert '@id("reads")' in draft
    text.fill(draft.replace('Action::"read", resource);', 'Action::"read", resource)\nunless { context.http.host == "up.test" };'))
    page.get_by_role("button", name="Replay").click()
    table = page.locator("table.difference")
    table.wait_for()
    assert "allowed" in table.inner_text() and "denied" in table.inner_text()
    text.fill(draft + "\npermit (nobody);")
    page.get_by_role("button", name="Replay").click()
    page.locator("#difference [role=alert]").wait_for()


def test_what_an_agent_chose_stays_text(console, watched):
    task = watched.task()
    nasty = "x<script>window.bad=1</script>\u202eevil"
    with client(watched, task) as http:
        http.get("https://up.test/nasty/%3Cscript%3Ewindow.bad=1%3C/script%3E", headers={"user-agent": nasty.encode()})
    look = console()
    page = look.go("/console/now")
    page.get_by_text("/nasty/").first.wait_for()
    page.get_by_text("/nasty/").first.locator("xpath=../..").get_by_role("link").click()
    page.get_by_text("\\u{202e}evil").first.wait_for()
    assert page.evaluate("window.bad") is None


def test_pages_work_without_script(browser, watched, busy):
    look = Console(browser, watched, java_script_enabled=False)
    page = look.go("/console/calls?class=act")
    page.locator("[data-rows] tbody tr a").first.click()
    page.get_by_role("link", name="Prove that it is in the signed journal").click()
    assert "proved" in page.content()
    look.close()


def sign_in(look: Console, path: str):
    """As a person does: by the form, with the token of the state folder."""
    page = look.go(path)
    page.get_by_label("token").fill((look.node.state / "admin.token").read_text().strip())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")
    return page


def test_a_held_issue_goes_out_as_approved_and_another_is_refused(console, own_remit, emulate, npm, node24, reached, axe):
    """Real octokit clients wait on their connections while a person looks at the cards."""
    node = own_remit(policies=HERE / "holding", extra="[holds]\npatience_s = 60\n")
    looks = {scheme: console(node, scheme=scheme, token="") for scheme in ["light", "dark"]}
    for scheme, look in looks.items():
        page = look.go("/login")
        page.screenshot(path=INSTALLED / "screenshots" / f"login.{scheme}.png")
        assert not look.violations(axe), scheme
    page = sign_in(looks["light"], "/console/holds")
    assert page.get_by_text("No call waits for a person.").count() == 1
    with ThreadPoolExecutor(2) as pool:
        ask = lambda title: pool.submit(node.run, node24, npm / "clients" / "js_held.mjs", title, timeout=90)  # noqa: E731
        wanted = ask("made in the console")
        row = page.get_by_role("link", name="Open an issue in alice/demo (GitHub)")
        row.wait_for()  # without a reload
        row.click()
        page.get_by_role("button", name="Approve").wait_for()
        assert "made in the console" in page.locator("pre.words").inner_text()
        assert "ghp_real_alice" not in page.content()
        assert not looks["light"].violations(axe)
        page.screenshot(path=INSTALLED / "screenshots" / "holds-one.light.png", full_page=True)
        dark = sign_in(looks["dark"], page.url.removeprefix(node.admin))
        dark.screenshot(path=INSTALLED / "screenshots" / "holds-one.dark.png", full_page=True)
        assert not looks["dark"].violations(axe)
        reached.none_matching("api.github.com", "POST")
        page.get_by_label("Note").fill("as agreed")
        page.get_by_role("button", name="Approve").click()
        page.get_by_text("approved by").wait_for()
        assert json.loads(wanted.result(90).out) == {"title": "made in the console"}
        other = ask("not wanted")
        page.keyboard.press("g")
        page.keyboard.press("h")
        page.get_by_role("link", name="Open an issue").click()
        page.get_by_text("The same in every value").or_(page.get_by_text("changed")).first.wait_for()
        page.get_by_label("Note").fill("wrong repository")
        page.get_by_role("button", name="Refuse").click()
        page.get_by_text("refused by").wait_for()
        told = json.loads(other.result(90).out)
        assert told["status"] == 403 and "wrong repository" in told["message"], told
    assert len([seen for seen in reached("api.github.com") if seen.method == "POST"]) == 1
    votes = [entry["data"] for entry in node.journal.entries() if entry["kind"] == "hold_voted"]
    assert [(vote["by"], vote["note"]) for vote in votes] == [("local:admin", "as agreed"), ("local:admin", "wrong repository")]
    page = looks["light"].go("/console/holds?state=all")
    page.screenshot(path=INSTALLED / "screenshots" / "holds-all.light.png")
    assert not looks["light"].violations(axe)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login**")


@pytest.mark.heavy
def test_pages_are_fast_with_a_hundred_thousand_calls(binary, workdir, settings, busy, watched, front):
    """The measure is of a debug build, so generous; the figures are printed with -s."""
    few = Node(binary, workdir / "many", Settings(**vars(settings))).start()
    task = few.task(AGENT, "triage")
    with client(few, task) as http:
        for number in range(8):
            http.get(f"https://up.test/things/{number}")
        http.post("https://up.test/things", json={"name": "one"})
        http.get("https://up.test/forbidden/1")
    few.stop()
    many.fill(few.state, 100_000)
    node = Node(binary, workdir / "many", Settings(**vars(settings)), state=few.state).start(within=120)
    token = (node.state / "admin.token").read_text().strip()
    newest = node.command("audit", "query", "--class", "act", "--limit", "1", "--json").out.splitlines()
    call = re.search(r'"call":"(\w{26})"', newest[len(newest) // 3])[1]
    took = {}
    with httpx.Client(base_url=node.admin, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False) as http:
        paths = ["now", "tasks", "agents", "calls", "calls?class=act", "calls?agent=worker-3&decision=deny", "calls?host=nowhere.test", "calls?since=10m",
                 f"calls/{call}", f"calls/{call}/proof", f"calls/{call}/explanation", "policies", "health"]
        for path in paths:
            for turn in ["first", "again"]:
                began = time.monotonic()
                answer = http.get(f"/console/{path}")
                took[path, turn] = time.monotonic() - began
                assert answer.status_code == 200, (path, answer.text[:300])
        deep = http.get("/v1/calls?limit=1").json()
        before = http.get("/v1/calls", params={"until": "20h", "limit": 1}).json()["next"]
        began = time.monotonic()
        assert len(http.get("/v1/calls", params={"before": before}).json()["calls"]) == 100
        took["a page from 20 hours ago", "first"] = time.monotonic() - began
        assert deep["next"] > 150_000
    node.stop()
    for (path, turn), seconds in took.items():
        print(f"{path:45} {turn:6} {seconds * 1000:8.0f} ms")
    slow = {path: seconds for (path, turn), seconds in took.items() if turn == "again" and seconds > 3}
    assert not slow, slow


@pytest.mark.heavy
def test_ten_thousand_events_a_minute_stay_smooth(console, watched, front):
    """A window on the first page while calls come as fast as five clients make them: frames go on, and answers do."""
    task = watched.task(AGENT, "load", "--budget", "calls=100000")
    page = console().go("/console/now")
    page.evaluate("""() => {
        window.worst = 0; window.frames = 0; let last = performance.now();
        const tick = () => { const now = performance.now(); window.worst = Math.max(window.worst, now - last); last = now; window.frames++; requestAnimationFrame(tick); };
        requestAnimationFrame(tick);
        window.swaps = 0; document.body.addEventListener("htmx:afterSwap", () => window.swaps++);
    }""")
    stop, made = threading.Event(), []

    def work():
        with client(watched, task) as http:
            while not stop.is_set():
                http.get("https://up.test/load")
                made.append(1)

    workers = [threading.Thread(target=work) for _ in range(5)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    slowest = 0.0
    while time.monotonic() - began < 20:
        asked = time.monotonic()
        with watched_client(watched) as http:
            assert http.get("/console/calls").status_code == 200
        slowest = max(slowest, time.monotonic() - asked)
        page.wait_for_timeout(500)
    stop.set()
    for worker in workers:
        worker.join()
    seconds = time.monotonic() - began
    seen = page.evaluate("({worst: window.worst, frames: window.frames, swaps: window.swaps})")
    print(f"{len(made) * 2 * 60 / seconds:.0f} entries a minute, {seen['swaps'] / seconds:.1f} swaps a second, longest frame {seen['worst']:.0f} ms, "
          f"slowest page {slowest * 1000:.0f} ms")
    assert 0 < seen["swaps"] / seconds < 8 and seen["worst"] < 1_000 and slowest < 5


@pytest.mark.heavy
def test_a_thousand_holds_stay_smooth(console, own_remit, front):
    """A thousand calls wait; the page of holds comes, one is approved, and the page without it comes again."""
    count = 1000
    limits = f"waiting_per_task = {count}\nwaiting_per_agent = {count}\nasks_per_minute = 100000\n"
    node = own_remit(policies=HERE / "holding", extra=f"[holds]\npatience_s = 0\n{limits}")
    task = node.task(AGENT, "many")
    with client(node, task) as http:
        for number in range(count):
            assert http.post("https://up.test/echo", json={"number": number}).status_code == 425
    look = console(node)

    def took(what) -> float:
        began = time.monotonic()
        what()
        return time.monotonic() - began

    page = look.page
    listed = took(lambda: look.go("/console/holds"))
    hold = node.command("holds", "--json").json_text()["holds"][0]
    shown = took(lambda: look.go(f"/console/holds/{hold['id']}"))

    def approve():
        page.get_by_role("button", name="Approve").click()
        page.get_by_text("approved by").first.wait_for()

    voted = took(approve)
    again = took(lambda: look.go("/console/holds"))
    print(f"{count} holds: the list in {listed * 1000:.0f} ms, a card in {shown * 1000:.0f} ms, a vote in {voted * 1000:.0f} ms, "
          f"the list again in {again * 1000:.0f} ms")
    assert max(listed, shown, voted, again) < 3


def watched_client(node: Node) -> httpx.Client:
    token = (node.state / "admin.token").read_text().strip()
    return httpx.Client(base_url=node.admin, headers={"authorization": f"Bearer {token}"}, timeout=30, trust_env=False)
