"""Reading files of a lakeFS commit: as a stream in flat memory that outlives its connections, and by the S3 gateway."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

from mldlc.plan.versions import PathNotFound, Unavailable
from mldlc.store.lakefs.client import FIRST_WAIT, TRIES, ApiError
from mldlc.store.lakefs.credentials import Credentials
from mldlc.store.lakefs.listing import find_entry
from mldlc.store.lakefs.repository import Repository

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

BUFFER = 1 << 20  # bytes
REGION = "us-east-1"  # what the gateway's signatures are made for; it takes any


def gateway_options(credentials: Credentials) -> dict[str, str]:
    """What `pl.scan_*` needs for `s3://<repository>/<commit>/<path>` at the server's S3 gateway. It holds the keys."""
    options = {
        "aws_endpoint_url": credentials.endpoint,
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
        "aws_region": REGION,
        "aws_virtual_hosted_style_request": "false",
    }
    return options | ({"aws_allow_http": "true"} if credentials.endpoint.startswith("http://") else {})


def open_object(repository: Repository, commit: str, path: str, *, presign: bool) -> BinaryIO:
    """Open a file at a commit id. presign: its bytes come from the object store itself. PathNotFound."""
    try:
        return cast(BinaryIO, io.BufferedReader(ObjectReader(repository, commit, path, presign), BUFFER))
    except ApiError as error:
        if error.status != 404:
            raise
    raise PathNotFound(f"{repository.name}@{commit[:12]} has no file {path!r}")


class ObjectReader(io.RawIOBase):
    """Reads from `position` on; each new connection asks for the rest only. The commit is fixed, so are the bytes."""

    def __init__(self, repository: Repository, commit: str, path: str, presign: bool) -> None:
        self._repository, self._commit, self._path, self._presign = repository, commit, path, presign
        self._position = 0
        self._response: BaseHTTPResponse | None = None
        self._response = self._connect()
        length = self._response.headers.get("Content-Length")
        self._size = int(length) if length else _size(repository, commit, path)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; the next read makes a range request. ValueError for a place before the file."""
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if position < 0:
            raise ValueError(f"cannot seek to byte {position} of {self._path}")
        if position != self._position:
            self._disconnect()
            self._position = position
        return position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Up to as many bytes as fit. Unavailable when the connection breaks at the same byte through all tries."""
        from urllib3.exceptions import HTTPError

        want = min(len(buffer), self._size - self._position)
        if want <= 0:
            return 0
        client = self._repository.client
        for attempt in range(TRIES):
            try:
                if self._response is None:
                    self._response = self._connect()
                data = self._response.read(want)
            except HTTPError:
                data = b""
            if data:
                buffer[: len(data)] = data
                self._position += len(data)
                return len(data)
            self._disconnect()
            client.sleep(FIRST_WAIT * 2**attempt)
        raise Unavailable(f"{self._path} breaks off at byte {self._position} of {self._size}, {TRIES} times")

    def close(self) -> None:
        """Give the connection up; what was not read is not fetched."""
        self._disconnect()
        super().close()

    def _disconnect(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _connect(self) -> BaseHTTPResponse:
        client = self._repository.client
        query = {"path": self._path, "presign": True if self._presign else None}
        url = client.url(self._repository.path("refs", self._commit, "objects"), query)
        headers = {"Range": f"bytes={self._position}-"} if self._position else {}
        what = f"reading {self._path}"
        response = client.request("GET", url, headers=headers, read=lambda answer: answer, what=what)
        if response.status in (302, 303, 307):  # a presigned address, which gets none of our credentials
            target = str(response.headers["Location"])
            response.close()
            response = client.request("GET", target, headers=headers, read=lambda answer: answer, what=what)
        if self._position and response.status != 206:  # Range was not honoured: pass what was read before
            _skip(response, self._position)
        return response


def _size(repository: Repository, commit: str, path: str) -> int:
    """From the listing, where a proxy leaves out the length of an answer."""
    entry = find_entry(repository, commit, path)
    return entry.size if entry else 0


def _skip(response: BaseHTTPResponse, count: int) -> None:
    while count > 0 and (data := response.read(min(count, BUFFER))):
        count -= len(data)
