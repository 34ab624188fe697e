"""The profile step on real tables, against facts counted by the csv module; parts of a split; none."""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from whylogs.core.view.dataset_profile_view import DatasetProfileView

from mldlc.artifacts.split import write_split
from mldlc.plan.artifact import Split
from mldlc.plan.context import StepError
from mldlc.profile.spec import PROFILE
from tests.profile.frames import ADULT, adult, adult_rows, mixed, table
from tests.shared_data import shared
from tests.step_harness import Artifact, StepRun, artifact, run_step

CONF = Path(__file__).parents[2] / "conf" / "profile"


def profile(
    folder: Path, data: Artifact, split: Artifact | None = None, option: str = "whylogs", **changes: object
) -> StepRun:
    config = yaml.safe_load((CONF / f"{option}.yaml").read_text()) | changes
    return run_step(PROFILE, {"profile": config}, {"table": data, "split": split}, folder)


def columns(run: StepRun, part: str = "") -> dict[str, dict]:
    summary = run.outputs["profile"].json("summary.json")
    return {column["name"]: column for column in (summary["parts"][part] if part else summary)["columns"]}


def test_adult_facts(tmp_path: Path) -> None:
    rows, frame = adult_rows(), adult()
    found = columns(profile(tmp_path / "run", table(tmp_path / "t", frame)))
    ages = [int(row[0]) for row in rows]
    assert found["age"]["mean"] == pytest.approx(statistics.fmean(ages), rel=1e-12)
    assert found["age"]["std"] == pytest.approx(statistics.stdev(ages), rel=1e-9)
    assert (found["age"]["min"], found["age"]["max"]) == (min(ages), max(ages))
    assert found["age"]["quantiles"]["0.5"] == statistics.median_low(ages)
    jobs = Counter(row[ADULT.index("workclass")] for row in rows)
    assert found["workclass"]["nulls"] == jobs.pop("?")
    assert found["workclass"]["top"] == [list(item) for item in sorted(jobs.items(), key=lambda i: (-i[1], i[0]))]
    weights = {row[2] for row in rows}
    assert (found["fnlwgt"]["distinct"], found["fnlwgt"]["distinct_exact"]) == (len(weights), True)


def test_housing_facts(tmp_path: Path) -> None:
    path = shared("housing.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    frame = pl.read_csv(path)
    run = profile(tmp_path / "run", table(tmp_path / "t", frame[:7000], frame[7000:]), batch_rows=3000)
    found = columns(run)
    bedrooms = sorted(float(row["total_bedrooms"]) for row in rows if row["total_bedrooms"])
    assert found["total_bedrooms"]["nulls"] == len(rows) - len(bedrooms) == 207
    assert found["total_bedrooms"]["quantiles"]["0.95"] == bedrooms[int(np.ceil(0.95 * len(bedrooms))) - 1]
    incomes = [float(row["median_income"]) for row in rows]
    hist = found["median_income"]["histogram"]
    assert hist["counts"] == np.histogram(incomes, hist["edges"])[0].tolist()
    assert found["median_income"]["mean"] == pytest.approx(statistics.fmean(incomes), rel=1e-12)
    assert found["median_income"]["std"] == pytest.approx(statistics.stdev(incomes), rel=1e-9)
    assert run.summary == {"rows": len(rows), "columns": 10, "nulls": 207}


def test_parts_of_a_split(tmp_path: Path) -> None:
    frame = adult()
    codes = np.random.default_rng(0).integers(0, 3, frame.height).astype(np.uint8)
    (tmp_path / "s").mkdir()
    write_split(tmp_path / "s", ("train", "val", "test"), [("p0", codes[:9000]), ("p1", codes[9000:])])
    data, split = table(tmp_path / "t", frame[:9000], frame[9000:]), artifact(Split.name, tmp_path / "s")
    run = profile(tmp_path / "run", data, split)
    whole = columns(run)
    for code, part in enumerate(("train", "val", "test")):
        alone = profile(tmp_path / part, table(tmp_path / f"t-{part}", frame.filter(pl.Series(codes == code))))
        for name, facts in columns(run, part).items():
            same = columns(alone)[name]
            for key in ("count", "nulls", "distinct", "min", "max", "top", "quantiles"):
                assert facts.get(key) == same.get(key), (part, name, key)
        view = DatasetProfileView.read(str(run.outputs["profile"].file(f"part.{part}.bin")))
        assert view.get_column("age").to_summary_dict()["counts/n"] == int((codes == code).sum())
    unsplit = columns(profile(tmp_path / "unsplit", data))
    for name, facts in whole.items():
        parts = [columns(run, part)[name] for part in ("train", "val", "test")]
        assert facts["count"] == sum(part["count"] for part in parts)
        if "histogram" in facts:
            counts = np.sum([part["histogram"]["counts"] for part in parts], axis=0)
            assert counts.tolist() == facts["histogram"]["counts"]
        for key in ("count", "nulls", "distinct", "min", "max", "top", "quantiles", "histogram"):
            assert facts.get(key) == unsplit[name].get(key), (name, key)


def test_a_split_of_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    write_split(tmp_path / "s", ("train",), [("p0", np.zeros(3, np.uint8))])
    with pytest.raises(StepError, match="the split has 3 rows, the table has 10"):
        profile(tmp_path / "run", table(tmp_path / "t", mixed(10)), artifact(Split.name, tmp_path / "s"))


def test_equal_tables_give_equal_artifacts(tmp_path: Path) -> None:
    data = table(tmp_path / "t", mixed(3000, 1), mixed(2000, 2))
    assert profile(tmp_path / "a", data).digest("profile") == profile(tmp_path / "b", data).digest("profile")


def test_none_keeps_names_and_counts_only(tmp_path: Path) -> None:
    run = profile(tmp_path / "run", table(tmp_path / "t", mixed(10)), option="none")
    assert sorted(run.outputs["profile"].files) == ["summary.json"]
    assert run.outputs["profile"].json("summary.json")["rows"] == 10
    assert set(columns(run)["small"]) == {"name", "dtype", "role"}


@pytest.mark.parametrize("option", ["whylogs", "none"])
def test_every_option_writes_out_its_keys(option: str) -> None:
    from pydantic import TypeAdapter

    from mldlc.profile.config import ProfileConfig

    config = yaml.safe_load((CONF / f"{option}.yaml").read_text())
    assert TypeAdapter(ProfileConfig).validate_python(config).model_dump() == config
