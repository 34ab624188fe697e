"""Distillation on Adult over five seeds: `python -m tests.bench.distillation logits|features|ensemble [OUTPUTS]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.results import keep, table
from tests.bench.streams import document, run

TITLE = "Distillation on Adult, five seeds"
COMMAND = ("-m", "experiment=adult_distill", "seed=0,1,2,3,4")
# kind -> more of the title, more of the command, what was chosen on val rows
KINDS = {
    "logits": ("", (), "Rate, temperature and weight were chosen"),
    "features": (
        ", by a hidden layer too",
        ("distill=features", "distill.hidden_weight=0.03"),
        "As logits, and the weight of the hidden layer was chosen",
    ),
    "ensemble": (
        ", by three teachers",
        ("distill=ensemble", "teacher=three"),
        "As logits, whose rate, temperature and weight were chosen",
    ),
}


def told(outputs: Path, steps: dict[str, Any], kind: str) -> str:
    """The table of a run."""
    _, more, chosen = KINDS[kind]
    seeds = next(step for id, step in steps.items() if id.startswith("seeds"))
    found = document(outputs, seeds["digests"]["report"], "seeds.json")
    rows = [
        [
            point["point"],
            *(f"{point[name]:.4f}" for name in ("teacher", "student", "twin")),
            f"{point['gain']:+.4f}",
            f"{point['kept']:.2%}",
        ]
        for point in found["points"]
    ]
    means = found["means"]
    rows.append(
        [
            "mean",
            *(f"{means[name]['mean']:.4f}" for name in ("teacher", "student", "twin")),
            f"{means['gain']['mean']:+.4f}",
            f"{means['kept']['mean']:.2%}",
        ]
    )
    gain, kept = means["gain"], means["kept"]
    size = found["points"][0]["size"]
    one = next(step for id, step in steps.items() if id.startswith("distillation"))
    models = document(outputs, one["digests"]["report"], "distillation.json")["models"]
    times = document(outputs, one["digests"]["timing"], "timing.json")["models"]
    sizes = [
        [name, f"{item['parameters']:,}", f"{item['bytes']:,}", *_seconds(times.get(name))]
        for name, item in models.items()
    ]
    return "\n".join(
        [
            f"`mldlc run {' '.join((*COMMAND, *more))}`: {found['part']} {found['metric']}; the teacher keeps its seed, one "
            f"split. {chosen} on val rows with seeds 10 to 12.",
            "",
            table(["point", "teacher", "student", "twin", "student - twin", "kept of the teacher"], rows),
            "",
            f"The student has {size:.1%} of the teacher's parameters and beats its twin at {found['wins']} of "
            f"{len(found['points'])} seeds, by {gain['mean']:.4f} in the mean (95 % by Student's t: {gain['low']:.4f} to "
            f"{gain['high']:.4f}); it keeps {kept['mean']:.1%} ({kept['low']:.1%} to {kept['high']:.1%}).",
            "",
            table(["model", "parameters", "bytes", "µs a row, 4,096 at once", "µs alone"], sizes),
        ]
    )  # fmt: skip


def _seconds(taken: dict[str, float] | None) -> list[str]:
    """Microseconds a row, many at once and alone; the mean of several teachers is no model that could be timed."""
    if taken is None:
        return ["", ""]
    return [f"{1e6 * taken['seconds_per_row']:.2f}", f"{1e6 * taken['seconds_one_row']:.0f}"]


def main() -> None:
    """Run it, or take what is kept in OUTPUTS."""
    with tempfile.TemporaryDirectory() as folder:
        kind, outputs = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder)
        title, more, _ = KINDS[kind]
        keep(TITLE + title, told(outputs, run(outputs, *COMMAND, *more), kind))


if __name__ == "__main__":
    main()
