"""The `mldlc data` command run in this process, and a store with two files to run it on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mldlc.store.layout import open_store
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions


@dataclass(frozen=True)
class Done:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Data = Callable[..., Done]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def versions() -> EmbeddedVersions:
    return open_versions(open_store(Path("outputs")))


def paths(ref: str = "main") -> list[str]:
    return [entry.path for entry in versions().entries(ref)]


def refused(done: Done, *words: str, code: int = 2) -> None:
    assert done.code == code, done
    assert done.out == "" and done.err.startswith("error: ") and done.err.count("\n") == 1
    for word in words:
        assert word in done.err


def drafts() -> list[Path]:
    return list(Path("outputs/store/drafts").iterdir())
