"""The main job, made again from its pins: every artifact, the trained model included, has the same digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Job


@pytest.mark.slow
def test_housing_is_reproduced_digest_by_digest(housing: Job, tmp_path: Path) -> None:
    run = str(housing.summary["run"])
    done = housing.repo.mldlc("reproduce", run, "--json", env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    seen = {f"{row['step']}.{row['port']}": row["verdict"] for row in rows if row.get("type") == "comparison"}
    assert {"collect.table", "prepare.table", "train.model", "evaluate.metrics", "report.report"} <= set(seen)
    assert set(seen.values()) == {"equal"} and rows[-1]["left_out"] == {}
    assert list(tmp_path.glob("mldlc-*")) == []


@pytest.mark.slow
def test_the_model_leads_back_to_the_rows(housing: Job) -> None:
    done = housing.repo.mldlc("lineage", f"{housing.summary['run']}:train", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    actions = {row["stage"]: row for row in rows if row.get("type") == "action"}
    assert {"collect", "split", "prepare", "train"} <= set(actions)
    assert any("housing" in source["name"] for source in actions["collect"]["sources"])
    assert "torch" in actions["train"]["packages"] and rows[-1]["missing"] == []
    tables = [row for row in rows if row.get("artifact_type") == "Table"]
    assert all(row["rows"] == {"rows": 20640} for row in tables)
    events = (housing.repo.root / "outputs" / "runs" / str(housing.summary["run"]) / "openlineage.jsonl").read_text()
    ends = {e["job"]["name"]: e for e in map(json.loads, events.splitlines()) if e["eventType"] == "COMPLETE"}
    (table,) = [item for item in ends["housing.collect"]["outputs"] if item["name"] == "collect.table"]
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 20640
    assert len(table["facets"]["schema"]["fields"]) > 5
