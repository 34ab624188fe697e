"""Streams: what is told before it is learnt, guards that reject and roll back, kill -9 at any batch, clear errors."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import load_model
from mldlc.artifacts.split import Split, write_split
from mldlc.artifacts.table import Table, write_json
from mldlc.artifacts.tensors import load_tensors
from mldlc.artifacts.told import read_told
from mldlc.plan.context import Cancelled, StepError
from mldlc.training.learner import replayed
from mldlc.training.prequential import scored
from mldlc.training.spec import TRAIN, UPDATE
from tests.step_harness import HarnessContext, StepRun, artifact, run_step
from tests.thorough import ALL
from tests.training import tables
from tests.training.test_distillation import carded

ONLINE = {"kind": "online", "batch_size": 16, "snapshot_every": 10, "windows": 8}
BATCH = {"kind": "batch", "batch_size": 100, "epochs": 3, "replay": 0.3, "rate": 1.0, "windows": 8}


def stream(folder: Path, turned: bool | list[int] = False, rows: int = 1200) -> dict[str, Artifact]:
    """Rows in time order, the first half train and val. turned: rows (True: the second half) whose labels are reversed."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, rows)
    numeric = rng.normal(size=(rows, 3)) + 1.2 * np.where(label, 1, -1)[:, None]
    categorical = (label + (rng.random(rows) < 0.3))[:, None] % 2 + 2
    half = rows // 2
    label[half:] = 1 - label[half:] if turned is True else label[half:]
    if isinstance(turned, list):
        label[turned] = 1 - label[turned]
    made = tables.prepared(
        folder, numeric, categorical, label, {"kind": "class", "classes": ["k0", "k1"]}, cardinalities=[4]
    )
    split = folder / "order"
    split.mkdir()
    codes = np.full(rows, 2, np.uint8)
    codes[: half - 200], codes[half - 200 : half] = 0, 1
    write_split(split, ("train", "val", "test"), [("all", codes)])
    return {"table": made["table"], "split": artifact("Split", split)}


def config(update: dict[str, Any], **groups: Any) -> dict[str, Any]:
    return tables.config(**groups) | {"update": update}


def go(inputs: dict[str, Artifact], start: Artifact, folder: Path, update: dict[str, Any], **more: Any) -> StepRun:
    return run_step(UPDATE, config(update), {**inputs, "start": start}, folder, threads=1, **more)


@pytest.fixture(scope="module", params=[False, True], ids=["steady", "turned"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("stream")
    inputs = stream(root / "in", turned=request.param)
    start = run_step(TRAIN, tables.config(trainer={"max_epochs": 10}), inputs, root / "start", threads=1).outputs[
        "model"
    ]
    return {"inputs": inputs, "start": start, "turned": request.param}


@pytest.mark.parametrize("update", [ONLINE, BATCH], ids=["online", "batch"])
def test_a_stream_twice_gives_equal_bytes(world: dict[str, Any], tmp_path: Path, update: dict[str, Any]) -> None:
    runs = [go(world["inputs"], world["start"], tmp_path / name, update) for name in "ab"]
    assert [runs[0].digest(port) for port in ("model", "metrics")] == [
        runs[1].digest(port) for port in ("model", "metrics")
    ]
    assert 0 <= runs[0].summary["data_wait"] <= 1
    found = runs[0].outputs["metrics"].json("metrics.json")
    assert found["parts"]["stream"]["n"] == found["parts"]["frozen"]["n"] == 600
    assert len(found["prequential"]["learners"]["updated"]) == 8
    first = {name: values[0] for name, values in found["prequential"]["learners"].items()}
    if update["batch_size"] * 1.0 >= 75:  # a window within the first batch: nothing was learnt before it
        assert first["updated"] == first["frozen"]


def test_who_learns_on_follows_a_turn_and_who_is_frozen_does_not(world: dict[str, Any], tmp_path: Path) -> None:
    parts = (
        go(world["inputs"], world["start"], tmp_path / "a", ONLINE | {"guard": None, "rate": 5.0, "batch_size": 8})
        .outputs["metrics"]
        .json("metrics.json")["parts"]
    )
    if world["turned"]:
        assert parts["frozen"]["accuracy"] < 0.2 and parts["stream"]["accuracy"] > parts["frozen"]["accuracy"] + 0.3
    else:
        assert parts["frozen"]["accuracy"] > 0.8 and parts["stream"]["accuracy"] > 0.8


def test_a_slice_that_falls_rejects_the_update(world: dict[str, Any], tmp_path: Path) -> None:
    """Labels that turn cost the old rows: with the guard the model stays what it was, without it it goes along."""
    kept = go(
        world["inputs"],
        world["start"],
        tmp_path / "a",
        BATCH | {"replay": 0.0, "guard": {"columns": ["c0"], "max_drop": 0.05}},
    )
    story = [event["what"] for event in kept.outputs["metrics"].json("metrics.json")["updates"]["events"]]
    assert len(story) == 6
    if world["turned"]:
        assert story[0] == "rejection"
        slices = kept.outputs["metrics"].json("metrics.json")["updates"]["events"][0]["slices"]
        assert any(name.startswith("c0=") for name in slices) and all(now < was - 0.05 for was, now in slices.values())
        free = go(world["inputs"], world["start"], tmp_path / "b", BATCH | {"replay": 0.0, "guard": None})
        assert free.digest("model") != kept.digest("model")
    else:
        assert "rejection" not in story


def test_updates_that_do_harm_are_rolled_back(world: dict[str, Any], tmp_path: Path) -> None:
    """A rate that wrecks the model: what stands at the end is the start model, byte for byte."""
    wild = ONLINE | {"rate": 300.0, "batch_size": 10, "snapshot_every": 6, "guard": {"max_drop": 0.0}}
    run = go(world["inputs"], world["start"], tmp_path / "a", wild)
    story = [event["what"] for event in run.outputs["metrics"].json("metrics.json")["updates"]["events"]]
    if world["turned"]:
        assert story
    else:
        assert set(story) == {"rollback"}
        assert (
            run.outputs["model"].file("model.safetensors").read_bytes()
            == world["start"].file("model.safetensors").read_bytes()
        )


def test_a_rollback_goes_to_the_last_snapshot(tmp_path: Path) -> None:
    """Labels that turn with every batch, at the end of a steady stream: who follows them does worse than who does not."""
    inputs = stream(tmp_path / "in")
    ten = tables.config(trainer={"max_epochs": 10})
    start = run_step(TRAIN, ten, inputs, tmp_path / "s", threads=1).outputs["model"]
    wild = ONLINE | {"rate": 30.0, "batch_size": 10, "epochs": 4, "guard": {"max_drop": 0.05}}
    turned = stream(tmp_path / "turned", turned=[row for row in range(1100, 1200) if row // 10 % 2])
    run = go(turned, start, tmp_path / "a", wild)
    story = [event["what"] for event in run.outputs["metrics"].json("metrics.json")["updates"]["events"]]
    assert story == ["snapshot"] * 5 + ["rollback"], story
    calm = go(cut(turned, tmp_path / "cut", 1100), start, tmp_path / "b", wild)
    same = [item.outputs["model"].file("model.safetensors").read_bytes() for item in (run, calm)]
    assert same[0] == same[1]


def test_a_snapshot_is_taken_every_so_many_batches(world: dict[str, Any], tmp_path: Path) -> None:
    run = go(world["inputs"], world["start"], tmp_path / "a", ONLINE | {"guard": None, "snapshot_every": 7})
    events = run.outputs["metrics"].json("metrics.json")["updates"]["events"]
    assert [(event["what"], event["batch"]) for event in events] == [("snapshot", at) for at in (6, 13, 20, 27, 34)]


def test_what_was_told_is_kept_row_by_row(world: dict[str, Any], tmp_path: Path) -> None:
    run = go(world["inputs"], world["start"], tmp_path / "a", ONLINE)
    rows, said = read_told(Table(run.outputs["told"]))
    data = load_tensors(Table(world["inputs"]["table"]))
    assert rows.tolist() == Split(world["inputs"]["split"]).rows("test").tolist()
    parts = run.outputs["metrics"].json("metrics.json")["parts"]
    assert scored("binary", data.label[rows], said) == {k: v for k, v in parts["stream"].items() if k != "n"}
    first = load_model(world["start"]).predict(data.numeric[rows[:16]], data.categorical[rows[:16]])
    np.testing.assert_allclose(said[:16], first, rtol=1e-6)


@pytest.mark.parametrize("update", [ONLINE | {"guard": None}, BATCH], ids=["online", "batch"])
def test_a_deployed_model_goes_on_after_what_it_has_learnt(
    world: dict[str, Any], tmp_path: Path, update: dict[str, Any]
) -> None:
    """Two runs over a stream are as one: the card says how far the first one came. (Of SGD, which keeps no state.)"""
    inputs = cut(world["inputs"], tmp_path / "cut", 900)
    plain = {"optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.0, "scheduler": {"kind": "none"}}}

    def on(name: str, start: Artifact, parts: list[str], split: Artifact = inputs["split"], tick: str = "") -> StepRun:
        due = {"due": decided(tmp_path / f"due{name}", tick)} if tick else {}
        ports = {**inputs, "split": split, "start": start, **due}
        return run_step(UPDATE, config(update | {"parts": parts}, **plain), ports, tmp_path / name, threads=1)

    one = on("one", world["start"], ["test"], tick="2026-11-16T00:00Z")
    known = {"parts": {"test": {"rows": 300, "end": 900}}, "tick": "2026-11-16T00:00Z"}
    assert one.outputs["model"].json("model.json")["learnt"] == known
    two = on("two", one.outputs["model"], ["test", "later"])
    assert read_told(Table(two.outputs["told"]))[0].tolist() == list(range(900, 1200))
    assert two.outputs["metrics"].json("metrics.json")["parts"]["stream"]["n"] == 300
    later = {"test": {"rows": 300, "end": 900}, "later": {"rows": 300, "end": 1200}}
    assert two.outputs["model"].json("model.json")["learnt"] == {"parts": later}
    if update["kind"] == "online":
        whole = on("whole", world["start"], ["test", "later"])
        said = [read_told(Table(item.outputs["told"]))[1] for item in (two, whole)]
        np.testing.assert_allclose(said[0], said[1][-300:], atol=0.05)  # dropout draws otherwise
    with pytest.raises(StepError, match="there are no new rows: the model has learnt all 600"):
        on("three", two.outputs["model"], ["test", "later"])
    other = cut(world["inputs"], tmp_path / "other", 900, begin=700)
    with pytest.raises(StepError, match="has learnt 300 rows of part 'test', of which there are 200 now"):
        on("four", one.outputs["model"], ["test", "later"], other["split"])


def decided(folder: Path, tick: str) -> Artifact:
    """What the stage `due` gives."""
    folder.mkdir()
    write_json(folder / "decision.json", {"format": "mldlc.decision/1", "decision": "due", "tick": tick})
    return artifact("Decision", folder)


def cut(inputs: dict[str, Artifact], folder: Path, end: int, begin: int = 600) -> dict[str, Artifact]:
    """The same rows with a part `later` from row `end` on."""
    folder.mkdir()
    codes = Split(inputs["split"]).codes().copy()
    codes[600:begin], codes[end:] = 0, 3
    write_split(folder, ("train", "val", "test", "later"), [("all", codes)])
    return inputs | {"split": artifact("Split", folder)}


def _child(update: dict[str, Any], ports: dict[str, str], folder: str, at: int, where: str) -> None:
    """Dies at the `at`-th batch, or (save) at the `at`-th moment of a save in which something became durable."""
    ready = {
        name: artifact("Model" if name == "start" else name.capitalize(), Path(path)) for name, path in ports.items()
    }
    count, fsync = itertools.count(1), os.fsync

    def progress(self: HarnessContext, done: float, total: float | None = None, text: str = "") -> None:
        if where == "batch" and done == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def synced(file: int) -> None:
        fsync(file)
        if where == "save" and next(count) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    HarnessContext.progress = progress  # type: ignore[method-assign]
    os.fsync = synced
    groups = config(update, trainer={"checkpoint_every_seconds": 1e-6})
    run_step(UPDATE, groups, ready, Path(folder), threads=1)


# a server that has imported everything and started no thread: its children begin at once and can be killed
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["mldlc.training.update", "tests.training.test_update"])


@pytest.mark.parametrize("where", ["batch", "save"])
@pytest.mark.parametrize(("update", "batches"), [(ONLINE, 38), (BATCH, 6)], ids=["online", "batch"])
def test_kill_9_at_random_moments_and_the_same_again_give_the_same_bytes(
    world: dict[str, Any], tmp_path: Path, update: dict[str, Any], batches: int, where: str
) -> None:
    if not world["turned"]:
        pytest.skip("one world is enough")
    ports = {"start": world["start"], **world["inputs"]}
    paths = {name: str(next(iter(item.files.values())).parent) for name, item in ports.items()}
    draw = random.Random(f"{update['kind']} {where}" if not ALL else None)
    deaths, done = draw.choices(range(1, batches), k=20 if ALL else 3), 0
    for at in sorted(deaths) if where == "batch" else deaths:
        if where == "save":
            at = draw.randrange(1, 2 * (batches - done))  # two a save, and a save a batch
        child = FORKS.Process(target=_child, args=(update, paths, str(tmp_path / "killed"), at, where))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL or where == "batch", (at, deaths)
        checkpoint = tmp_path / "killed" / "scratch" / "stream.ckpt"
        done = torch.load(checkpoint, weights_only=False)["progress"]["done"] if checkpoint.exists() else 0
        if done >= batches - 1:
            break
    again = run_step(UPDATE, config(update), ports, tmp_path / "killed", threads=1)
    whole = run_step(UPDATE, config(update), ports, tmp_path / "whole", threads=1)
    assert [again.digest(port) for port in again.outputs] == [whole.digest(port) for port in whole.outputs], deaths


def test_a_request_to_stop_leaves_a_checkpoint(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        go(world["inputs"], world["start"], tmp_path / "a", ONLINE, stop=True)
    assert (tmp_path / "a" / "scratch" / "stream.ckpt").exists()
    assert go(world["inputs"], world["start"], tmp_path / "a", ONLINE).digest("model") == go(
        world["inputs"], world["start"], tmp_path / "b", ONLINE
    ).digest("model")


def test_numbers_go_on_in_the_units_of_their_model(tmp_path: Path) -> None:
    inputs = tables.line(tmp_path / "in", rows=900)
    start = run_step(TRAIN, tables.config(trainer={"max_epochs": 15}), inputs, tmp_path / "start", threads=1).outputs[
        "model"
    ]
    lifted = tables.line(tmp_path / "lifted", rows=900, lift=30_000)
    run = run_step(
        UPDATE,
        config(ONLINE | {"guard": None, "rate": 10.0, "batch_size": 4}),
        {**lifted, "start": start},
        tmp_path / "a",
        threads=1,
    )
    parts = run.outputs["metrics"].json("metrics.json")["parts"]
    assert parts["stream"]["rmse"] < 0.8 * parts["frozen"]["rmse"]
    assert run.outputs["model"].json("model.json")["objective"] == start.json("model.json")["objective"]


def test_replay_draws_old_rows_without_replacement() -> None:
    past = torch.arange(100)
    rows = replayed(past, 30, 0.25, seed=0, update=3)
    assert len(rows) == 10 == len(set(rows.tolist())) and rows.tolist() == replayed(past, 30, 0.25, 0, 3).tolist()
    assert rows.tolist() != replayed(past, 30, 0.25, 0, 4).tolist() and len(replayed(past, 1000, 0.9, 0, 0)) == 100


def test_scores_are_sklearns() -> None:
    from sklearn.metrics import accuracy_score, log_loss

    rng = np.random.default_rng(0)
    label, said = rng.integers(0, 2, 200), rng.random(200)
    found = scored("binary", label, said)
    assert found["accuracy"] == pytest.approx(accuracy_score(label, said >= 0.5))
    assert found["log_loss"] == pytest.approx(log_loss(label, said))


def test_mistakes_are_named(world: dict[str, Any], tmp_path: Path) -> None:
    inputs, start = world["inputs"], world["start"]
    cases = [
        (ONLINE | {"parts": ["tset"]}, start, "did you mean 'test'"),
        (ONLINE | {"parts": []}, start, "the stream is empty"),
        (BATCH | {"guard": {"columns": ["c1"]}}, start, "no categorical input 'c1'"),
        (ONLINE, carded(tmp_path / "m", start, objective__classes=["a", "b"]), "knows the classes a, b"),
    ]
    for number, (update, model, words) in enumerate(cases):
        with pytest.raises(StepError) as error:
            go(inputs, model, tmp_path / f"case{number}", update)
        assert words in f"{error.value.message} {error.value.hint}"
    assert Split(inputs["split"]).names and load_tensors(Table(inputs["table"])).rows == 1200
