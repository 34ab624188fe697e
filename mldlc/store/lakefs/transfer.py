"""Local files to a branch of a lakeFS repository: streamed, staged where they are large, several at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mldlc.plan.versions import VersionsError
from mldlc.store.durable import each
from mldlc.store.hashing import hash_descriptor
from mldlc.store.lakefs.client import ApiError, Query, read_json
from mldlc.store.lakefs.listing import DIGEST_KEY, PLAIN
from mldlc.store.lakefs.repository import Repository

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Progress = Callable[[int, int], None]  # bytes done, bytes in all

LARGE = 8 << 20  # bytes above which a file goes to the object store itself, where the server lets it
SINGLE_PUT = 5 << 30  # bytes of one PUT, the limit of S3; larger files go through the server, which cuts them
CHUNK = 1 << 20  # bytes read and sent at once
ADDRESSES = 3  # presigned addresses tried for one file: they expire, and a commit meanwhile takes them away
HEADER = "x-lakefs-meta-"  # what user metadata of an upload through the server begins with


@dataclass(frozen=True)
class Upload:
    """One file to send. digest: BLAKE3-256 of its bytes, which must be what is sent; told: the caller knew it."""

    path: str
    source: str
    digest: str
    size: int
    media: str
    told: bool = False


def prepare(path: str, source: Path, media: str = "", digest: str = "") -> Upload:
    """Hash a file, unless its digest is known. VersionsError: there is none, it is no regular file."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            found = digest or hash_descriptor(descriptor, size)
            return Upload(path, os.fspath(source), found, size, media, told=bool(digest))
        finally:
            os.close(descriptor)
    except OSError as error:  # also a folder
        raise VersionsError(f"cannot read {source} for {path!r}: {error.strerror}") from None


def send_all(
    repository: Repository, branch: str, uploads: Sequence[Upload], *, presign: bool, progress: Progress | None
) -> None:
    """Upload files; the first error stops the rest. presign: use presigned addresses for large ones.

    progress: called from several threads, one at a time; after a broken connection `done` goes back.
    """
    meter = _Meter(sum(item.size for item in uploads), progress)

    def one(item: Upload) -> None:
        if not (presign and LARGE < item.size <= SINGLE_PUT and _send_staged(repository, branch, item, meter)):
            _send_through_server(repository, branch, item, meter)

    each(one, uploads)


class _Meter:
    """Bytes sent, of all files together."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def set(self, path: str, done: int) -> None:
        """A file has got so far."""
        if self._progress is None:
            return
        with self._lock:
            self._done[path] = done
            self._progress(sum(self._done.values()), self._total)


def _send_through_server(repository: Repository, branch: str, item: Upload, meter: _Meter) -> None:
    url = repository.client.url(repository.path("branches", branch, "objects"), {"path": item.path})
    headers = {
        "Accept": "application/json",
        "Content-Type": item.media or PLAIN,
        "Content-Length": str(item.size),
        HEADER + DIGEST_KEY: item.digest,
    }
    body = _stream(item, meter)
    repository.client.request("POST", url, headers=headers, body=body, read=read_json, what=f"uploading {item.path}")


def _send_staged(repository: Repository, branch: str, item: Upload, meter: _Meter) -> bool:
    """PUT to a presigned address, then link it; False where the server gives no address after all."""
    for attempt in range(ADDRESSES):
        query: Query = {"path": item.path, "presign": True}
        where = repository.get("branches", branch, "staging", "backing", query=query)
        if not where.get("presigned_url"):
            return False
        try:
            etag = _put(repository, where["presigned_url"], item, meter)
            link = {
                "staging": where,
                "checksum": etag,
                "size_bytes": item.size,
                "user_metadata": {DIGEST_KEY: item.digest},
                "content_type": item.media or PLAIN,
            }
            repository.put("branches", branch, "staging", "backing", query={"path": item.path}, body=link)
            return True
        except ApiError as error:  # expired, or taken by a commit: another address
            if error.status not in (400, 403, 409) or attempt + 1 == ADDRESSES:
                raise
    return False


def _put(repository: Repository, url: str, item: Upload, meter: _Meter) -> str:
    """Send the bytes to the object store; their ETag."""
    headers = {"Content-Type": item.media or PLAIN, "Content-Length": str(item.size)}
    if repository.storage.get("blockstore_type") == "azure":
        headers["x-ms-blob-type"] = "BlockBlob"

    def etag(response: BaseHTTPResponse) -> str:
        response.read()
        response.release_conn()
        return str(response.headers.get("ETag", "")).strip(' "') or item.digest

    what = f"uploading {item.path} to its storage"  # the address is a secret while it lives
    return repository.client.request("PUT", url, headers=headers, body=_stream(item, meter), read=etag, what=what)


def _stream(item: Upload, meter: _Meter) -> Callable[[], Iterator[bytes]]:
    """The file's bytes in chunks, from the start for each try. VersionsError before the last one if they are others."""

    def chunks() -> Iterator[bytes]:
        from blake3 import blake3

        done, hasher = 0, blake3()
        with open(item.source, "rb", buffering=0) as file:  # noqa: PTH123
            meter.set(item.path, 0)
            while done < item.size:
                data = file.read(min(CHUNK, item.size - done))
                done += len(data)
                hasher.update(data)
                if not data or (done == item.size and (file.read(1) or hasher.hexdigest() != item.digest)):
                    raise VersionsError(_changed(item, hasher.hexdigest()))
                yield data
                meter.set(item.path, done)

    return chunks


def _changed(item: Upload, found: str) -> str:
    if item.told:
        return f"{item.source} has digest {found}, not {item.digest} as was said"
    return f"{item.source} was written while it was uploaded; wait for what writes it"
