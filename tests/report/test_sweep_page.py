"""The page of a sweep: what it shows of a comparison, well formed, escaped, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mldlc.report.charts.parallel import Path as Curve
from mldlc.report.charts.parallel import parallel
from mldlc.report.spec import SWEEP
from tests.report import artifacts
from tests.report.markup import Page
from tests.step_harness import StepRun, run_step

PROJECT = {"name": "swept", "title": "Swept <b>", "description": "", "problem": "", "owners": []}


def point(overrides: dict[str, str], val: float | None, test: float = 0.5) -> dict[str, Any]:
    label = ",".join(f"{key}={value}" for key, value in overrides.items()) or "base"
    parts = {"val": {"auroc": val}, "test": {"auroc": test}}
    return {"point": label, "overrides": overrides, "value": val, "parts": parts}


def comparison(points: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    order = [p["point"] for p in sorted(points, key=lambda p: -(p["value"] or -1.0))]
    keys = sorted({key for p in points for key in p["overrides"]})
    values = [{"value": "0.1", "mean": 0.7, "points": 2}, {"value": "as configured", "mean": 0.6, "points": 1}]
    return {
        "format": "mldlc.comparison/1", "metric": "auroc", "mode": "max", "part": "val", "keys": keys, "best": order[0],
        "order": order, "points": points, "work": None,
        "importance": [{"key": key, "share": 0.5 / (n + 1), "values": values} for n, key in enumerate(keys)],
    } | changes  # fmt: skip


def render(folder: Path, found: dict[str, Any], **more: Any) -> tuple[StepRun, Page, str]:
    given = {"comparison": artifacts.save(folder / "c", "Metrics", "comparison.json", found), **more}
    done = run_step(SWEEP, {"project": PROJECT}, given, folder / "page")
    html = done.outputs["report"].file("report.html").read_text()
    return done, Page(html), html


GRID = [point({"lr": lr, "model": model}, 0.6 + float(lr) + 0.01 * len(model), 0.55)
        for lr in ("0.1", "0.2") for model in ("cnn", "mlp<i>")]  # fmt: skip


def test_the_page_shows_points_best_importance_and_table(tmp_path: Path) -> None:
    decision = artifacts.save(tmp_path / "d", "Decision", "decision.json", {"why": "because <it>"})
    ensemble = {"parts": {"val": {"auroc": 0.91}, "test": {"auroc": 0.9}}, "members": ["a", "b"]}
    more = {"decision": decision, "ensemble": artifacts.save(tmp_path / "e", "Metrics", "metrics.json", ensemble)}
    done, page, html = render(tmp_path, comparison(GRID), **more)
    assert page.faults == [] and done.summary["points"] == 4
    assert {"best", "points", "importance", "table"} <= page.ids and "work" not in page.ids
    assert "mlp<i>" in page.text and "mlp<i>" not in html and "because <it>" in page.text
    assert "Mean of the best 2, val 0.9100 test 0.9000" in page.text
    assert "first-order effect of functional ANOVA" in page.text
    rows = [attributes for tag, attributes in page.tags if tag == "td" and attributes.get("data-value")]
    assert [row["data-value"] for row in rows][0::3] == ["1", "2", "3", "4"]
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(str(link).startswith(("#", "data:")) for link in links)
    again = render(tmp_path / "again", comparison(GRID), **more)[0]
    assert again.digest("report") == done.digest("report")


def test_data_work_the_learning_curve_and_many_keys(tmp_path: Path) -> None:
    points = [point({}, 0.8), *(point({"split.learn": s}, 0.7 + float(s) / 10) for s in ("0.25", "0.5")),
              *(point({f"prepare.k{n}": "1"}, 0.75) for n in range(8)), point({"seed": "1"}, None)]  # fmt: skip
    row = {
        "name": "data",
        "points": 10,
        "best": 0.75,
        "gain": -0.05,
        "per_point": -0.005,
        "test_gain": None,
        "point": "p",
    }
    _, page, _ = render(tmp_path, comparison(points, work={"base": 0.8, "rows": [row]}))
    assert page.faults == [] and "work" in page.ids
    assert "Learning curve" in page.text and "−0.0500" in page.text
    assert "changes" in page.text and "prepare.k7=1" in page.text


@pytest.mark.parametrize("points", [[point({}, 0.8)], [point({"a": "1"}, 0.5), point({"a": "2"}, None)]])
def test_a_sweep_of_one_value_has_a_page(tmp_path: Path, points: list[dict[str, Any]]) -> None:
    _, page, _ = render(tmp_path, comparison(points, importance=[]))
    assert page.faults == [] and "importance" not in page.ids


def test_lines_of_parallel_coordinates_go_through_every_axis() -> None:
    paths = [Curve({"a": "10", "b": "x"}, 1.0, 0, "one"), Curve({"a": "9"}, 2.0, 9, "two")]
    drawn = [attributes for tag, attributes in Page(str(parallel("t", ["a", "b"], "m", paths, "-"))).tags
             if tag == "path" and str(attributes.get("class")).startswith("line")]  # fmt: skip
    assert len(drawn) == 2 and all(str(attributes["d"]).count("L") == 2 for attributes in drawn)
    heights = [[float(pair.split()[1]) for pair in str(a["d"])[1:].split("L")] for a in drawn]
    assert heights[1][0] < heights[0][0]  # ten above nine: numbers, not texts; the best is drawn last
    assert heights[0][1] > heights[1][1]  # what is left as configured lies lowest
