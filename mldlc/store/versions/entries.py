"""Checks entries where they come in, and gives the byte order that trees keep: paths as UTF-8, compared byte by byte.

A path may be a file and a folder of others at once (`a` and `a/b`), as in an object store; a local view refuses it.
"""

from __future__ import annotations

import re
import struct
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
    what = (
        "begins with a '/'" if path.startswith("/") else "ends with a '/'" if path.endswith("/") else "has '//' in it"
    )
    raise InvalidPath(f"path {path!r} {what}")


def check_paths(paths: Sequence[str]) -> list[bytes]:
    """`check_path` of many at once: 0.2 us each."""
    if not paths:
        return []
    try:
        blob = "\0".join(paths).encode()
    except UnicodeEncodeError:
        return [check_path(path) for path in paths]  # names the bad one
    data = blob.split(b"\0")
    if len(data) == len(paths) and max(map(len, data)) <= MAX_PATH:
        edges = b"/%b/" % blob.replace(b"\0", b"/")  # two plain searches cost a third of the regular expression
        if (b"//" not in edges and b"/." not in edges) or not _SEGMENT.search(b"\0%b\0" % blob):
            return data
    return [check_path(path) for path in paths]


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


def check_values(entries: Sequence[Entry]) -> tuple[bytes, bytes, list[str]]:
    """Digests (32 bytes each), sizes (8 bytes each, little endian) and media types of entries, many at once.

    ValueError for a digest that is no BLAKE3 in hex, a size that no file has, a media type that does not fit.
    """
    texts = [entry.digest for entry in entries]
    sizes = [entry.size for entry in entries]
    media = [entry.media for entry in entries]
    try:
        joined = "".join(texts)
        digests = bytes.fromhex(joined)
        packed = struct.pack(f"<{len(sizes)}Q", *sizes)
        fine = set(map(len, texts)) <= {64} and digests.hex() == joined and max(sizes, default=0) < MAX_SIZE
    except (ValueError, struct.error):
        fine = False
    if not fine:
        for path, digest, size, _ in entries:
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"{path}: digest {digest!r} is not 64 lower-case hex digits")
            if not isinstance(size, int) or not 0 <= size < MAX_SIZE:
                raise ValueError(f"{path}: size {size!r} is not a number of bytes")
    for value in set(media):
        if "\0" in value or len(value.encode()) > MAX_MEDIA:
            path = entries[media.index(value)].path
            raise ValueError(f"{path}: media type {value[:60]!r} has a NUL or more than {MAX_MEDIA} bytes")
    return digests, packed, media
