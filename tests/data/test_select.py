"""select: each filter on made columns, judged on the train part only; scores against scipy and scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mldlc.data import spec
from mldlc.data.select import association
from mldlc.plan.context import StepError
from tests.data.steps import option, step, table
from tests.step_harness import StepRun

RNG = np.random.default_rng(0)
N = 2000
SIGNAL = RNG.normal(size=N)
FRAME = pl.DataFrame(
    {
        "a": SIGNAL, "twin": SIGNAL * 3 + RNG.normal(size=N) / 50, "noise": RNG.normal(size=N),
        "gaps": pl.Series([1.0] + [None] * (N - 1)), "same": ["x"] * N, "free": [f"id {i}" for i in range(N)],
        "ten": RNG.choice(list("abcdefghij"), N), "y": np.where(SIGNAL > 0, "up", "down"),
        "fold": ["train"] * (N - 500) + ["test"] * 500,
    }
)  # fmt: skip


def selected(folder: Path, frame: pl.DataFrame = FRAME, **changes: Any) -> StepRun:
    made = table(folder, frame, {"y": "label", "fold": "ignore"})
    config = option("split", "column", by="fold", values={"train": ["train"], "test": ["test"]})
    split = step(spec.SPLIT, config, folder, table=made).outputs["split"]
    return step(spec.SELECT, option("select", "filter", **changes), folder, table=made, split=split)


def why(run: StepRun) -> dict[str, str]:
    return {item["column"]: item["why"] for item in run.outputs["selection"].json("selection.json")["drop"]}


def test_each_filter_drops_its_column(tmp_path: Path) -> None:
    run = selected(tmp_path, min_score=0.1)
    assert why(run) == {
        "twin": "correlation 1.0000 with a > 0.98",
        "noise": why(run)["noise"],
        "gaps": "missing share 0.999 > 0.95",
        "same": "one value has the share 1.0000 > 0.999",
        "free": "1500 distinct values > 1000",
        "ten": why(run)["ten"],
    }
    assert why(run)["noise"].startswith("score 0.0")
    document = run.outputs["selection"].json("selection.json")
    assert (document["format"], document["keep"]) == ("mldlc.selection/1", ["a"])
    assert run.summary == {"kept": 1, "dropped": 6}


def test_keep_is_never_dropped_and_null_switches_a_filter_off(tmp_path: Path) -> None:
    run = selected(
        tmp_path, keep=["same"], max_missing=None, max_constant=None, max_categories=None, max_correlation=None
    )
    assert why(run) == {}


def test_the_test_rows_decide_nothing(tmp_path: Path) -> None:
    other = FRAME.with_columns(
        pl.when(pl.col("fold") == "test").then(pl.lit(None)).otherwise(pl.col("noise")).alias("noise"),
        pl.when(pl.col("fold") == "test").then(-pl.col("twin")).otherwise(pl.col("twin")).alias("twin"),
    )
    one, two = selected(tmp_path / "a", min_score=0.1), selected(tmp_path / "b", other, min_score=0.1)
    assert one.digest("selection") == two.digest("selection")


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(StepError) as found:
        selected(tmp_path / "a", keep=["nois"])
    assert found.value.hint == "did you mean 'noise'?"
    with pytest.raises(StepError) as found:
        selected(tmp_path / "b", part="trian")
    assert (found.value.message, found.value.hint) == ("the split has no part 'trian'", "did you mean 'train'?")
    with pytest.raises(StepError, match="select drops every feature"):
        selected(tmp_path / "c", min_score=1.0)


def test_scores_are_the_textbook_ones() -> None:
    contingency = pytest.importorskip("scipy.stats.contingency")
    from sklearn.feature_selection import f_classif

    a, b = RNG.choice(list("abc"), 500), RNG.choice(list("xy"), 500)
    cross = pl.DataFrame({"a": a, "b": b}).pivot("b", index="a", values="b", aggregate_function="len").drop("a")
    wanted = contingency.association(cross.fill_null(0).to_numpy(), method="cramer")
    assert association(pl.Series(a), pl.Series(b)) == pytest.approx(wanted)
    x = RNG.normal(size=500) + (b == "x")
    f = f_classif(x.reshape(-1, 1), b)[0][0]  # eta^2 = F k / (F k + n - k - 1) with k groups less one
    assert association(pl.Series(x), pl.Series(b)) ** 2 == pytest.approx(f / (f + 498))
    assert association(pl.Series(x), pl.Series(x)) > 0.95
