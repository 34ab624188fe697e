"""Checks entries where they come in, and gives the byte order that trees keep: paths as UTF-8, compared byte by byte.

A path may be a file and a folder of others at once (`a` and `a/b`), as in an object store; a local view refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mldlc.plan.versions import Entry, InvalidPath

MAX_PATH = 1024  # bytes of UTF-8, as S3 and lakeFS have it
MAX_MEDIA = 255  # bytes
MAX_SIZE = 1 << 63  # bytes of one file, exclusive
END = b"\xff"  # above every path: no UTF-8 has this byte
_SEGMENT = re.compile(rb"[\0/](?:\.{0,2})(?=[\0/])")  # an empty segment, "." or "..", in NUL-terminated paths
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_path(path: str) -> bytes:
    """The path as UTF-8. InvalidPath says what is wrong with it."""
    try:
        data = path.encode()
    except UnicodeEncodeError:
        raise InvalidPath(f"path {path!r} is not valid UTF-8") from None
    if "\0" in path:
        raise InvalidPath(f"path {path!r} holds a NUL character")
    if len(data) > MAX_PATH:
        raise InvalidPath(f"path {path[:60]!r}... has {len(data)} bytes; at most {MAX_PATH} are allowed")
    if not data:
        raise InvalidPath("a path is empty")
    found = _SEGMENT.search(b"\0" + data + b"\0")
    if found is None:
        return data
    segment = found.group()[1:].decode()
    if segment:
        raise InvalidPath(f"path {path!r} has a segment {segment!r}; write it without")
    where = "begins" if path.startswith("/") else "ends" if path.endswith("/") else "has two in a row:"
    raise InvalidPath(
        f"path {path!r} {where} with a '/'" if where != "has two in a row:" else f"path {path!r} has '//'"
    )


def check_paths(paths: Sequence[str]) -> list[bytes]:
    """`check_path` of many at once: 0.1 us each."""
    joined = "\0".join(paths)
    try:
        blob = joined.encode()
    except UnicodeEncodeError:
        return [check_path(path) for path in paths]  # names the bad one
    data = blob.split(b"\0") if paths else []
    if len(data) != len(paths) or (data and max(map(len, data)) > MAX_PATH) or _SEGMENT.search(b"\0" + blob + b"\0"):
        return [check_path(path) for path in paths]
    return data


def check_removal(name: str) -> tuple[bytes, bytes]:
    """What a removed name takes out, as paths from .. up to ..: the name alone, or all below when it ends with "/"."""
    if name.endswith("/"):
        data = check_path(name[:-1])
        return data + b"/", data + b"0"  # "0" comes right after "/"
    data = check_path(name)
    return data, data + b"\0"


def prefix_span(prefix: str, after: str = "") -> tuple[bytes, bytes]:
    """Paths from .. up to .. that begin with `prefix` and come after path `after`."""
    low = prefix.encode(errors="surrogatepass")
    high = low[:-1] + bytes([low[-1] + 1]) if low else END
    if after:
        low = max(low, after.encode(errors="surrogatepass") + b"\0")
    return low, high


def check_values(entries: Sequence[Entry]) -> None:
    """ValueError for a digest that is no BLAKE3 in hex, a size that no file has, a media type that does not fit."""
    for path, digest, size, media in entries:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{path}: digest {digest!r} is not 64 lower-case hex digits")
        if not 0 <= size < MAX_SIZE:
            raise ValueError(f"{path}: size {size} is not a number of bytes")
        if "\0" in media or len(media.encode()) > MAX_MEDIA:
            raise ValueError(f"{path}: media type {media[:60]!r} has a NUL or more than {MAX_MEDIA} bytes")
