"""`hydra/sweeper=mldlc`: Hydra's own sweeps in Hydra's own order, paired ones, and searches by the return value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("hatchling")

from tests.plugins.hydra_app import App, app

SWEEPER = "hydra/sweeper=mldlc"
Install = Callable[[str], Path]


@pytest.fixture
def plain(tmp_path: Path, install: Install) -> App:
    return app(tmp_path, install("mldlc-hydra"), install("mldlc-optuna"))


def jobs(plain: App, *args: str) -> list[list[str]]:
    """The overrides of the jobs of a sweep, in order."""
    code, text = plain.run("-m", *args, script="driver.py")
    assert code == 0, text
    return [[item for item in row["overrides"] if "hydra" not in item] for row in plain.returns()]


@pytest.mark.parametrize(
    "asked",
    [
        ["name=sort(b,a)", "lr=float(choice(3,1))", "number=range(0,4,2)", "hydra.sweeper.max_batch_size=3"],
        ["--config-dir=conf", "--config-name=swept", "name=d,e"],
    ],
)
def test_jobs_are_those_of_hydras_own_sweeper(plain: App, asked: list[str]) -> None:
    (plain.root / "conf").mkdir()
    (plain.root / "conf/swept.yaml").write_text(
        "defaults: [config, _self_]\nhydra: {sweeper: {params: {lr: '1,2', name: 'b,c'}}}\n"
    )
    assert jobs(plain, *asked, SWEEPER) == jobs(plain, *asked)


def test_paired_and_listed(plain: App) -> None:
    zip_ = "hydra.sweeper.zip=[{lr: [1, 2], name: [x, y]}]"
    assert jobs(plain, "number=5,6", SWEEPER, zip_) == [
        [f"number={number}", f"lr={lr}", f"name={name}"] for number in (5, 6) for lr, name in ((1, "x"), (2, "y"))
    ]
    assert jobs(plain, SWEEPER, "+hydra.sweeper.vary={lr: [3], name: [z]}") == [[], ["lr=3"], ["name=z"]]
    code, text = plain.run("-m", SWEEPER, "hydra.sweeper.zip=[{lr: [1, 2], name: [x]}]")
    assert code == 1 and "pairs lists of unlike lengths: lr has 2, name has 1" in text


def test_a_search_by_the_return_value(plain: App) -> None:
    pytest.importorskip("optuna")
    search = ["-m", "lr=interval(-5,5)", "name=q", SWEEPER, "hydra.sweeper.sampler=tpe", "hydra.sweeper.batch=2"]
    code, text = plain.run(*search, "hydra.sweeper.n_trials=3", "hydra.sweep.dir=found")
    assert code == 0, text
    ran = plain.executed()
    assert len(ran) == 3 and all(line.endswith(" q") for line in ran)
    results = (plain.root / "found/optimization_results.yaml").read_text()
    best = min(float(line.split()[0]) for line in ran)
    assert f"best_value: {2 * best:.4g}"[:16] in results and "name: mldlc" in results
    code, text = plain.run(*search, "hydra.sweeper.n_trials=4", "hydra.launcher.jobs=1", "hydra/launcher=mldlc")
    assert code == 0, text
    assert len(plain.executed()) == 1  # the three before are part of the study


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["lr=1,2", "hydra.sweeper.sampler=tpa"], "hydra.sweeper.sampler: 'tpa' is not one of tpe, cmaes, grid, random"),
        (["lr=1", "hydra.sweeper.sampler=tpe"], "hydra.sweeper.params: there is nothing to search"),
        (["lr=interval(2,1)", "hydra.sweeper.sampler=tpe"], "low 2 is above high 1"),
        (["name=object", "lr=1,2", "hydra.sweeper.sampler=grid"], "the function must return a number to be searched by"),
        (["lr=interval(1,2)"], "hydra.sweeper.sampler: null, but 'lr=interval(1,2)' has no list of points"),
    ],
)  # fmt: skip
def test_mistakes(plain: App, args: list[str], told: str) -> None:
    code, text = plain.run("-m", SWEEPER, *args)
    assert code == 1 and told in text
