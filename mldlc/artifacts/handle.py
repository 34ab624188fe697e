"""What a step's implementation finds in `inputs`: a read-only view of one artifact in the store."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def path_digest(path: Path) -> str:
    """The BLAKE3 of an object in the store, which is its name; "" for a file that is no object yet."""
    name = path.parent.name + path.name
    return name if len(name) == 64 and set(name) <= set("0123456789abcdef") else ""


def plain(reader: Any) -> Artifact:
    """The plain handle under a typed reader."""
    found = reader if isinstance(reader, Artifact) else reader.artifact
    assert isinstance(found, Artifact)
    return found


@dataclass(frozen=True)
class Artifact:
    """One artifact: a tree of immutable files.

    type: name of the artifact type. digest: of the tree. files: path inside the artifact -> absolute path of the bytes
    (an object in the store: read it in place, it has no file extension). view_root: where `path()` may build a view.
    """

    type: str
    digest: str
    files: Mapping[str, Path]
    view_root: Path | None = None

    def file(self, name: str) -> Path:
        """The bytes of one file of the artifact, in place; KeyError names what is there."""
        try:
            return self.files[name]
        except KeyError:
            raise KeyError(
                f"artifact {self.type} {self.digest[:12]} has no file {name!r}: {sorted(self.files)}"
            ) from None

    def file_digest(self, name: str) -> str:
        """A digest of the bytes of one file: the name of the object, read only where it is none."""
        path = self.file(name)
        known = path_digest(path)
        if known:
            return known
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()

    def json(self, name: str) -> Any:
        """A JSON file of the artifact."""
        return json.loads(self.file(name).read_bytes())

    def path(self) -> Path:
        """A directory with the artifact's own file names (hard links), for tools that need names."""
        if self.view_root is None:
            raise ValueError(f"artifact {self.digest[:12]} has no view root")
        root = self.view_root / self.digest[:32]
        for name, source in self.files.items():
            target = root / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)
        return root

    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())
