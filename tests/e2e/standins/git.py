"""A Git server: `git http-backend`, the program that ships with git, behind a minimal CGI gateway."""

from __future__ import annotations

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


def _git(*arguments: str, cwd: Path) -> str:
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@up.test", "GIT_COMMITTER_NAME": "a",
                "GIT_COMMITTER_EMAIL": "a@up.test", "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(["git", *arguments], cwd=cwd, env=os.environ | identity, check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60).stdout.strip()


class GitOrigin:
    def __init__(self, folder: Path):
        self.root = folder / "repositories"
        self.root.mkdir(parents=True)
        work = folder / "work"
        work.mkdir()
        _git("init", "-q", "-b", "main", cwd=work)
        (work / "README.md").write_text("from the origin\n")
        _git("add", ".", cwd=work)
        _git("commit", "-q", "-m", "first", cwd=work)
        _git("clone", "-q", "--bare", str(work), str(self.root / "demo.git"), cwd=folder)
        _git("config", "http.receivepack", "true", cwd=self.root / "demo.git")
        self._backend = Path(_git("--exec-path", cwd=folder)) / "git-http-backend"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def head(self) -> str:
        return _git("rev-parse", "refs/heads/main", cwd=self.root / "demo.git")

    def _handler(self):
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding", "").lower() == "chunked":
                    body = b""
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                    return body
                return self.rfile.read(int(self.headers.get("content-length") or 0))

            def _run(self):
                url = urlsplit(self.path)
                body = self._body()
                environment = {
                    "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(origin.root), "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": url.path, "QUERY_STRING": url.query, "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("git-protocol", ""), "REMOTE_ADDR": "127.0.0.1",
                    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
                answer = subprocess.run([origin._backend], input=body, env=environment, timeout=60,
                                        stdout=subprocess.PIPE).stdout
                head, _, content = answer.partition(b"\r\n\r\n")
                fields = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line]
                status = next((value for name, value in fields if name.lower() == "status"), "200 OK")
                self.send_response_only(int(status.split()[0]))
                for name, value in fields:
                    if name.lower() not in ("status", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _run

        return Handler

    def close(self) -> None:
        self._server.shutdown()
