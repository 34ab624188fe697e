"""Tokenizers and tokens: any text comes back, equal text gives equal bytes, parts lie where the manifest says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.artifacts.tokenizer import (
    UNKNOWN,
    BpeTokenizer,
    CharTokenizer,
    fit_bpe,
    fit_char,
    load_tokenizer,
    save_tokenizer,
)  # fmt: skip
from mldlc.artifacts.tokens import Tokens, write_tokens
from mldlc.plan.context import StepError
from tests.step_harness import artifact

ROWS = ["to be, or not to be:\n", "that is the question\n", "żółć, 你好 🎭\n", "\n"] * 20
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def bpe() -> BpeTokenizer:
    return fit_bpe(ROWS, 300)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, max_size=4))
def test_characters_come_back_and_strangers_are_unknown(texts: list[str]) -> None:
    known = fit_char(texts)
    assert known.decode(known.encode(texts)) == "".join(texts)
    some = CharTokenizer("abc")
    assert some.decode(some.encode(texts)) == "".join(c if c in "abc" else UNKNOWN for text in texts for c in text)
    assert known.size == len(set("".join(texts))) + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, max_size=4))
def test_byte_pairs_give_back_any_text(bpe: BpeTokenizer, texts: list[str]) -> None:
    tokens = bpe.encode(texts)
    assert bpe.decode(tokens) == "".join(texts)
    assert len(tokens) == 0 or tokens.max() < bpe.size <= 300


def test_byte_pairs_join_what_is_frequent(bpe: BpeTokenizer) -> None:
    assert len(bpe.encode(["to be, or not to be:\n"])) < len("to be, or not to be:\n") / 2


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_kept_and_read_back(kind: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        save_tokenizer(folder, fit_char(ROWS) if kind == "char" else fit_bpe(ROWS, 300))
    made = [artifact("Preprocessor", folder) for folder in folders]
    assert made[0].digest == made[1].digest
    read = load_tokenizer(made[0])
    assert read.kind == kind and read.decode(read.encode(ROWS)) == "".join(ROWS)


def test_what_is_no_tokenizer_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "preprocessor.json").write_text("{}")
    with pytest.raises(StepError, match="holds no mldlc"):
        load_tokenizer(artifact("Preprocessor", tmp_path / "a"))


@pytest.mark.parametrize(("vocabulary", "dtype"), [(65_536, "<u2"), (65_537, "<u4")])
def test_parts_lie_one_after_another(vocabulary: int, dtype: str, tmp_path: Path) -> None:
    parts = [("train", np.arange(5), 9), ("val", np.empty(0, np.int32), 0), ("test", np.array([65_535, 1]), 3)]
    write_tokens(tmp_path, parts, vocabulary, {"tokenizer": "char"})
    tokens = Tokens(artifact("Tokens", tmp_path))
    assert tokens.array().dtype == np.dtype(dtype) and tokens.vocabulary == vocabulary
    assert tokens.array().tolist() == [0, 1, 2, 3, 4, 65_535, 1]
    assert [tokens.part(name).tolist() for name in tokens.parts] == [[0, 1, 2, 3, 4], [], [65_535, 1]]
    assert [(len(part), part.characters) for part in tokens.parts.values()] == [(5, 9), (0, 0), (2, 3)]
