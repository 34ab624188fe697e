"""Poisoned rows in a real training: told by the rule and no other, survived by going back, the same after a death.

What is expected is worked out from the steps that a callback of the user's noted, by the rule that the config states.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import load_tensors
from mldlc.plan.context import StepError
from mldlc.training.loader import BatchLoader
from mldlc.training.loop_config import Spikes
from mldlc.training.ranks import Ranks
from mldlc.training.spec import TRAIN
from mldlc.training.spikes import FEWEST, SpikeWatch
from tests.step_harness import HarnessContext, StepRun, run_step
from tests.thorough import ALL
from tests.training import tables
from tests.training.test_resume import _run

pytestmark = pytest.mark.usefixtures("kit")
STREAM = {"kind": "streaming", "batch_size": 64, "block_rows": 128, "hold": "disk"}


def poisoned(folder: Path, value: float) -> tuple[dict[str, Artifact], list[int]]:
    """Two classes that a linear model separates, with one number of some training rows far out; and these rows."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 2000)
    numeric = rng.normal(size=(2000, 6)) + label[:, None]
    info = {"kind": "class", "classes": ["a", "b"]}
    empty = np.empty((2000, 0))
    clean = tables.prepared(folder / "clean", numeric, empty, label, info)
    rows = Split(clean["split"]).rows("train")[[100, 400, 700]]
    numeric[rows, 2] = value
    return tables.prepared(folder / "in", numeric, empty, label, info), rows.tolist()


def config(spikes: dict[str, Any] | None, **groups: Any) -> dict[str, Any]:
    callbacks = {"spikes": spikes} | groups.pop("callbacks", {})
    return tables.config(callbacks=callbacks, trainer={"max_epochs": 4} | groups.pop("trainer", {}), **groups)


def told(run: StepRun) -> list[dict[str, Any]]:
    return run.outputs["history"].json("history.json")["spikes"]


def noted(
    spikes: dict[str, Any], inputs: dict[str, Artifact], folder: Path, **groups: Any
) -> tuple[StepRun, list[dict[str, Any]]]:
    """A training and its steps: the first line is the start, with a digest of the weights only."""
    folder.mkdir()
    note = {"target": "mynets.watch:Note", "args": {"file": str(folder / "steps")}}
    settings = config(spikes, callbacks={"extra": [note]}, **groups)
    run = run_step(TRAIN, settings, inputs, folder / "run", threads=1)
    return run, [json.loads(line) for line in (folder / "steps").read_text().splitlines()]


def judged(cfg: Spikes, steps: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], float, bool]]:
    """Each step with what was usual then (inf: not known yet), and whether the rule calls it a spike."""
    usual: deque[float] = deque(maxlen=cfg.window)
    for step in steps[1:]:
        normal = median(usual) if len(usual) >= FEWEST else math.inf
        spike = not (math.isfinite(step["loss"]) and step["loss"] <= cfg.factor * normal)
        yield step, normal, spike
        if not spike:
            usual.append(step["loss"])


def expected(cfg: Spikes, steps: list[dict[str, Any]], inputs: dict[str, Artifact]) -> list[dict[str, Any]]:
    """What the history must tell: rows whose largest input or label is largest come first."""
    data = load_tensors(Table(inputs["table"]))
    size = np.nan_to_num(np.abs(data.numeric).max(1), nan=math.inf, posinf=math.inf)
    size = np.maximum(size, data.label)
    found = []
    for step, normal, spike in judged(cfg, steps):
        if spike:
            rows, loss = np.array(step["rows"]), step["loss"]
            order = rows[np.argsort(-size[rows], kind="stable")]
            about = {"epoch": step["epoch"], "step": step["step"], "loss": loss if math.isfinite(loss) else str(loss)}
            about |= {"usual": normal if math.isfinite(normal) else None, "action": cfg.action}
            found.append(about | {"rows": order.tolist()})
    return found


@pytest.mark.parametrize("spikes", [None, {"action": "report"}], ids=["unwatched", "watched"])
def test_a_loss_that_is_no_number_names_the_rows_of_its_batch(spikes: dict[str, Any] | None, tmp_path: Path) -> None:
    """The first few in a message, all of them in a file that it names."""
    inputs, rows = poisoned(tmp_path, float("nan"))
    with pytest.raises(StepError, match=r"the loss became (nan|inf) in epoch 1, step \d+; rows of its batch: \d+(, \d+){7} and 56 more, all in /\S+\.json$") as stopped:  # fmt: skip
        run_step(TRAIN, config(spikes), inputs, tmp_path / "run", threads=1)
    about = json.loads(Path(str(stopped.value).rpartition(" ")[2]).read_text())
    assert len(about["rows"]) == 64 and set(about["rows"]) & set(rows)
    assert f"epoch {about['epoch']}, step {about['step']};" in str(stopped.value)


def test_a_small_batch_is_named_whole(tmp_path: Path) -> None:
    inputs, _ = poisoned(tmp_path, float("nan"))
    with pytest.raises(StepError, match=r"rows of its batch: \d+(, \d+){4}$"):
        run_step(TRAIN, config(None, ingest={"batch_size": 5}), inputs, tmp_path / "run", threads=1)
    assert not list(tmp_path.rglob("bad_batch.json"))


@pytest.mark.parametrize("ingest", ["in_core", "streaming"])
@pytest.mark.parametrize(("value", "every"), [(float("nan"), 1), (1e6, 1), (1e6, 7)], ids=["nan", "jump", "jump_far"])
def test_rollback_goes_on_as_if_the_batches_had_not_been(value: float, every: int, ingest: str, tmp_path: Path) -> None:
    inputs, rows = poisoned(tmp_path, value)
    cfg = Spikes(action="rollback", every=every, limit=99)
    groups: dict[str, Any] = {"ingest": STREAM} if ingest == "streaming" else {}
    run, steps = noted(cfg.model_dump(), inputs, tmp_path / "noted", **groups)
    found = told(run)
    assert found == expected(cfg, steps, inputs)
    if np.isnan(value):  # a number far out need not be far wrong
        batches = {step["step"] for step in steps[1:] if set(step["rows"]) & set(rows)}
        assert batches == {spike["step"] for spike in found if isinstance(spike["loss"], str)}
    kept, since = steps[0]["weights"], 0
    for step, _, spike in judged(cfg, steps):
        since += not spike
        if spike:
            assert step["weights"] == kept, "as they were at the last step that was kept"
        elif since == every:
            kept, since = step["weights"], 0
    assert len({step["weights"] for step in steps}) >= len(steps) - len(found), "every other step moves them"


def test_report_goes_on_and_stop_does_not(tmp_path: Path) -> None:
    inputs, _ = poisoned(tmp_path, 1e4)
    run, steps = noted({"action": "report"}, inputs, tmp_path / "report")
    spikes = expected(Spikes(action="report"), steps, inputs)
    assert told(run) == spikes and spikes, "the rows are far enough out"
    first = spikes[0]
    text = rf"step {first['step']} \(usual: {first['usual']:.6g}\); rows of its batch: {first['rows'][0]}, "
    with pytest.raises(StepError, match=text) as stopped:
        run_step(TRAIN, config({"action": "stop"}), inputs, tmp_path / "stop", threads=1)
    assert stopped.value.where == "callbacks.spikes"
    with pytest.raises(StepError, match="it is the 2th spike"):
        run_step(TRAIN, config({"action": "rollback", "limit": 1}), inputs, tmp_path / "limit", threads=1)


def test_nothing_found_changes_nothing(tmp_path: Path) -> None:
    inputs = tables.blobs(tmp_path / "in")
    watched = run_step(TRAIN, config({"action": "rollback"}), inputs, tmp_path / "watched", threads=1)
    plain = run_step(TRAIN, config(None), inputs, tmp_path / "plain", threads=1)
    assert told(watched) == []
    assert watched.digest("model") == plain.digest("model")


def test_a_death_after_a_rollback_changes_nothing(tmp_path: Path) -> None:
    given, _ = poisoned(tmp_path, 1e6)
    inputs = {name: str(next(iter(item.files.values())).parent) for name, item in given.items()}

    def run(name: str, steps: list[int]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps}}
        keys = {"checkpoint_every_seconds": 1e-6}
        settings = config({"action": "rollback", "every": 5, "limit": 99}, trainer=keys, callbacks={"extra": [watch]})
        assert [_run(settings, inputs, folder) for _ in range(len(steps) + 1)] == [-9] * len(steps) + [0]
        return folder / "out"

    whole, broken = run("whole", []), run("broken", [24, 45] if ALL else [24])
    for name in ("model/model.safetensors", "history/history.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
    assert json.loads((whole / "history/history.json").read_text())["spikes"]


def test_one_of_several_ranks_tells_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All of them know it."""
    batch = torch.zeros(4, 1)
    place = SimpleNamespace(current_epoch=0, fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=6)))
    lines = []
    for rank in (0, 1):
        caplog.clear()
        loader = BatchLoader((batch,), torch.arange(4), 4)
        next(iter(loader))
        watch = SpikeWatch(HarnessContext(tmp_path, rank=rank), Spikes(), loader, Ranks(), False)
        watch._tell(place, 9e9, 0.5, (batch,))  # type: ignore[arg-type]
        assert [spike["rows"] for spike in watch.found] == [[0, 1, 2, 3]]
        lines.append(caplog.messages.copy())
    assert lines[0] == ["the loss became 9e+09 in epoch 1, step 7 (usual: 0.5); rows of its batch: 0, 1, 2, 3: report"]
    assert lines[1] == []
