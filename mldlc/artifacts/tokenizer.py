"""Tokenizers: text to numbers and back, by character or by byte-level BPE; kept as one JSON file."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import write_json
from mldlc.plan.context import StepError

FORMAT = "mldlc.tokenizer/1"
FILE = "tokenizer.json"
UNKNOWN = "\ufffd"


class Tokenizer(Protocol):
    """kind: char or bpe. size: of the vocabulary."""

    kind: str
    size: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Tokens of the texts one after another, int32 (n,)."""
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that the tokens stand for."""
        ...

    def document(self) -> Mapping[str, Any]:
        """What `tokenizer.json` says of it besides format and kind."""
        ...


class CharTokenizer:
    """A token a character; 0 is any character that is not in `characters`."""

    kind = "char"

    def __init__(self, characters: str) -> None:
        self.characters, self.size = characters, len(characters) + 1
        self._points = np.array([ord(c) for c in characters], np.int32)  # rising

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        points = np.frombuffer("".join(texts).encode("utf-32-le"), "<i4")
        at = np.searchsorted(self._points, points).clip(max=max(len(self._points) - 1, 0))
        return np.where(self._points[at] == points, at + 1, 0).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(self.characters[t - 1] if t else UNKNOWN for t in tokens)

    def document(self) -> Mapping[str, Any]:
        return {"characters": self.characters}


class BpeTokenizer:
    """Byte-level byte-pair encoding by the `tokenizers` library: any text has tokens, none is unknown."""

    kind = "bpe"

    def __init__(self, made: Any) -> None:
        self._made, self.size = made, int(made.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        ids = [np.asarray(one.ids, np.int32) for one in self._made.encode_batch_fast(list(texts))]
        return np.concatenate(ids) if ids else np.empty(0, np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        return str(self._made.decode(list(tokens)))

    def document(self) -> Mapping[str, Any]:
        return {"tokenizers": json.loads(self._made.to_str())}


def library() -> Any:
    """The `tokenizers` package; StepError that says how to get it."""
    try:
        return importlib.import_module("tokenizers")
    except ImportError:
        raise StepError(
            "byte-pair encoding needs the package 'tokenizers'", where="prepare.kind",
            hint="pip install 'mldlc[text]', or set prepare=char",
        ) from None  # fmt: skip


def fit_char(texts: Iterable[str]) -> CharTokenizer:
    """Every character of the texts."""
    found: set[str] = set()
    for text in texts:
        found.update(text)
    return CharTokenizer("".join(sorted(found)))


def fit_bpe(texts: Sequence[str], vocabulary: int) -> BpeTokenizer:
    """The most frequent pairs of the texts, joined until the vocabulary has that size; its first 256 are the bytes."""
    lib = library()
    made = lib.Tokenizer(lib.models.BPE())
    made.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = lib.decoders.ByteLevel()
    alphabet = sorted(lib.pre_tokenizers.ByteLevel.alphabet())
    trainer = lib.trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False, initial_alphabet=alphabet)
    made.train_from_iterator(iter(texts), trainer, length=len(texts))
    return BpeTokenizer(made)


def save_tokenizer(out: Path, tokenizer: Tokenizer) -> None:
    """Write `tokenizer.json` into the folder of an artifact."""
    write_json(out / FILE, {"format": FORMAT, "kind": tokenizer.kind, **tokenizer.document()})


def load_tokenizer(artifact: Artifact) -> Tokenizer:
    """Read a tokenizer back. StepError when the artifact holds none."""
    document = artifact.json(FILE) if FILE in artifact.files else {}
    if document.get("format") != FORMAT:
        raise StepError(f"this artifact holds no {FORMAT}", where=FILE)
    if document["kind"] == "char":
        return CharTokenizer(document["characters"])
    return BpeTokenizer(library().Tokenizer.from_str(json.dumps(document["tokenizers"])))
