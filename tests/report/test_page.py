"""The page: whole, self-contained, equal for equal inputs, showing what it was given and only that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.report.numbers import number
from mldlc.report.page import SECTIONS
from mldlc.report.spec import REPORT
from tests.report import artifacts
from tests.report.conftest import page_of
from tests.report.markup import Page
from tests.step_harness import StepRun

ALL = {key for key, _ in SECTIONS} | {"config", "lineage"}
Render = Callable[..., StepRun]
GIVES = {
    "profile": {"profile"}, "metrics": {"metrics", "slices"}, "history": {"training"}, "model": {"model"},
    "expectations": {"expectations"}, "selection": {"selection"}, "labels": {"labels"},
    "diagnose": {"diagnose"},
    "robustness": {"robustness"}, "xai": {"xai"}, "decision": {"decision"},
    "distillation": {"distillation"}, "timing": set(), "updates": {"updates"},
}  # fmt: skip
HOSTILE = """<script>alert('x')</script>"><img src=x onerror=alert(1)>&amp;\x00\x1b{{ 7*7 }}"""


def html(run: StepRun) -> str:
    return page_of(run).read_text("utf-8")


def test_it_is_well_formed_and_every_link_has_a_target(full: StepRun) -> None:
    page = Page(html(full))
    assert page.faults == []
    assert page.ids >= ALL
    targets = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
    assert targets == ALL


def test_it_loads_nothing(full: StepRun) -> None:
    text = html(full)
    for tag, attributes in Page(text).tags:
        assert tag not in ("iframe", "object", "embed", "img", "base"), tag
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert not re.match(r"(?!#|data:,)", attributes.get(name) or "#"), (tag, attributes)
    assert not re.search(r"https?://|@import|url\((?!#)", text)


def test_it_is_small(full: StepRun) -> None:
    size = page_of(full).stat().st_size
    assert size < 400_000
    assert full.summary == {"bytes": size, "sections": [k for k, _ in SECTIONS] + ["config", "lineage"]}


def test_equal_inputs_give_equal_bytes(inputs: dict[str, Artifact], render: Render, full: StepRun) -> None:
    again = render(inputs, lineage=artifacts.lineage())
    assert again.digest("report") == full.digest("report")


def test_every_port_of_the_spec_is_tried() -> None:
    assert set(REPORT.inputs) == set(GIVES)


@pytest.mark.parametrize("port", sorted(GIVES))
def test_a_section_appears_only_with_its_input(port: str, inputs: dict[str, Artifact], render: Render) -> None:
    run = render({port: inputs[port]})
    assert set(run.summary["sections"]) == GIVES[port]
    assert Page(html(run)).ids & ALL == GIVES[port]


def test_nothing_given_is_still_a_page(render: Render) -> None:
    page = Page(html(render({})))
    assert page.faults == []
    assert "Nothing was given to report on." in page.text


def test_a_study_that_was_left_out_has_no_section(render: Render, tmp_path: Any) -> None:
    none = {p: artifacts.save(tmp_path / p, "Metrics", f"{p}.json", {"format": f"mldlc.{p}/1", "kind": "none"})
            for p in ("labels", "diagnose", "robustness", "xai")}  # fmt: skip
    assert render(none).summary["sections"] == []


def test_it_shows_the_numbers_of_its_inputs(full: StepRun, inputs: dict[str, Artifact]) -> None:
    text = Page(html(full)).text
    metrics = inputs["metrics"].json("metrics.json")
    for part in ("train", "val", "test"):
        assert number(metrics["parts"][part]["auroc"]) in text
        assert f"{metrics['parts'][part]['n']:,} rows" in text
    gain = metrics["parts"]["test"]["accuracy"] - metrics["baseline"]["parts"]["test"]["accuracy"]
    assert f"+{gain:.4f}" in text
    facts = ["32,561 rows, 15 columns", "native_country", "Prof-specialty", "sklearn.linear_model:SGDClassifier"]
    facts += ["85 of 32,561 rows", "row 935: 99", "inside the bounds", "Overfits: try more data", "linear (logistic)"]
    facts += ["1,139 of 22,793 train rows (5", "is likely wrong; they are left out of the training", "4,711"]
    for fact in facts:
        assert fact in text, fact


def test_slices_come_worst_first(full: StepRun, inputs: dict[str, Artifact]) -> None:
    slices = inputs["metrics"].json("metrics.json")["slices"]
    expected = [s["slice"] for s in sorted(slices, key=lambda s: s["delta"]["auroc"])]
    body = html(full).partition('id="slice-rows"')[2].partition("</tbody>")[0]
    shown = re.findall(r'<td class="name">([^<]*)</td>', body)
    assert shown == expected
    assert len(shown) > 20


def test_lower_is_better_turns_the_slices_round(render: Render, tmp_path: Any) -> None:
    rows = [{"part": "test", "slice": f"a={i}", "rows": 10, "metrics": {"rmse": 2.0 + d}, "delta": {"rmse": d}}
            for i, d in enumerate((-1.0, 3.0, 0.5))]  # fmt: skip
    document = {"task": "regression", "primary": "rmse", "better": {"rmse": "lower"}, "slices": rows,
                "parts": {"test": {"n": 30, "rmse": 2.0}}}  # fmt: skip
    text = html(render({"metrics": artifacts.save(tmp_path / "m", "Metrics", "metrics.json", document)}))
    assert re.findall(r'<td class="name">([^<]*)</td>', text) == ["a=1", "a=2", "a=0"]
    assert "right of the middle is worse" in text


def test_config_and_lineage_show_every_key_and_digest(full: StepRun) -> None:
    text = html(full)
    page = Page(text)
    copied = {a["data-copy"] for tag, a in page.tags if tag == "button" and "data-copy" in a}
    for step in artifacts.lineage():
        assert {step["recipe"], step["key"], *step["outputs"].values()} <= copied
    assert "model.layers" in page.text
    assert "[256, 128]" in page.text


def test_inputs_known_by_digest_alone_find_their_step(render: Render, full: StepRun) -> None:
    bare = [
        {**step, "inputs": {p: {"": refs[0]["digest"]} for p, refs in step["inputs"].items()}}
        for step in artifacts.lineage()
    ]
    arrows = [
        [(a["data-from"], a["data-to"]) for _, a in Page(html(run)).tags if "data-from" in a]
        for run in (render({}, lineage=bare), full)
    ]
    assert arrows[0] == arrows[1]
    assert len(arrows[0]) > 20


def test_hostile_names_are_text(render: Render, tmp_path: Any) -> None:
    evil = HOSTILE
    columns = [
        {"name": evil, "dtype": evil, "role": evil, "count": 2, "nulls": 1, "distinct": 1, "top": [[evil, 2]]},
        {"name": f"n{evil}", "dtype": "f", "count": 2, "nulls": 0, "histogram": {"edges": [0, 1], "counts": [2]}},
    ]
    part = {"n": 3, "accuracy": 0.5, evil: 0.1}
    documents = {
        "profile": ("Profile", "summary.json", {"rows": 3, "columns": columns, "parts": {evil: {"columns": columns}}}),
        "metrics": ("Metrics", "metrics.json", {
            "task": evil, "better": {evil: "higher"}, "parts": {evil: part},
            "baseline": {"kind": evil, "parts": {evil: part}},
            "slices": [{"part": evil, "slice": evil, "rows": 3, "metrics": part, "delta": {"accuracy": -0.1}}],
            "curves": {evil: {"confusion": {"labels": [evil, "b"], "matrix": [[1, 2], [3, 4]]},
                              "roc": [[0, 0], [1, 1]]}},
        }),
        "history": ("Metrics", "history.json", {"epochs": [{"epoch": 1, f"val_{evil}": 1.0}], "monitor": evil}),
        "model": ("Model", "model.json", {"target": evil, "args": {evil: evil}, "objective": {"kind": evil}}),
        "xai": ("Metrics", "xai.json", {"importance": [{"input": evil, "mean": 0.1}, {"input": "b", "mean": 0.2}]}),
        "labels": ("Metrics", "labels.json", {"kind": evil, "found": 1, "rows": 2, "thresholds": {evil: 0.5}}),
        "diagnose": ("Metrics", "diagnose.json", {"bias_variance": {"advice": [evil], "metric": evil}}),
    }  # fmt: skip
    given = {port: artifacts.save(tmp_path / port, *item) for port, item in documents.items()}
    step = {"id": evil, "stage": evil, "kind": evil, "recipe": evil, "key": evil, "config": {evil: {evil: evil}},
            "inputs": {evil: [{"step": evil, "port": evil, "digest": evil}]}, "outputs": {evil: evil}}  # fmt: skip
    project = {"name": "evil", "title": evil, "description": evil, "problem": evil, "owners": [evil]}
    plain, found = Page(html(render({}))), Page(html(render(given, lineage=[step], project=project)))
    assert found.faults == []
    assert found.scripts == plain.scripts
    assert not [t for t, a in found.tags if t == "img" or any(k.startswith("on") for k in a)]
    assert "<script>alert('x')</script>" in found.text
    assert "{{ 7*7 }}" in found.text
    assert "49" not in found.text


def test_documents_with_gaps_do_not_break_it(render: Render, tmp_path: Any) -> None:
    documents: dict[str, tuple[str, str, Any]] = {
        "profile": (
            "Profile",
            "summary.json",
            {"columns": [{"name": "a"}, {"histogram": {"edges": [1]}}]},
        ),
        "metrics": ("Metrics", "metrics.json", {"parts": {"test": {"accuracy": None}}, "slices": [{"value": 1}]}),
        "history": ("Metrics", "history.json", {"epochs": [{"epoch": 1}, {"epoch": 2, "val_loss": 0.5}]}),
        "model": ("Model", "model.json", {"target": "x:Y"}),
        "selection": ("Decision", "selection.json", {}),
        "xai": ("Metrics", "xai.json", {"importance": []}),
    }
    run = render({port: artifacts.save(tmp_path / port, *item) for port, item in documents.items()})
    assert Page(html(run)).faults == []
    assert run.summary["sections"] == ["metrics", "slices", "training", "model", "profile"]


def test_the_summary_is_small_json(full: StepRun) -> None:
    assert len(json.dumps(full.summary)) < 400
