"""What each strategy promises, looked at on CPU ranks: `python -m tests.bench.strategies [NAME ...]`.

Correctness, not time, so a busy machine does not matter. Each row, under its date, takes the place of its older one in
RESULTS.md as soon as it is whole, so the matrix can be run in pieces.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldlc.artifacts.handle import Artifact
from mldlc.training.spec import STRATEGIES, TRAIN
from tests.bench.results import keep, kept, table, today
from tests.ranked_step import run_ranked
from tests.shared_data import shared
from tests.step_harness import StepRun
from tests.training import ranked, tables, test_resume

TITLE = "What holds for each strategy"
MODEL = {"layers": [16, 8], "dropout": 0.1}
EACH_STEP, EACH_EPOCH = 1e-6, 1000.0
COLUMNS = [
    "strategy",
    "ranks",
    "one process",
    "accumulated, clipped",
    "one file",
    "resumed at an epoch",
    "resumed within",
    "a rank killed",
    "all killed",
    "on disk: a rank",
    "on disk: all",
    "other ranks",
    "run on",
]
ALONE = "cpu"  # fmt: skip
TEXT = f"""\
`python -m tests.bench.strategies [NAME ...]`: 600 rows of Adult, an MLP, 2 to 4 epochs, gloo. One process: largest
difference of what the epochs tell (at most {ranked.LOSS:.0e}) and of a weight (at most {ranked.WEIGHT:.0e}), without dropout.
Resumed and killed (kill -9): whether model and history have the bytes of a training that nothing happened to, with
dropout and two batches a step; the numbers are the batches before which it died, and after a colon with a table on disk
the threads that read ahead. Other ranks: `yes` is equal to one process within the tolerance, `told` an error that says
which number can go on. The line above is of the row that ran last."""


@dataclass
class Looked:
    """One strategy: what it trains on, where, and trainings that several looks share."""

    strategy: str
    inputs: dict[str, Artifact]
    folder: Path
    single: dict[str, StepRun]
    made: dict[Any, StepRun] = field(default_factory=dict)

    @property
    def ranks(self) -> int:
        return int(ranked.config(self.strategy)["trainer"]["devices"])

    def apart(self, name: str, **trainer: Any) -> str:
        """Largest differences from one process, and whether they are within the tolerance."""
        groups: dict[str, Any] = {"model": MODEL | {"dropout": 0.0}, "trainer": trainer, "ingest": {"batch_size": 50}}
        if name not in self.single:
            self.single[name] = ranked.train("single", self.inputs, self.folder.parent / f"single-{name}", **groups)
        self.made[name] = ranked.train(self.strategy, self.inputs, self.folder / name, **groups)
        told, weight = ranked.apart(self.made[name], self.single[name])
        within = told <= ranked.LOSS and weight <= ranked.WEIGHT
        return f"{'yes' if within else 'NO'}: {told:.0e}, {weight:.0e}"

    def one_file(self) -> str:
        """The names of the files and of the weights are those of one process."""
        ours, theirs = self.made["plain"], self.single["plain"]
        same = ranked.weights(ours).keys() == ranked.weights(theirs).keys()
        return "yes" if same and set(ours.outputs["model"].files) == {"model.json", "model.safetensors"} else "NO"

    def deaths(self, steps: list[int], rank: int | None, seconds: float, workers: int | None = None) -> str:
        """Whether a training that dies before these batches gives the bytes of one that does not."""
        trainer = {"max_epochs": 4, "accumulate_grad_batches": 2, "checkpoint_every_seconds": seconds}
        groups: dict[str, Any] = {"model": MODEL, "trainer": trainer, "ingest": ranked.ingest(workers)}
        name = "-".join(map(str, [*steps, rank, seconds, workers]))
        whole = self.made.get(workers)
        if whole is None:
            whole = ranked.ran(self.die([], rank, f"whole {workers}", groups))
            self.made[workers] = whole
        for _ in steps:
            if self.die(steps, rank, name, groups)[0].status != "failed":
                return f"NO: no death at {steps}"
        again = ranked.ran(self.die(steps, rank, name, groups))
        if not again.summary["resumed"]:
            return f"NO: began afresh, {steps}"
        return f"yes: {', '.join(map(str, steps))}" if ranked.equal_bytes(again, whole) else f"NO: {steps}"

    def die(self, steps: list[int], rank: int | None, name: str, groups: dict[str, Any]) -> Any:
        return ranked.dying(self.strategy, self.inputs, self.folder / name, steps, rank, **groups)

    def killed(self, rank: int | None, *workers: int | None) -> str:
        """Three deaths at random steps for each way to feed it."""
        found = []
        for number in workers:
            draw = random.Random(f"{self.strategy} {rank} {number}")
            told = self.deaths(sorted(draw.sample(range(4, 38), 3)), rank, EACH_STEP, number)
            found.append(told if number is None else f"{number}: {told}")
        return "; ".join(found)

    def other_ranks(self) -> str:
        """Half as many ranks, and one more, go on; or the message that tells what can."""
        found = []
        for devices in (self.ranks // 2, self.ranks + (2 if self.strategy == "tp_fsdp2" else 1)):
            groups: dict[str, Any] = {"model": MODEL | {"dropout": 0.0}}
            keys = {"checkpoint_every_seconds": EACH_STEP}
            folder = self.folder / f"to {devices}"
            first = ranked.dying(self.strategy, self.inputs, folder, [14], 0, trainer=keys, **groups)
            assert first[0].status == "failed"
            keys |= {"devices": devices}
            outcome, run = run_ranked(TRAIN, ranked.config(self.strategy, trainer=keys, **groups), self.inputs, folder)
            if outcome.status == "ran":
                if "resized" not in self.single:
                    self.single["resized"] = ranked.train(
                        "single", self.inputs, self.folder.parent / "resized", **groups
                    )
                told, weight = ranked.apart(run, self.single["resized"])
                within = told <= ranked.LOSS and weight <= ranked.WEIGHT and run.summary["resumed"]
                found.append(f"{devices}: {'yes' if within else f'NO: {told:.0e}, {weight:.0e}'}")
            else:
                hint = (outcome.error or {}).get("hint") or ""
                found.append(f"{devices}: {'told' if f'trainer.devices={self.ranks}' in hint else 'NO: not told'}")
        return "; ".join(found)


def tried(look: Callable[..., str], *args: Any, **keys: Any) -> str:
    """What a look gives, or that it failed."""
    try:
        return look(*args, **keys)
    except Exception as error:  # the other cells are still worth a look
        print(f"{look.__name__}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return f"NO: {type(error).__name__}"


def row(looked: Looked) -> list[str]:
    """All cells of a strategy, told as they come."""
    on_disk = [tried(looked.killed, rank, 0, 2) for rank in (1, None)] if looked.strategy in ranked.FED else ["", ""]
    cells = [
        looked.strategy,
        str(looked.ranks),
        tried(looked.apart, "plain"),
        tried(looked.apart, "accumulated", accumulate_grad_batches=2, gradient_clip_val=0.5),
        tried(looked.one_file),
        tried(looked.deaths, [12], 1, EACH_EPOCH),
        tried(looked.deaths, [15], 1, EACH_STEP),
        *(tried(looked.killed, rank, None) for rank in (1, None)),
        *on_disk,
        tried(looked.other_ranks),
    ]
    print(" | ".join(cells), flush=True)
    return cells


def alone(inputs: dict[str, Artifact], folder: Path) -> list[str]:
    """The same for one process, which dies as a whole."""
    places = {name: str(next(iter(item.files.values())).parent) for name, item in inputs.items()}

    def deaths(steps: list[int], seconds: float, workers: int | None) -> str:
        def run(name: str, steps: list[int]) -> Path:
            place = folder / "-".join(map(str, [name, *steps, seconds, workers]))
            place.mkdir()
            watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(place), "steps": steps}}
            keys = {"max_epochs": 4, "accumulate_grad_batches": 2, "checkpoint_every_seconds": seconds}
            groups = {
                "model": MODEL,
                "trainer": keys,
                "ingest": ranked.ingest(workers),
                "callbacks": {"extra": [watch]},
            }
            codes = [test_resume._run(tables.config(**groups), places, place) for _ in range(len(steps) + 1)]
            assert codes == [-9] * len(steps) + [0], codes
            return place / "out"

        whole, broken = run("whole", []), run("broken", steps)
        names = ("model/model.safetensors", "model/model.json", "history/history.json")
        same = all((whole / name).read_bytes() == (broken / name).read_bytes() for name in names)
        return f"{'yes' if same else 'NO'}: {', '.join(map(str, steps))}"

    draw = random.Random("auto")
    steps = {workers: sorted(draw.sample(range(4, 38), 3)) for workers in (None, 0, 2)}
    cells = [
        ALONE, "1", "", "", "yes", tried(deaths, [12], EACH_EPOCH, None), tried(deaths, [15], EACH_STEP, None), "",
        tried(deaths, steps[None], 1e-5, None), "",
        "; ".join(f"{workers}: {tried(deaths, steps[workers], EACH_STEP, workers)}" for workers in (0, 2)), "",
    ]  # fmt: skip
    print(" | ".join(cells), flush=True)
    return cells


def main() -> None:
    """Every strategy, those of DeepSpeed first: the fork server then imports it once; then one process."""
    sys.path.insert(0, str(Path(test_resume.KIT)))
    order = [*sorted(set(STRATEGIES) - {"single"}, key=lambda name: (not name.startswith("deepspeed"), name)), ALONE]
    wanted = sys.argv[1:] or [
        n for n in order if not n.startswith("deepspeed") or importlib.util.find_spec("deepspeed")
    ]
    unknown = [name for name in wanted if name not in order]
    if unknown:
        sys.exit(f"there is no row {', '.join(unknown)}; there is: {', '.join(order)}")
    with tempfile.TemporaryDirectory() as place, ranked.one_server():
        root, single = Path(place), {}
        inputs = tables.adult(shared("adult.data"), root / "in", rows=1001)
        for name in (name for name in order if name in wanted):
            (root / name).mkdir()
            cells = alone(inputs, root / name) if name == ALONE else row(Looked(name, inputs, root / name, single))
            rows = kept(TITLE, COLUMNS) | {name: [*cells, today()]}
            keep(TITLE, f"{TEXT}\n\n{table(COLUMNS, [rows[known] for known in order if known in rows])}")


if __name__ == "__main__":
    main()
