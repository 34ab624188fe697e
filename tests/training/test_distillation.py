"""Teachers, lessons and students: equal bytes, what the loss listens to, exact resume, and clear errors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional as F

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.lessons import load_lessons
from mldlc.artifacts.model import load_model
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table, write_json
from mldlc.artifacts.tensors import load_tensors
from mldlc.compiler.typed import type_stage
from mldlc.evaluation.seeds import mean_interval
from mldlc.evaluation.spec import DISTILLATION, SEEDS
from mldlc.plan.context import StepError
from mldlc.training.distill_config import Distill, EarlierModel
from mldlc.training.distillation import scheduled
from mldlc.training.spec import DISTILL, RECALL, STRATEGIES, TEACH, TRAIN
from tests.evaluation.study import option
from tests.ranked_step import run_ranked
from tests.step_harness import StepRun, artifact, run_step
from tests.training import ranked, tables

LESSONS = {"hidden": None, "batch_size": 500}


def distill(kind: str = "logits", **keys: Any) -> dict[str, Any]:
    return {"kind": kind, **keys} | ({"lessons": {"hidden": "auto"}} if kind == "features" else {})


def train(inputs: dict[str, Artifact], folder: Path, **groups: Any) -> Artifact:
    return run_step(TRAIN, tables.config(**groups), inputs, folder, threads=1).outputs["model"]


def teach(inputs: dict[str, Artifact], folder: Path, teachers: dict[str, Artifact], **keys: Any) -> Artifact:
    ports = {"teachers": teachers, "table": inputs["table"]}
    return run_step(TEACH, {"lessons": LESSONS | keys}, ports, folder).outputs["lessons"]


def learn(inputs: dict[str, Artifact], lessons: Artifact, folder: Path, how: dict[str, Any], **groups: Any) -> StepRun:
    groups = {"model": {"layers": [4]}} | groups
    return run_step(
        DISTILL, tables.config(**groups) | {"distill": how}, {**inputs, "lessons": lessons}, folder, threads=1
    )


def probability(model: Artifact, inputs: dict[str, Artifact]) -> np.ndarray:
    data, rows = load_tensors(Table(inputs["table"])), Split(inputs["split"]).rows("test")
    return load_model(model).predict(data.numeric[rows], data.categorical[rows])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Rows of two classes, a teacher and its lessons with a hidden layer."""
    root = tmp_path_factory.mktemp("two")
    inputs = tables.blobs(root / "in", rows=1500)
    teacher = train(inputs, root / "teacher", trainer={"max_epochs": 5})
    return {
        "inputs": inputs,
        "teacher": teacher,
        "lessons": teach(inputs, root / "lessons", {"teacher": teacher}, hidden="auto"),
    }


def test_lessons_are_what_the_teacher_says(two: dict[str, Any], tmp_path: Path) -> None:
    lessons, data = load_lessons(two["lessons"]), load_tensors(Table(two["inputs"]["table"]))
    assert lessons.outputs.shape == (1500, 1, 1) and lessons.hidden is not None and lessons.hidden.shape == (1500, 16)
    said = torch.sigmoid(lessons.outputs[:, 0, 0].double()).numpy()
    own = load_model(two["teacher"]).predict(data.numeric, data.categorical)
    np.testing.assert_allclose(said, own, rtol=1e-5)
    assert (
        teach(two["inputs"], tmp_path / "a", {"teacher": two["teacher"]}, hidden="auto").digest == two["lessons"].digest
    )


@pytest.mark.parametrize("kind", ["logits", "features"])
def test_twice_gives_equal_bytes(two: dict[str, Any], tmp_path: Path, kind: str) -> None:
    runs = [learn(two["inputs"], two["lessons"], tmp_path / name, distill(kind)) for name in "ab"]
    assert runs[0].digest("model") == runs[1].digest("model") and runs[0].digest("history") == runs[1].digest("history")
    assert 0 <= runs[0].summary["data_wait"] <= 1
    names = load_model(runs[0].outputs["model"]).module.state_dict()
    assert not [name for name in names if "projection" in name]


def test_a_student_of_no_teacher_weight_is_its_twin(two: dict[str, Any], tmp_path: Path) -> None:
    alone = learn(two["inputs"], two["lessons"], tmp_path / "a", distill(weight=0.0)).outputs["model"]
    twin = train(two["inputs"], tmp_path / "b", model={"layers": [4]})
    assert alone.file("model.safetensors").read_bytes() == twin.file("model.safetensors").read_bytes()


def test_a_student_follows_its_teacher_against_the_label(tmp_path: Path) -> None:
    """A teacher of the reversed label: the more its word counts, the more the student says the opposite."""
    inputs = tables.blobs(tmp_path / "in", rows=1500)
    wrong = tables.blobs(tmp_path / "wrong", rows=1500)
    table = Table(wrong["table"])
    frame = table.load()
    folder = tmp_path / "turned"
    turned = tables.prepared(
        folder, frame["numeric"].to_numpy(), frame["categorical"].to_numpy(), 1 - frame["label"].to_numpy(),
        {"kind": "class", "classes": ["k0", "k1"]}, cardinalities=[2, 4],
    )  # fmt: skip
    lessons = teach(inputs, tmp_path / "l", {"t": train(turned, tmp_path / "t", trainer={"max_epochs": 8})})
    label = load_tensors(Table(inputs["table"])).label[Split(inputs["split"]).rows("test")] == 1
    plain: dict[str, Any] = {"callbacks": {"early_stopping": None, "checkpoint": None}, "trainer": {"max_epochs": 8}}
    plain["optimizer"] = {"scheduler": {"kind": "none"}}
    found = {}
    for begin, end in ((0.0, None), (1.0, None), (1.0, 0.0), (0.0, 1.0)):
        how = distill(weight=begin, schedule={"kind": "constant" if end is None else "linear", "final_weight": end})
        plain["trainer"] = {"max_epochs": 8 if end is None else 30}
        student = learn(inputs, lessons, tmp_path / f"s{begin}{end}", how, **plain).outputs["model"]
        found[begin, end] = float(((probability(student, inputs) > 0.5) == label).mean())
    assert found[0.0, None] > 0.8 and found[1.0, None] < 0.2
    assert found[1.0, 0.0] > 0.7 and found[0.0, 1.0] < 0.3, found  # a schedule ends where it says


def test_the_soft_loss_is_hintons(two: dict[str, Any]) -> None:
    """Of two teachers and three classes: T^2 times the cross entropy of the mean softened opinion."""
    from mldlc.training.distillation import DistilledModule

    torch.manual_seed(0)
    raw, said, shares = torch.randn(5, 3), torch.randn(5, 2, 3), torch.tensor([0.25, 0.75])
    fake = SimpleNamespace(objective=SimpleNamespace(kind="multiclass"), shares=shares)
    found = DistilledModule._soft(fake, raw, said, 3.0)  # type: ignore[arg-type]
    mean = 0.25 * F.softmax(said[:, 0] / 3, 1) + 0.75 * F.softmax(said[:, 1] / 3, 1)
    wanted = 9 * -(mean * F.log_softmax(raw / 3, 1)).sum(1).mean()
    assert found == pytest.approx(float(wanted), rel=1e-5)
    pair, logit = torch.randn(5, 2, 1), torch.randn(5)
    fake = SimpleNamespace(objective=SimpleNamespace(kind="binary"), shares=shares)
    both = torch.stack([torch.zeros(5), logit], 1)
    twice = torch.cat([torch.zeros(5, 2, 1), pair], dim=2)
    other = SimpleNamespace(objective=SimpleNamespace(kind="multiclass"), shares=shares)
    assert DistilledModule._soft(fake, logit, pair, 2.0) == pytest.approx(  # type: ignore[arg-type]
        float(DistilledModule._soft(other, both, twice, 2.0)), rel=1e-5  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "rows"), [("classes", 3), ("number", 0)])
def test_several_classes_numbers_and_ensembles(tmp_path: Path, kind: str, rows: int) -> None:
    inputs = (
        tables.blobs(tmp_path / "in", rows=900, classes=3)
        if kind == "classes"
        else tables.line(tmp_path / "in", rows=900)
    )
    teachers = {f"t{n}": train(inputs, tmp_path / f"t{n}", trainer={"seed": n}) for n in range(2)}
    lessons = teach(inputs, tmp_path / "l", teachers)
    how = distill("ensemble", weight=1.0, weights=[1.0, 3.0])
    student = learn(inputs, lessons, tmp_path / "s", how, trainer={"max_epochs": 20}, model={"layers": [8]})
    data = load_tensors(Table(inputs["table"]))
    mine = load_model(student.outputs["model"]).predict(data.numeric, data.categorical)
    theirs = np.average(
        [load_model(t).predict(data.numeric, data.categorical) for t in teachers.values()], axis=0, weights=[1, 3]
    )
    assert np.abs(mine - theirs).mean() < 0.25 * theirs.std()


def test_schedules_move_weight_and_temperature() -> None:
    how = TypeAdapter(Distill).validate_python(
        distill(weight=0.8, temperature=4.0, schedule={"kind": "linear", "final_weight": 0.2, "final_temperature": 1.0})
    )
    assert scheduled(how, 0, 11) == (0.8, 4.0)
    assert scheduled(how, 5, 11) == (pytest.approx(0.5), pytest.approx(2.5))
    assert scheduled(how, 10, 11) == (pytest.approx(0.2), pytest.approx(1.0)) == scheduled(how, 99, 11)
    for wrong in (
        {"schedule": {"kind": "linear"}},
        {"schedule": {"final_weight": 0.1}},
        {"temperature": 0.0},
        {"weight": 1.1},
    ):
        with pytest.raises(ValidationError):
            TypeAdapter(Distill).validate_python(distill(**wrong))


def test_references_of_earlier_models() -> None:
    found = TypeAdapter(EarlierModel).validate_python(
        ["20261126T012902Z-ec788b", "20261126T012902Z-ec788b:teacher", "models/old"]
    )
    assert found.refs == ["run://20261126T012902Z-ec788b/train", "run://20261126T012902Z-ec788b/teacher", "models/old"]
    with pytest.raises(ValidationError, match="latest"):
        TypeAdapter(EarlierModel).validate_python("latest:train")


def test_recall_takes_models_from_folders(two: dict[str, Any], tmp_path: Path) -> None:
    folder = str(two["teacher"].file("model.json").parent)
    source = {
        "name": "old",
        "uri": f"file:{folder}",
        "paths": tuple(f"{folder}/{name}" for name in two["teacher"].files),
    }
    run = run_step(RECALL, {"earlier": folder}, {}, tmp_path / "a", sources=(source,))
    assert run.digest("model") == two["teacher"].digest
    bad = tmp_path / "bad"
    bad.mkdir()
    write_json(bad / "model.json", {"format": "other"})
    (bad / "model.safetensors").write_bytes(b"")
    paths = tuple(f"{bad}/{name}" for name in two["teacher"].files)
    with pytest.raises(StepError, match="no mldlc"):
        run_step(
            RECALL,
            {"earlier": str(bad)},
            {},
            tmp_path / "b",
            sources=({"name": "bad", "uri": "file:bad", "paths": paths},),
        )


def carded(folder: Path, model: Artifact, **changes: Any) -> Artifact:
    """The same weights with another card."""
    folder.mkdir()
    card = model.json("model.json")
    for path, value in changes.items():
        block, _, key = path.partition("__")
        card[block] = card[block] | {key: value}
    write_json(folder / "model.json", card)
    (folder / "model.safetensors").write_bytes(model.file("model.safetensors").read_bytes())
    return artifact("Model", folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective__classes": ["a", "b"]}, "knows the classes a, b, the label has k0, k1"),
        ({"features__numeric": ["n0", "n1", "n2", "n3", "n4", "x"]}, "it wants x; it lacks n5"),
        ({"features__numeric": ["n1", "n0", "n2", "n3", "n4", "n5"]}, "in another order"),
        ({"features__categorical": [{"name": "c0", "cardinality": 9}, {"name": "c1", "cardinality": 4}]}, "'c0' has 9 categories"),
        ({"features__preprocessor": "other"}, "another preprocessor"),
    ],
)  # fmt: skip
def test_a_teacher_that_does_not_fit_is_named(
    two: dict[str, Any], tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(StepError, match=words) as error:
        teach(two["inputs"], tmp_path / "l", {"old": carded(tmp_path / "t", two["teacher"], **change)})
    assert error.value.where == "distill.teacher"


def test_other_mistakes_are_named(two: dict[str, Any], tmp_path: Path) -> None:
    inputs, teacher = two["inputs"], two["teacher"]
    linear = train(inputs, tmp_path / "linear", model={"kind": "linear"})
    pair = {"a": teacher, "b": linear}
    both = teach(inputs, tmp_path / "both", pair)
    cases = [
        (lambda p: teach(inputs, p, {"t": linear}, hidden="auto"), "a TabularLinear, has no hidden layer"),
        (lambda p: teach(inputs, p, {"t": teacher}, hidden="bodi"), "did you mean 'body'"),
        (lambda p: teach(inputs, p, pair, hidden="auto"), "of one teacher, but there are 2"),
        (lambda p: learn(inputs, two["lessons"], p, distill("features"), model={"kind": "linear"}), "the student, a TabularLinear"),
        (lambda p: learn(inputs, both, p, distill()), "distill=logits has one teacher, but there are 2: a, b"),
        (lambda p: learn(inputs, two["lessons"], p, distill("ensemble")), "only 'teacher'"),
        (lambda p: learn(inputs, both, p, distill("ensemble", weights=[1.0])), "1 weights for 2 teachers"),
        (lambda p: learn(tables.line(p / "in", rows=1500), two["lessons"], p, distill()), "of a binary task"),
    ]  # fmt: skip
    for number, (call, words) in enumerate(cases):
        with pytest.raises(StepError) as error:
            call(tmp_path / f"case{number}")
        assert words in f"{error.value.message} {error.value.hint}"


ALL = bool(os.environ.get("MLDLC_TEST_ALL"))


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("kind", ["logits", "ensemble"] if ALL else ["ensemble"])
@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"single"}) if ALL else ["pipeline"])
def test_a_student_on_ranks_equals_one_in_one_process(
    strategy: str, kind: str, two: dict[str, Any], tmp_path: Path
) -> None:
    if strategy.startswith("deepspeed"):
        pytest.importorskip("deepspeed")
    teachers = {"a": two["teacher"]} if kind == "logits" else {"a": two["teacher"], "b": two["teacher"]}
    lessons = teach(two["inputs"], tmp_path / "lessons", teachers)
    how = distill(kind, weight=0.7, schedule={"kind": "linear", "final_weight": 0.2, "final_temperature": 1.0})
    groups: dict[str, Any] = {"model": {"layers": [8, 8], "dropout": 0.0}}
    single = learn(two["inputs"], lessons, tmp_path / "single", how, **groups)
    config = ranked.config(strategy, **groups | {"trainer": {"max_epochs": 3}}) | {"distill": how}
    run = ranked.ran(run_ranked(DISTILL, config, two["inputs"] | {"lessons": lessons}, tmp_path / "ranks"))
    ranked.assert_equal_within(run, single)


def test_the_plan_refuses_hidden_layers_on_several_devices() -> None:
    def planned(**trainer: Any) -> Any:
        config = tables.config(trainer=trainer) | {"distill": distill("features")}
        return type_stage(DISTILL, config, Path())

    for trainer in ({}, {"strategy": "auto"}):
        assert planned(**trainer)[1] == {}
    for trainer in ({"strategy": "pipeline", "devices": 2}, {"strategy": "auto", "devices": 2}):
        stage, errors = planned(**trainer)
        assert stage is None and list(errors) == ["trainer"]
        [told] = errors["trainer"]
        assert told.path == "strategy" and told.found == trainer["strategy"] and "distill=logits" in told.hint


def test_the_comparison_and_the_seeds(two: dict[str, Any], tmp_path: Path) -> None:
    inputs = two["inputs"]
    reports = {}
    for seed in (0, 1):
        student = learn(inputs, two["lessons"], tmp_path / f"s{seed}", distill(), trainer={"seed": seed}).outputs[
            "model"
        ]
        twin = train(inputs, tmp_path / f"w{seed}", model={"layers": [4]}, trainer={"seed": seed})
        ports = {"teachers": {"teacher": two["teacher"]}, "student": student, "twin": twin, **inputs}
        made = [
            run_step(DISTILLATION, {"evaluate": option("evaluate", "standard")}, ports, tmp_path / f"d{seed}{n}")
            for n in "ab"
        ]
        assert made[0].digest("report") == made[1].digest("report")
        reports[f"seed={seed}"] = made[0].outputs["report"]
        found = made[0].outputs["report"].json("distillation.json")
        values = {name: item["value"] for name, item in found["models"].items()}
        assert found["gain"]["value"] == pytest.approx(values["student"] - values["twin"])
        assert found["gain"]["interval"][0] <= found["gain"]["value"] <= found["gain"]["interval"][1]
        assert found["models"]["student"]["parameters"] < found["models"]["teacher"]["parameters"]
        times = made[0].outputs["timing"].json("timing.json")["models"]
        assert set(times) == {"teacher", "student", "twin"} and all(
            item["seconds_per_row"] > 0 for item in times.values()
        )
    seeds = run_step(SEEDS, {}, {"reports": reports}, tmp_path / "seeds").outputs["report"].json("seeds.json")
    gains = [point["gain"] for point in seeds["points"]]
    assert seeds["means"]["gain"]["mean"] == pytest.approx(np.mean(gains)) and seeds["wins"] == sum(
        g > 0 for g in gains
    )
    assert mean_interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(
        {"mean": 3.0, "low": 3 - 1.9634, "high": 3 + 1.9634}, rel=1e-3
    )
    assert json.dumps(seeds)
