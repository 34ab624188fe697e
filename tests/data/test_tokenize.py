"""tokenize on the bundled text: contiguous parts that add up to the text, a vocabulary of the train part, clear errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.load import typed
from mldlc.artifacts.tokenizer import load_tokenizer
from mldlc.data import spec
from mldlc.data.config.source import BUNDLED
from mldlc.plan.context import StepError
from tests.data.steps import collect, option, step, table
from tests.step_harness import StepRun

FRACTIONS = {"train": 0.9, "val": 0.05, "test": 0.05}


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("plays")
    rows = collect(option("source", "tinyshakespeare"), folder).outputs["table"]
    split = step(spec.SPLIT, option("split", "time", fractions=FRACTIONS), folder, table=rows)
    return {"table": rows, "split": split.outputs["split"]}


def tokenize(inputs: dict[str, Artifact], folder: Path, name: str, **changes: Any) -> StepRun:
    return step(spec.TOKENIZE, option("prepare", name, **changes), folder, **inputs)


@pytest.mark.parametrize(("name", "changes"), [("char", {}), ("bpe", {"vocabulary": 300})])
def test_the_parts_are_the_text_in_its_order(
    plays: dict[str, Artifact], tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    made = [tokenize(plays, tmp_path / folder, name, **changes) for folder in "ab"]
    assert made[0].digest("tokens") == made[1].digest("tokens")
    assert made[0].digest("tokenizer") == made[1].digest("tokenizer")
    tokens, tokenizer = typed(made[0].outputs["tokens"]), load_tokenizer(made[0].outputs["tokenizer"])
    text = "".join(line + "\n" for line in pl.read_parquet(BUNDLED / "tinyshakespeare.parquet")["text"])
    assert len(text) == 1_115_394
    assert tokenizer.decode(tokens.array().tolist()) == text
    assert list(tokens.parts) == ["train", "val", "test"] and tokens.vocabulary == tokenizer.size
    assert sum(part.characters for part in tokens.parts.values()) == len(text)
    for part in tokens.parts.values():
        assert part.characters == len(tokenizer.decode(tokens.array()[part.start : part.stop].tolist()))
    assert made[0].summary["vocabulary"] == (66 if name == "char" else 300)
    assert made[0].summary["characters_per_token"] == (1.0 if name == "char" else pytest.approx(1.3, abs=0.2))


def small(folder: Path, frame: pl.DataFrame) -> dict[str, Artifact]:
    rows = table(folder, frame, roles={"at": "event_time"})
    cut = option("split", "time", fractions={"train": 0.5, "test": 0.5})
    return {"table": rows, "split": step(spec.SPLIT, cut, folder, table=rows).outputs["split"]}


def test_a_character_that_the_fitted_part_has_not_is_counted(tmp_path: Path) -> None:
    made = tokenize(small(tmp_path, pl.DataFrame({"at": [1, 2], "text": ["ab", "axb"]})), tmp_path, "char")
    assert made.summary["unknown"] == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"part": "trian"}, "no part 'trian'"),
        ({}, "has 2 text features, expected one"),
        ({"column": "wrods"}, "'wrods' is no text feature"),
    ],
)
def test_errors_name_what_is_wrong(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    inputs = small(tmp_path, pl.DataFrame({"at": [1, 2], "words": ["a", "b"], "more": ["c", "d"]}))
    with pytest.raises(StepError, match=text):
        tokenize(inputs, tmp_path, "char", **({"column": "words"} | changes if "part" in changes else changes))
