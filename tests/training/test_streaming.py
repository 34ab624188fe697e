"""Streamed training: the same batches and the same model wherever the table is held, on one process and on ranks."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from mldlc.artifacts.blocks import Blocks
from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.split import Split, write_split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import compact, load_tensors, tensor_frame, write_tensors
from mldlc.plan.context import StepError
from mldlc.training.loader import Shard
from mldlc.training.out_of_core import StreamedRows
from mldlc.training.ranks import Ranks
from mldlc.training.rows import Form
from mldlc.training.spec import TRAIN
from mldlc.training.streaming import StreamLoader
from tests.ranked_step import run_ranked
from tests.step_harness import HarnessContext, StepRun, artifact, run_step, validated
from tests.thorough import thoroughly
from tests.training import tables

SIZES = (700, 1, 0, 800)
ALONE = Shard()
NOTHING: dict[str, Any] = {}
SMALL = {"kind": "streaming", "batch_size": 50, "eval_batch_size": 70, "lanes": 4, "block_rows": 90, "buffer_rows": 500}


def write(folder: Path, storage: str = "arrow", precision: int = 32, weight: bool = False) -> dict[str, Artifact]:
    """A table of four partitions whose first number is the row number, with its split."""
    rng = np.random.default_rng(0)
    rows = sum(SIZES)
    label = rng.integers(0, 2, rows).astype(np.int32)
    numeric = np.concatenate([np.arange(rows)[:, None], rng.normal(size=(rows, 3)) + label[:, None]], 1)
    numeric[:, 0] /= 1 if precision == 32 else 4096
    codes = rng.integers(0, 5, (rows, 2)).astype(np.int32)
    info = {
        "numeric": ["row", "a", "b", "c"],
        "categorical": [{"name": n, "cardinality": 5, "values": [str(v) for v in range(5)]} for n in "de"],
        "label": {"name": "label", "kind": "class", "classes": ["no", "yes"]},
    }
    share = rng.random(rows).astype(np.float32) + 0.5 if weight else None
    whole = compact(tensor_frame(numeric.astype(np.float32), codes, label, share), info, precision)
    ends = np.cumsum([0, *SIZES])
    (folder / "table").mkdir(parents=True)
    (folder / "split").mkdir()
    parts = [(f"p{i}", whole.slice(ends[i], n)) for i, n in enumerate(SIZES)]
    write_tensors(folder / "table", parts, info, storage)
    draw = (rng.random(rows) * 10).astype(np.uint8)
    of_row = np.where(draw < 6, 0, np.where(draw < 8, 1, 2)).astype(np.uint8)
    write_split(
        folder / "split",
        ("train", "val", "test"),
        [(f"p{i}", of_row[ends[i] : ends[i + 1]]) for i in range(len(SIZES))],
    )
    return {"table": artifact("Table", folder / "table"), "split": artifact("Split", folder / "split")}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return write(tmp_path_factory.mktemp("arrow") / "in")


def config(ingest: dict[str, Any] = NOTHING, **groups: dict[str, Any]) -> dict[str, Any]:
    groups = {"trainer": {"max_epochs": 2}, **groups}
    return tables.config(**groups) | {"ingest": SMALL | ingest}


def loader(
    inputs: dict[str, Artifact],
    folder: Path,
    ingest: dict[str, Any] = NOTHING,
    shard: Shard = ALONE,
    part: str = "train",
) -> StreamLoader:
    cfg = validated(TRAIN, config(ingest))
    ranks = Ranks(shard.rank, shard.world)
    rows = StreamedRows(HarnessContext(folder), cfg, Table(inputs["table"]), Split(inputs["split"]), ranks)
    return getattr(rows, part)(Form("columns", lambda label: torch.tensor(label, dtype=torch.float32)))


def numbers(feed: StreamLoader) -> list[list[int]]:
    return [batch[0][:, 0].int().tolist() for batch in feed]


HOLDS = {
    "disk": {"hold": "disk", "workers": 0},
    "disk_2": {"hold": "disk", "workers": 2},
    "memory": {"hold": "memory"},
    "auto": {"hold": "auto", "memory_gb": 1e-9},
}


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("hold", HOLDS)
def test_batches_hold_the_rows_of_the_table(hold: str, part: str, inputs: dict[str, Artifact], tmp_path: Path) -> None:
    data, rows = load_tensors(Table(inputs["table"])), Split(inputs["split"]).rows(part)
    feed = loader(inputs, tmp_path, HOLDS[hold], part=part)
    orders = []
    for epoch in range(2):
        seen = []
        for at, (numeric, categorical, label) in enumerate(feed):
            these = numeric[:, 0].long().numpy()
            assert np.array_equal(numeric.numpy(), data.numeric[these])
            assert np.array_equal(categorical.numpy(), data.categorical[these]) and categorical.dtype == torch.int32
            assert np.array_equal(label.numpy(), data.label[these])
            assert np.array_equal(feed.rows_at(epoch, at), these), "a batch can be named after the fact"
            seen += these.tolist()
        assert sorted(seen) == rows.tolist()
        orders.append(seen)
    assert (orders[0] == orders[1]) == (part == "val")


@pytest.mark.parametrize("storage", ["parquet", "parquet16", "arrow16"])
@pytest.mark.parametrize("cache", [True, False])
def test_storage_changes_no_order(storage: str, cache: bool, inputs: dict[str, Artifact], tmp_path: Path) -> None:
    precision = 16 if storage.endswith("16") else 32
    other = write(tmp_path / "in", storage.removesuffix("16"), precision)
    feed = loader(other, tmp_path, {"hold": "disk", "cache": cache, "workers": 1})
    plain = loader(inputs, tmp_path, {"hold": "disk"})
    for ours, theirs in zip(feed, plain, strict=True):
        scale = 1 if precision == 32 else 4096
        assert [part.dtype for part in ours] == [torch.float32, torch.int32, torch.float32]
        assert torch.equal(ours[1], theirs[1]) and torch.equal(ours[2], theirs[2])
        assert torch.allclose(ours[0][:, 0] * scale, theirs[0][:, 0], rtol=2e-3 if precision == 16 else 0)
        assert torch.allclose(ours[0][:, 1:], theirs[0][:, 1:], rtol=0, atol=4e-3 if precision == 16 else 0)
    assert (tmp_path / "scratch/decoded").exists() == (cache and storage.startswith("parquet"))
    whole = load_tensors(Table(other["table"]))
    assert (whole.numeric.dtype, whole.categorical.dtype) == (np.float32, np.int32)
    with pytest.raises(ValueError, match="65504"):
        compact(tensor_frame(np.full((3, 1), 1e6), np.empty((3, 0))), {}, 16)


def test_parquet_is_decoded_once(tmp_path: Path) -> None:
    given = write(tmp_path / "in", "parquet")
    first = numbers(loader(given, tmp_path, {"hold": "disk"}))
    for file in given["table"].files.values():
        if file.suffix == ".parquet":
            file.unlink()
    assert numbers(loader(given, tmp_path, {"hold": "disk"})) == first, "a later start maps what was decoded"


def test_batches_are_kept_and_changed_freely(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    feed = loader(inputs, tmp_path, HOLDS["disk_2"])
    kept = list(feed)
    assert all(part.data_ptr() % 64 == 0 for batch in kept for part in batch), "as torch's own memory"
    kept[0][0].zero_()
    list(feed)
    plain = list(loader(inputs, tmp_path, HOLDS["disk"]))
    assert all(
        torch.equal(a, b)
        for ours, theirs in zip(kept[1:], plain[1:], strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_thread_reads_ahead(
    workers: int, inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, readers = loader(inputs, tmp_path, {"hold": "disk", "workers": workers}), []
    read = Blocks.read

    def noted(self: Blocks, *args: Any) -> Any:
        readers.append(threading.current_thread().name.partition("_")[0])
        return read(self, *args)

    monkeypatch.setattr(Blocks, "read", noted)
    served = iter(feed)
    next(served)
    first = len(readers)
    next(served)
    until = time.monotonic() + 30
    while workers and len(readers) == first and time.monotonic() < until:
        time.sleep(0.01)
    assert (len(readers) > first) == ("ingest" in readers[first:]) == bool(workers), (
        "the next window, before it is asked for"
    )


@pytest.mark.parametrize("world", [2, 3, 4])
def test_ranks_share_every_batch_out(world: int, inputs: dict[str, Artifact], tmp_path: Path) -> None:
    whole = numbers(loader(inputs, tmp_path, {"hold": "disk"}))
    feeds = [loader(inputs, tmp_path, {"hold": "disk"}, Shard(rank, world)) for rank in range(world)]
    parts = [numbers(feed) for feed in feeds]
    for at, batch in enumerate(whole):
        assert [row for part in parts for row in part[at]] == batch
    assert feeds[0].share != 0


@pytest.mark.parametrize("hold", ["disk", "disk_2", "memory"])
def test_resumes_in_the_middle_of_an_epoch(hold: str, inputs: dict[str, Artifact], tmp_path: Path) -> None:
    whole = loader(inputs, tmp_path, HOLDS[hold])
    expected = [numbers(whole), numbers(whole)]
    for stop in (0, 1, 7, len(whole) - 1):
        feed = loader(inputs, tmp_path, HOLDS[hold])
        served = iter(feed)
        for _ in range(stop):
            next(served)
        again = loader(inputs, tmp_path, HOLDS[hold])
        again.load_state_dict(feed.state_dict())
        if stop:
            iter(again)  # Lightning looks whether iter() works; that must not lose the place
        assert numbers(again) == expected[0][stop:]
        assert numbers(again) == expected[1]


def test_blocks_read_what_lies_there(inputs: dict[str, Artifact]) -> None:
    blocks = Blocks(Table(inputs["table"]), 90)
    assert blocks.starts.tolist()[-3:] == [1331, 1421, 1501] and len(blocks) == 18
    read = [blocks.read(number) for number in range(len(blocks))]
    assert np.concatenate([block["numeric"][:, 0] for block in read]).tolist() == list(range(1501))
    assert not read[0]["numeric"].flags.writeable
    assert blocks.row_bytes == 4 * 4 + 2 * 4 + 4


def test_models_are_equal_wherever_the_table_is_held(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    embedded = {"model": {"numeric_embedding": "piecewise", "numeric_bins": 8}}
    runs = {
        name: run_step(TRAIN, config(ingest, **embedded), inputs, tmp_path / name) for name, ingest in HOLDS.items()
    }
    assert len({run.digest("model") + run.digest("history") for run in runs.values()}) == 1
    held = {name: run.summary["held"] for name, run in runs.items()}
    assert held["disk"] == "on disk (ingest.hold=disk)" and held["memory"] == "in memory (ingest.hold=memory)"
    assert held["auto"].startswith("on disk (") and held["auto"].endswith("do not fit 1 B)")
    assert 0 <= runs["disk"].summary["data_wait"] <= 1


def test_too_few_lanes_for_the_ranks(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(StepError, match="4 lanes cannot be read by 5 ranks"):
        loader(inputs, tmp_path, shard=Shard(0, 5))


@pytest.mark.parametrize(
    "weight", [pytest.param(False, id="plain", marks=thoroughly), pytest.param(True, id="weighted")]
)
def test_ranks_train_the_same_model(weight: bool, tmp_path: Path) -> None:
    given = write(tmp_path / "in", weight=weight)
    groups: dict[str, Any] = {"model": {"dropout": 0.0}}
    single = run_step(TRAIN, config({"hold": "disk"}, **groups), given, tmp_path / "single", threads=1)
    places = {"max_epochs": 2, "strategy": "ddp", "devices": 2}
    outcome, run = run_ranked(TRAIN, config({"hold": "disk"}, trainer=places, **groups), given, tmp_path / "ranks")
    assert outcome.status == "ran", outcome.error

    def losses(run: StepRun) -> list[float]:
        return [row[name] for row in run.outputs["history"].json("history.json")["epochs"] for name in ("train_loss", "val_loss")]  # fmt: skip

    assert losses(run) == pytest.approx(losses(single), abs=2e-6)


def test_history_says_nothing_about_where_it_ran(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    run = run_step(TRAIN, config(), inputs, tmp_path)
    text = json.dumps(run.outputs["history"].json("history.json"))
    assert "wait" not in text and "disk" not in text
    assert pl.DataFrame(run.outputs["history"].json("history.json")["epochs"]).height == 2
