"""Other loaders in venvs of their own, beside ours: torch DataLoader, HF datasets, litdata, mosaicml-streaming.

`peers()` makes the venvs on first use in `$MLDLC_BENCH_CACHE` (or ~/.cache/mldlc-bench), with torch held at the build of
this one; nothing here is touched. Run as a script inside such a venv it answers "go" lines on stdin
with the seconds of one epoch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 1024
PEERS = {"datasets": ["datasets"], "litdata": ["litdata"], "streaming": ["mosaicml-streaming"]}
ROW_BY_ROW = 100_000  # rows of an epoch of a loader that takes them one by one


class Peer:
    """One loader in its own process; `seconds()` is an epoch of `rows` rows."""

    def __init__(self, python: Path, name: str, data: Path) -> None:
        self.name = name
        command = [str(python), str(Path(__file__).resolve()), name, str(data)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=data
        )
        told = self._answer()
        self.rows, self.version = int(told["rows"]), str(told["version"])

    def seconds(self) -> tuple[float, float]:
        """Of the wall clock, and of CPU of that process."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self._answer()
        return float(answer["seconds"]), float(answer["cpu"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None and self.process.stderr is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        error = self.process.stderr.read().strip().splitlines()
        raise RuntimeError(error[-1] if error else "it ended without a word")


def peers(data: Path) -> Iterator[Peer]:
    """The loaders that can be had here; for another it prints why not. data: a folder with columns.npz."""
    for name in MADE:
        try:
            yield Peer(venv(name) if name in PEERS else Path(sys.executable), name, data)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: not measured, {error}")


def venv(name: str) -> Path:
    """The interpreter of the peer's own venv, made when it is not there. RuntimeError when it cannot be installed."""
    cache = Path(os.environ.get("MLDLC_BENCH_CACHE", Path.home() / ".cache" / "mldlc-bench"))
    folder = cache / f"loader-{name}"
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    import torch

    folder.parent.mkdir(parents=True, exist_ok=True)
    held = cache / f"loader-{name}.txt"
    held.write_text(
        f"torch=={torch.__version__}\n"
    )  # the very build: its CPU wheel if it is one, never gigabytes of CUDA
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
    print(f"installing {', '.join(PEERS[name])} into {folder}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", "-c", str(held), "torch", *PEERS[name]],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise RuntimeError(lines[-1] if lines else f"pip ended with {done.returncode}")
    (folder / "ready").touch()
    return python


def torch_default(columns: dict[str, np.ndarray], data: Path) -> tuple[Callable[[], None], int, str]:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    rows = min(ROW_BY_ROW, len(columns["label"]))
    loader = DataLoader(TensorDataset(*(torch.from_numpy(c[:rows]) for c in columns.values())), BATCH, shuffle=True)
    return lambda: consume(loader), rows, torch.__version__


def torch_whole(columns: dict[str, np.ndarray], data: Path) -> tuple[Callable[[], None], int, str]:
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Whole(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.columns = [torch.from_numpy(column) for column in columns.values()]

        def __len__(self) -> int:
            return len(self.columns[0])

        def __getitems__(self, index: list[int]) -> list[Any]:
            rows = torch.tensor(index)
            return [column.index_select(0, rows) for column in self.columns]

    loader = DataLoader(Whole(), BATCH, shuffle=True, collate_fn=lambda batch: batch)
    return lambda: consume(loader), len(columns["label"]), torch.__version__


def datasets(columns: dict[str, np.ndarray], data: Path) -> tuple[Callable[[], None], int, str]:
    import datasets
    import pyarrow as pa

    arrays = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(c.reshape(-1)), c.shape[1]) if c.ndim == 2 else pa.array(c)
        for name, c in columns.items()
    }
    table = datasets.Dataset(pa.table(arrays))
    table.save_to_disk(str(data / "datasets"))
    shuffled = datasets.load_from_disk(str(data / "datasets")).to_iterable_dataset(num_shards=16)
    shuffled = shuffled.shuffle(seed=0, buffer_size=1000).with_format("torch")  # the library's own buffer size
    rows = min(ROW_BY_ROW, len(columns["label"]))
    return lambda: consume(shuffled.take(rows).iter(BATCH)), rows, datasets.__version__


def litdata(columns: dict[str, np.ndarray], data: Path) -> tuple[Callable[[], None], int, str]:
    import litdata
    from litdata.streaming.writer import BinaryWriter

    rows, folder = min(ROW_BY_ROW, len(columns["label"])), data / "litdata"
    folder.mkdir(exist_ok=True)
    writer = BinaryWriter(str(folder), chunk_size=1 << 14)
    for i in range(rows):
        writer[i] = {name: column[i] for name, column in columns.items()}
    writer.done()
    writer.merge()
    stream = litdata.StreamingDataset(str(folder), shuffle=True)
    loader = litdata.StreamingDataLoader(stream, batch_size=BATCH, num_workers=0)
    return lambda: consume(loader), rows, litdata.__version__


def streaming(columns: dict[str, np.ndarray], data: Path) -> tuple[Callable[[], None], int, str]:
    import torch
    from torch.utils.data import DataLoader

    # it imports torchvision, whose wheel is built for CUDA and lacks two operators under a CPU torch; nobody calls them
    declared = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import streaming

    rows, folder = min(ROW_BY_ROW, len(columns["label"])), data / "mds"
    kinds = {n: f"ndarray:{c.dtype}:{c.shape[1]}" if c.ndim == 2 else "int" for n, c in columns.items()}
    with streaming.MDSWriter(out=str(folder), columns=kinds) as writer:
        for i in range(rows):
            writer.write({n: c[i] if c.ndim == 2 else int(c[i]) for n, c in columns.items()})
    stream = streaming.StreamingDataset(local=str(folder), shuffle=True, batch_size=BATCH)
    loader = DataLoader(stream, BATCH)
    return lambda: consume(loader), rows, streaming.__version__


def consume(batches: Any) -> None:
    """Take every batch."""
    for _ in batches:
        pass


MADE = {
    "torch": torch_default, "torch whole": torch_whole, "datasets": datasets, "litdata": litdata, "streaming": streaming,
}  # fmt: skip


def serve(name: str, data: Path) -> None:
    """Prepare, say so, then run an epoch for every line."""
    import torch

    torch.set_num_threads(1)
    with np.load(data / "columns.npz") as stored:
        run, rows, version = MADE[name](dict(stored), data)
    print(json.dumps({"rows": rows, "version": version}), flush=True)
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        run()
        taken = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
