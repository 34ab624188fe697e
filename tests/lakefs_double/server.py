"""A lakeFS server for tests, over HTTP: the API held against its description, the S3 gateway, presigned storage."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from blake3 import blake3

from mldlc.store.durable import move_into, temporary_name
from tests.lakefs_double.faults import Fault, Faults
from tests.lakefs_double.hooks import run_pre_merge
from tests.lakefs_double.operations import Call, Operations
from tests.lakefs_double.repository import Attributes, Refused, Repository
from tests.lakefs_double.signature import is_signed
from tests.lakefs_double.spec import API, UPLOAD_METADATA, Operation, Spec, load_spec

ACCESS_KEY = "AKIADOUBLEDOUBLE"
SECRET_KEY = "double/Secret+Key0123456789abcdefghijklmn"
BLOCK = 1 << 20


class Request(NamedTuple):
    """One request that came, written down before it is answered. sent: bytes of body that go back."""

    operation: str
    method: str
    path: str
    status: int
    sent: int


@dataclass
class Double:
    """A running server. violations: how requests or answers broke the API's description; a test wants none."""

    folder: Path
    presign: bool = True
    faults: Faults = field(default_factory=Faults)
    violations: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    spec: Spec = field(default_factory=load_spec)

    def __enter__(self) -> Double:
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.double = self
        self.endpoint = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.operations = Operations(self.folder, self.endpoint, self.presign, run_pre_merge)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def fail(self, operation: str, kind: Any, **fields: Any) -> None:
        """Let a fault happen to the next request of an operation, `storage` or `gateway`."""
        self.faults.add(Fault(operation, kind, **fields))

    def repository(self, name: str) -> Repository:
        """The state behind a repository."""
        return self.operations.repositories[name]

    def count(self, operation: str) -> int:
        """Requests of an operation so far."""
        return sum(request.operation == operation for request in self.requests)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    double: Double

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else breaks the test."""
        import sys
        import traceback

        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            self.double.violations.append("the double failed: " + "".join(traceback.format_exception(error)))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        self.double = self.server.double
        self.operation = "unknown"
        self.parts = urlsplit(self.path)
        self.names = {name.lower(): value for name, value in self.headers.items()}
        self.left = int(self.names.get("content-length", 0))
        if self.names.get("transfer-encoding"):
            self.double.violations.append("a body without Content-Length: S3 and presigned addresses refuse it")
        if self.parts.path.startswith(API):
            self._api()
        elif self.parts.path.startswith("/storage/"):
            self._storage(self.parts.path.removeprefix("/storage/"))
        else:
            self._gateway()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    # the API

    def _api(self) -> None:
        found = self.double.spec.find(self.command, self.parts.path)
        if found is None:
            self.double.violations.append(f"no such operation: {self.command} {self.parts.path}")
            self._send(404, json.dumps({"message": "no such path"}).encode())
            return
        operation, arguments = found
        self.operation = operation.id
        query, wrong = self.double.spec.query(operation, self.parts.query)
        self.double.violations += wrong
        stream = operation.id == "uploadObject"
        body = None if stream else self.rfile.read(self.left)
        self.left = self.left if stream else 0
        self.double.violations += self.double.spec.request(operation, self.names, body)
        fault = self.double.faults.take(operation.id)
        if self._fails_first(fault):
            return
        token = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
        if self.names.get("authorization") != f"Basic {token}":
            self._answer(operation, 401, {"message": "error authenticating request"}, fault)
            return
        if wrong:
            self._answer(operation, 400, {"message": "; ".join(wrong)}, fault)
            return
        call = Call(arguments, query, json.loads(body) if body else None, self.names)
        try:
            if operation.id in ("getObject", "headObject"):
                self._object(call, fault)
                return
            if stream:
                self._answer(operation, 201, self._upload(call), fault)
                return
            self._answer(operation, *self.double.operations.answer(operation.id, call), fault)
        except Refused as refused:
            self._answer(operation, refused.status, {"message": refused.message}, fault)

    def _answer(self, operation: Operation, status: int, value: Any, fault: Fault | None) -> None:
        if fault and fault.kind == "rewrite":
            value = fault.change(value)
        text = operation.id == "createBranch" and status == 201
        body = b"" if value is None else value.encode() if text else json.dumps(value).encode()
        media = "text/html" if text else "application/json"
        if not (fault and fault.kind == "rewrite"):
            self.double.violations += self.double.spec.response(operation, status, media, body)
        if fault and fault.kind == "lost":
            self._hang_up(status)
            return
        self._send(status, body, {"Content-Type": media}, cut=bool(fault and fault.kind == "cut"))

    def _fails_first(self, fault: Fault | None) -> bool:
        """Do what comes before the work; whether that was all."""
        if fault is None:
            return False
        if fault.kind == "status":
            self._send(fault.status, fault.body, fault.headers)
            return True
        if fault.kind == "drop":
            self._hang_up(0)
            return True
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault.kind == "before":
            fault.action()
        return False

    def _upload(self, call: Call) -> dict[str, Any]:
        repository = self.double.repository(call.arguments["repository"])
        with repository.lock:
            repository.branch(call.arguments["branch"])
        digest, size, etag = self._receive(repository)
        metadata = {
            name[len(UPLOAD_METADATA) :]: value
            for name, value in self.names.items()
            if name.startswith(UPLOAD_METADATA)
        }
        kept = Attributes(etag, self.names.get("content-type", ""), metadata)
        with repository.lock:
            repository.stage(call.arguments["branch"], call.query["path"], digest, size, kept)
            query = {"path": call.query["path"], "user_metadata": True}
            arguments = {**call.arguments, "ref": call.arguments["branch"]}
            return self.double.operations.answer("statObject", Call(arguments, query, None, {}))[1]

    def _object(self, call: Call, fault: Fault | None) -> None:
        repository = self.double.repository(call.arguments["repository"])
        with repository.lock:
            entry = repository.entry(call.arguments["ref"], call.query["path"])
        path = repository.store.object(entry.digest)
        if call.query.get("presign") and self.double.presign:
            token = hashlib.sha256(f"{entry.digest}{time.time_ns()}".encode()).hexdigest()[:16]
            self.double.operations.downloads[token] = path
            self._send(302, b"", {"Location": f"{self.double.endpoint}/storage/{token}?X-Amz-Signature=abc"})
            return
        self._send_file(path, repository.attributes(entry).etag, fault)

    # presigned storage, which knows no credentials of lakeFS

    def _storage(self, token: str) -> None:
        self.operation = "storage"
        if "authorization" in self.names:
            self.double.violations.append("a presigned request carried the credentials of lakeFS")
        fault = self.double.faults.take("storage")
        if self._fails_first(fault):
            return
        operations = self.double.operations
        if self.command == "GET" and token in operations.downloads:
            self._send_file(operations.downloads[token], token, fault)
        elif self.command == "PUT" and token in operations.addresses:
            staged = operations.addresses[token]
            repository = next(
                one for one in operations.repositories.values() if staged.physical.startswith(one.namespace)
            )
            staged.digest, staged.size, etag = self._receive(repository)
            if fault and fault.kind == "lost":
                self._hang_up(200)
            else:
                self._send(200, b"", {"ETag": f'"{etag}-1"'})
        else:
            self._send(403, b"<Error><Code>AccessDenied</Code></Error>")

    # the S3 gateway

    def _gateway(self) -> None:
        self.operation = "gateway"
        fault = self.double.faults.take("gateway")
        if self._fails_first(fault):
            return
        if not is_signed(self.command, self.parts.path, self.parts.query, self.names, ACCESS_KEY, SECRET_KEY):
            self._send(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
            return
        name, _, rest = unquote(self.parts.path).lstrip("/").partition("/")
        ref, _, path = rest.partition("/")
        if self.command not in ("GET", "HEAD") or not path or name not in self.double.operations.repositories:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        repository = self.double.repository(name)
        try:
            with repository.lock:
                entry = repository.entry(ref, path)
        except Refused:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        self._send_file(repository.store.object(entry.digest), repository.attributes(entry).etag, fault)

    # bytes

    def _receive(self, repository: Repository) -> tuple[str, int, str]:
        """Stream the body into the store's objects: digest, size, ETag."""
        temporary = repository.store.work / temporary_name("upload")
        ours, theirs, size = blake3(), hashlib.md5(), 0
        with temporary.open("wb") as file:
            while self.left:
                data = self.rfile.read(min(BLOCK, self.left))
                if not data:
                    raise ConnectionResetError("the body broke off")
                for sink in (ours.update, theirs.update, file.write):
                    sink(data)
                self.left -= len(data)
                size += len(data)
        move_into(temporary, repository.store.object(ours.hexdigest()))
        return ours.hexdigest(), size, theirs.hexdigest()

    def _send_file(self, path: Path, etag: str, fault: Fault | None) -> None:
        size = path.stat().st_size
        start, stop, status = 0, size, 200
        headers = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        headers["Last-Modified"] = "Tue, 14 Nov 2023 22:13:20 GMT"
        if self.names.get("range", "").startswith("bytes="):
            first, _, last = self.names["range"][6:].partition("-")
            start = int(first) if first else max(0, size - int(last))
            stop = min(size, int(last) + 1) if first and last else size
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        end = start + (stop - start) // 2 if fault and fault.kind in ("cut", "lost") else stop
        self._record(status, 0 if self.command == "HEAD" else end - start)
        self._head(status, headers | {"Content-Length": str(stop - start)})
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(start)
            for at in range(start, end, BLOCK):
                self.wfile.write(file.read(min(BLOCK, end - at)))
        if end != stop:
            self._hang_up(None)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False) -> None:
        self._drain()
        size = {} if status in (204, 304) else {"Content-Length": str(len(body))}
        shown = b"" if self.command == "HEAD" else body[: len(body) // 2] if cut else body
        self._record(status, len(shown))
        self._head(status, (headers or {}) | size)
        self.wfile.write(shown)
        if cut:
            self._hang_up(None)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _drain(self) -> None:
        """Read what is left of a body that nobody wanted, so that the client gets to read the answer."""
        while self.left:
            data = self.rfile.read(min(BLOCK, self.left))
            self.left = self.left - len(data) if data else 0

    def _hang_up(self, status: int | None) -> None:
        """End the connection at once; None: in the middle of an answer that is recorded already."""
        if status is not None:
            self._record(status, 0)
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _record(self, status: int, sent: int) -> None:
        self.double.requests.append(Request(self.operation, self.command, self.parts.path, status, sent))
