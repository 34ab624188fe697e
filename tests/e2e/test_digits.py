"""`experiment=digits_cnn` through the command a user types: its goal on one split, and in the mean over five."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.e2e.conftest import execute
from tests.projects import Repository
from tests.thorough import thoroughly

GOAL = 0.98


@pytest.mark.slow
def test_digits_reach_their_goal(tmp_path: Path) -> None:
    test = execute(Repository(tmp_path), "digits_cnn")["metrics"]["test"]
    assert test["n"] >= 350 and test["accuracy"] >= GOAL


@pytest.mark.slow
@thoroughly
def test_the_goal_holds_in_the_mean_over_five_split_seeds(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    values = [execute(repo, "digits_cnn", f"split.seed={seed}")["metrics"]["test"]["accuracy"] for seed in range(5)]
    print(f"digits accuracy: mean {statistics.mean(values):.4f} of {[round(v, 4) for v in values]}")
    assert statistics.mean(values) >= GOAL
