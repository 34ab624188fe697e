"""Tokens: a text as numbers, part after part in one file, mapped from disk; the manifest says where each part lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import write_json

FORMAT = "mldlc.tokens/1"
FILE = "tokens.bin"


@dataclass(frozen=True)
class Range:
    """A part of the text: its tokens [start, stop) in the file, and how many characters they stand for."""

    start: int
    stop: int
    characters: int

    def __len__(self) -> int:
        return self.stop - self.start


class Tokens:
    """Reads a Tokens artifact. vocabulary: how many different tokens there may be. parts: by name, in order.

    info: facts on the tokenizer.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        manifest = artifact.json("manifest.json")
        self.vocabulary: int = manifest["vocabulary"]
        self.dtype = np.dtype(manifest["dtype"])
        self.parts = {
            part["name"]: Range(part["start"], part["stop"], part["characters"]) for part in manifest["parts"]
        }
        self.info: dict[str, Any] = manifest["info"]

    def array(self) -> np.ndarray:
        """All tokens (n,), uint16 or uint32, mapped read-only."""
        path = self.artifact.file(FILE)
        return np.memmap(path, self.dtype, "r") if path.stat().st_size else np.empty(0, self.dtype)

    def part(self, name: str) -> np.ndarray:
        """The tokens of one part, a view."""
        return self.array()[self.parts[name].start : self.parts[name].stop]


def write_tokens(
    out: Path, parts: Sequence[tuple[str, np.ndarray, int]], vocabulary: int, info: Mapping[str, Any]
) -> None:
    """Write a Tokens artifact. parts: (name, tokens (n,), characters), in order."""
    dtype = np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")
    listed, start = [], 0
    with (out / FILE).open("wb") as file:
        for name, tokens, characters in parts:
            file.write(tokens.astype(dtype).tobytes())
            listed.append({"name": name, **asdict(Range(start, start + len(tokens), characters))})
            start += len(tokens)
    manifest = {"format": FORMAT, "vocabulary": vocabulary, "dtype": dtype.str, "parts": listed, "info": dict(info)}
    write_json(out / "manifest.json", manifest)
