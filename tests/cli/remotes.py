"""Servers for git on the loopback: smart HTTP by git's own backend, with TLS and a password where asked; ssh."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mldlc.cli.main import main
from tests.projects import Repository

MANIFEST = "name: chain\nconf: conf\ncode: [src]\nextends:\n  - git://{rev}:@{url}\n"
CORE = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True).stdout.strip())
BACKEND = CORE / "git-http-backend"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """A command run in this process: exit code, stdout, stderr."""
    code = main(list(args))
    out, err = capsys.readouterr()
    return code, out, err


def extend(project: Repository, url: str, rev: str = "main") -> None:
    """Let a project extend the repository at a URL."""
    project.write("mldlc.yaml", MANIFEST.format(rev=rev, url=url))


class Server(ThreadingHTTPServer):
    """Repositories under `root`. login: "user:password" that is asked for. asked: the paths that were, in order."""

    def __init__(self, root: Path, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), SmartGit)
        self.root, self.login, self.asked = root, login, list[str]()


class SmartGit(BaseHTTPRequestHandler):
    """The CGI side of git-http-backend(1)."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        wanted = f"Basic {base64.b64encode(self.server.login.encode()).decode()}"
        if self.server.login and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }  # fmt: skip
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run([BACKEND], input=body, capture_output=True, env=env)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in {**fields, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Tells nobody."""


@contextmanager
def web_server(root: Path, *, login: str = "", certificate: Path | None = None) -> Iterator[Server]:
    """Serve the repositories under `root`; over TLS with a certificate (its key beside it)."""
    with Server(root, login) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def make_certificate(path: Path) -> Path:
    """A certificate for the loopback address that nobody signed, and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
               "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    subprocess.run([*command, "-out", path, "-keyout", path.with_suffix(".key")], check=True, capture_output=True)
    return path


@contextmanager
def ssh_server(folder: Path) -> Iterator[tuple[int, Path]]:
    """An sshd of one's own for the present user; its port, and a client config with the host `team`."""
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "server").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin prohibit-password\n"
    )
    host = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}")
    (folder / "client").write_text(
        f"Host team 127.0.0.1\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n  BatchMode yes\n"
    )
    if os.geteuid() == 0:
        with suppress(OSError):
            Path("/run/sshd").mkdir(exist_ok=True)
    command = [str(SSHD), "-D", "-e", "-f", str(folder / "server")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as daemon:
        try:
            for _ in range(200):
                if daemon.poll() is not None:
                    pytest.skip(f"sshd does not start here: {daemon.communicate()[1].decode().strip()[-300:]}")
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port, folder / "client"
        finally:
            daemon.terminate()
