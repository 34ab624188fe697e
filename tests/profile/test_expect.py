"""The expect step: every rule against a count in plain Python, quarantine, messages, inference, drift."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mldlc.artifacts.table import Table
from mldlc.plan.context import StepError
from mldlc.profile.expect import check_frame
from mldlc.profile.expect_config import ExpectConfig, RuleExpectations
from mldlc.profile.finding import Finding
from mldlc.profile.spec import EXPECT, PROFILE
from tests.profile.frames import adult, mixed, table
from tests.shared_data import shared
from tests.step_harness import Artifact, StepRun, run_step

CONF = Path(__file__).parents[2] / "conf" / "expect"


def expect(folder: Path, data: Artifact, config: dict[str, Any], reference: Artifact | None = None) -> StepRun:
    return run_step(EXPECT, {"expect": config}, {"table": data, "reference": reference}, folder)


def option(name: str, **changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return config | changes


def rules(**config: Any) -> dict[str, Any]:
    return {"kind": "rules", **config}


def by_rule(frame: pl.DataFrame, **config: Any) -> dict[str, Finding]:
    found, _ = check_frame(RuleExpectations(**config), frame)
    return {finding.rule: finding for finding in found}


def test_shipped_rules_hold_on_the_real_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One column at a time: the table is never loaded whole."""
    housing = pl.read_csv(shared("housing.csv"))
    for name, frame in (("adult", adult()), ("housing", housing)):
        data = table(tmp_path / f"t-{name}", frame[:5000], frame[5000:])
        with monkeypatch.context() as patch:
            patch.delattr(Table, "load")
            run = expect(tmp_path / name, data, option(name))
        assert run.summary["violated"] == 0
        assert run.summary["rules"] > 30
        assert run.digest("table") == data.digest
        same = [run.outputs["table"].files[f].stat().st_ino == path.stat().st_ino for f, path in data.files.items()]
        assert all(same)
        assert Table(run.outputs["quarantine"]).load().shape == (0, frame.width)


def test_quarantine_splits_good_from_bad_rows(tmp_path: Path) -> None:
    frame = adult()
    config = option("adult", on_violation="quarantine")
    config["columns"]["age"]["max"] = 80
    data = table(tmp_path / "t", frame[:5000], frame[5000:])
    run = expect(tmp_path / "run", data, config)
    good, bad = Table(run.outputs["table"]), Table(run.outputs["quarantine"])
    assert bad.load().equals(frame.filter(pl.col("age") > 80))
    assert good.load().equals(frame.filter(pl.col("age") <= 80))
    assert [p.name for p in good.partitions] == ["p0", "p1"]
    report = run.outputs["report"].json("report.json")
    (violated,) = [f for f in report["findings"] if f["violated"]]
    first = [i for i, age in enumerate(frame["age"]) if age > 80][:5]
    assert violated["examples"] == [{"row": i, "value": frame["age"][i]} for i in first]
    assert report["quarantined"] == bad.rows == violated["bad"]
    again = expect(tmp_path / "again", data, config)
    assert all(run.digest(port) == again.digest(port) for port in ("report", "table", "quarantine"))
    with pytest.raises(StepError, match=r"quarantine_share_max"):
        expect(tmp_path / "limit", data, config | {"quarantine_share_max": 0.001})


def test_fail_names_every_violated_rule(tmp_path: Path) -> None:
    frame = pl.DataFrame({"age": [5, 200, None, -1], "income": ["a", "b", "c", "a"]})
    columns = {
        "age": {"min": 0, "max": 120, "null_share_max": 0.1},
        "income": {"allowed": ["a", "b"], "unique": True, "severity": "warn"},
        "incme": {},
    }
    with pytest.raises(StepError) as caught:
        expect(tmp_path / "run", table(tmp_path / "t", frame), rules(columns=columns))
    text = caught.value.message
    assert text.startswith("4 of 6 expectations are violated")
    assert "age.min: 1 of 4 rows (25.00%), expected at least 0; row 3: -1" in text
    assert "age.max: 1 of 4 rows (25.00%), expected at most 120; row 1: 200" in text
    assert "age.null_share_max: found 1 of 4 (25.00%)" in text
    assert "incme.required" in text
    assert "did you mean 'income'?" in text
    assert "income.allowed" not in text  # a warning stops nothing
    warned = expect(tmp_path / "warn", table(tmp_path / "t2", frame), rules(columns=columns, on_violation="warn"))
    assert warned.summary["violated"] == 6


def test_column_faults_stop_quarantine_too(tmp_path: Path) -> None:
    config = rules(columns={"x": {"type": "integer", "min": 0}}, on_violation="quarantine")
    with pytest.raises(StepError, match=r"x\.type: found string") as caught:
        expect(tmp_path / "run", table(tmp_path / "t", pl.DataFrame({"x": ["1", "no"]})), config)
    assert caught.value.message.startswith("1 of 1")  # rules that the wrong type makes senseless are not asked


def test_bad_share_max_and_severities() -> None:
    frame = pl.DataFrame({"x": [*range(99), 1000]})
    found = by_rule(frame, columns={"x": {"max": 500, "min": 1, "bad_share_max": 0.01, "severities": {"min": "warn"}}})
    assert (found["x.max"].bad, found["x.max"].violated) == (1, False)
    assert (found["x.min"].severity, found["x.max"].severity) == ("warn", "error")


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.integers(-50, 50)), max_size=30),
    low=st.integers(-50, 50), high=st.integers(-50, 50), allowed=st.lists(st.integers(-50, 50), max_size=5),
)  # fmt: skip
def test_row_rules_count_as_python_counts(values: list[int | None], low: int, high: int, allowed: list[int]) -> None:
    frame = pl.DataFrame({"x": values, "y": list(reversed(values))}, schema={"x": pl.Int32, "y": pl.Int32})
    found = by_rule(
        frame,
        columns={"x": {"min": low, "max": high, "allowed": allowed, "unique": True}},
        rows=[
            {"name": "below", "column": "x", "op": "<=", "other": "y"},
            {"name": "when", "column": "x", "op": ">", "value": low, "when": {"column": "y", "op": "<", "value": high}},
            {"name": "not_in", "column": "x", "op": "not_in", "value": [low, high]},
            {"name": "known", "column": "x", "op": "not_null"},
        ],
    )
    known = [x for x in values if x is not None]
    pairs = [(x, y) for x, y in zip(values, reversed(values), strict=True) if x is not None and y is not None]
    assert found["x.min"].bad == sum(x < low for x in known)
    assert found["x.max"].bad == sum(x > high for x in known)
    assert found["x.allowed"].bad == sum(x not in allowed for x in known)
    assert found["x.unique"].bad == len(known) - len(set(known))
    assert found["below"].bad == sum(x > y for x, y in pairs)
    assert found["when"].bad == sum(x <= low and y < high for x, y in pairs)
    assert found["not_in"].bad == sum(x in (low, high) for x in known)
    assert found["known"].bad == len(values) - len(known)


def test_text_dates_nan_and_moments() -> None:
    frame = pl.DataFrame(
        {
            "mail": ["a@b", "nope", None, "c@d"], "day": [date(2024, 1, 1), date(2025, 1, 1), None, date(2024, 6, 1)],
            "x": [1.0, 2.0, math.nan, 6.0],
        }
    )  # fmt: skip
    found = by_rule(
        frame,
        columns={
            "mail": {"regex": "^.+@.+$", "type": "string"}, "day": {"max": "2024-12-31", "type": "date"},
            "x": {"max": 10, "mean": [2.9, 3.1], "std": [None, 2.0], "quantiles": {"0.5": [2.0, 2.0]}},
        },
        table={"rows_min": 5, "rows_max": 5, "extra_columns": False},
    )  # fmt: skip
    violated = {rule for rule, finding in found.items() if finding.violated}
    assert violated == {"mail.regex", "day.max", "x.max", "x.std", "table.rows_min"}
    assert found["day.max"].examples == [{"row": 1, "value": "2025-01-01"}]
    assert found["x.max"].examples == [{"row": 2, "value": "nan"}]


@pytest.mark.parametrize(
    ("config", "where", "text"),
    [
        ({"columns": {"text": {"min": 3}}}, "expect.columns.text.min", "does not compare"),
        ({"columns": {"day": {"max": "soon"}}}, "expect.columns.day.max", "not an ISO date"),
        ({"columns": {"small": {"regex": "a"}}}, "expect.columns.small.regex", "asks for text"),
        ({"columns": {"text": {"regex": "("}}}, "expect.columns.text.regex", "cannot be asked"),
        ({"columns": {"text": {"mean": [0, 1]}}}, "expect.columns.text", "ask for numbers"),
        ({"rows": [{"name": "r", "column": "smal", "op": "not_null"}]}, "expect.rows.0.column", "no column 'smal'"),
        ({"rows": [{"name": "r", "column": "small", "op": "<", "other": "text"}]}, "expect.rows.0", "cannot be asked"),
        ({"drift": {"psi_max": 0.1}}, "expect.drift", "need a reference profile"),
    ],
)
def test_a_rule_that_cannot_be_asked_says_where(config: dict[str, Any], where: str, text: str) -> None:
    with pytest.raises(StepError, match=text) as caught:
        by_rule(mixed(20), **config)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "config",
    [
        {"columns": {"x": {"severities": {"mn": "warn"}}}}, {"columns": {"x": {"quantiles": {"half": [0, 1]}}}},
        {"rows": [{"name": "r", "column": "x", "op": "<"}]},
        {"rows": [{"name": "r", "column": "x", "op": "<", "value": 1, "other": "y"}]},
        {"rows": [{"name": "r", "column": "x", "op": "in", "value": 1}]},
        {"rows": [{"name": "r", "column": "x", "op": "is_null", "value": 1}]},
    ],
)  # fmt: skip
def test_wrong_rules_are_refused_before_anything_runs(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ExpectConfig).validate_python({"kind": "rules", **config})


def test_inferred_rules_hold_on_their_table_and_read_back(tmp_path: Path) -> None:
    frame = adult()
    data = table(tmp_path / "t", frame[:30_000])
    run = expect(tmp_path / "run", data, option("infer"))
    assert run.summary["violated"] == 0
    text = run.outputs["report"].file("expectations.yaml").read_text()
    config = yaml.safe_load(text)
    assert set(config["columns"]["sex"]["allowed"]) == {"Female", "Male"}
    strange = frame[:100].with_columns(pl.lit("Other").alias("sex"), pl.col("age") + 200)
    with pytest.raises(StepError) as caught:
        expect(tmp_path / "bad", table(tmp_path / "t2", strange), config | {"on_violation": "fail"})
    assert "sex.allowed: 100 of 100" in caught.value.message
    assert "age.max: 100 of 100" in caught.value.message


def test_drift_against_a_reference_profile(tmp_path: Path) -> None:
    frame = pl.read_csv(shared("housing.csv"))
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=3)
    profile_config = {"profile": {"kind": "whylogs"}}
    data = {"table": table(tmp_path / "ref", shuffled[:10_000])}
    reference = run_step(PROFILE, profile_config, data, tmp_path / "profile").outputs["profile"]
    config = option("rules", drift={"psi_max": 0.1, "ks_max": 0.05})
    same = expect(tmp_path / "same", table(tmp_path / "a", shuffled[10_000:]), config, reference)
    assert same.summary["violated"] == 0
    moved = shuffled[10_000:].with_columns(pl.col("median_income") * 2, pl.lit("INLAND").alias("ocean_proximity"))
    with pytest.raises(StepError) as caught:
        expect(tmp_path / "moved", table(tmp_path / "b", moved), config, reference)
    assert "drift.median_income.psi" in caught.value.message
    assert "drift.median_income.ks" in caught.value.message
    assert "drift.ocean_proximity.psi" in caught.value.message
    assert "drift.latitude" not in caught.value.message
    inferred = expect(tmp_path / "infer", table(tmp_path / "c", moved), option("infer"), reference)
    assert inferred.summary["violated"] > 0  # rules of the reference, not of the table itself


def test_none_passes_the_table_on(tmp_path: Path) -> None:
    data = table(tmp_path / "t", mixed(50).drop("nothing"))
    run = expect(tmp_path / "run", data, option("none"))
    assert run.digest("table") == data.digest


def test_empty_table(tmp_path: Path) -> None:
    run = expect(tmp_path / "run", table(tmp_path / "t", pl.DataFrame({"x": np.empty(0)})), option("infer"))
    assert run.summary["violated"] == 0


@pytest.mark.parametrize("name", ["none", "rules", "infer", "adult", "housing"])
def test_every_option_validates_and_writes_out_its_keys(name: str) -> None:
    config = option(name)
    plain = TypeAdapter(ExpectConfig).validate_python(config).model_dump()
    assert set(config) == set(plain)
    assert {key: config[key] for key in config if key not in ("columns", "rows")} == {
        key: plain[key] for key in config if key not in ("columns", "rows")
    }
