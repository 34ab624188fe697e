"""`experiment=shakespeare` through the command a user types: shortened always, whole in `make test-all`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import execute
from tests.projects import Repository
from tests.thorough import thoroughly

SHORT = ("model.layers=1", "model.dim=32", "trainer.max_epochs=1", "trainer.limit_train_batches=60", "profile=none")

CHAR = pytest.param(("prepare=char",), id="char", marks=thoroughly)


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [pytest.param(("prepare.vocabulary=512",), id="bpe"), CHAR])
def test_a_short_training_tells_more_than_frequencies(tokens: tuple[str, ...], tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    test = execute(repo, "shakespeare", *SHORT, *tokens)["metrics"]["test"]
    assert 1.5 < test["nats_per_character"] < 3.2  # counted characters alone have 3.3
    assert test["bits_per_character"] > test["nats_per_character"]
    plan = repo.inside("plan", "experiment=shakespeare", *SHORT, *tokens)
    assert "0 to run" in plan.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="needs DeepSpeed: pip install 'mldlc[deepspeed]'"
)
def test_three_words_train_a_text_on_two_ranks(tmp_path: Path) -> None:
    """The model chooses the lifecycle, ZeRO 3 places it; a plan for one process finds the model done."""
    repo = Repository(tmp_path)
    words = ("model=gpt_small", "source=tinyshakespeare")
    short = ("prepare=char", *SHORT, "ingest.batch_size=16", "--until", "train")
    done = repo.mldlc("run", "trainer=deepspeed_zero3", *words, *short, "--json")
    assert done.returncode == 0, done.stderr
    train = json.loads((repo.root / "outputs/latest/summary.json").read_text())["steps"]["train"]
    assert train["summary"]["steps"] == 60 and 1.5 < train["summary"]["val_loss"] < 3.3
    assert "0 to run" in repo.inside("plan", *words, *short).stdout
    named = repo.inside("plan", *words, *short, "lifecycle=default")
    assert named.returncode == 2, "what the command line chooses holds"


@pytest.mark.slow
@thoroughly
def test_the_whole_training_has_what_was_asked_for_where_nanogpt_quotes_1_88(tmp_path: Path) -> None:
    test = execute(Repository(tmp_path), "shakespeare")["metrics"]["test"]
    print(f"shakespeare: {test['nats_per_character']:.4f} nats a character")
    assert test["nats_per_character"] < 1.70
