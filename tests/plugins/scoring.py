"""A project whose only stage scores a point in no time, with a metric an epoch, as a training would."""

from __future__ import annotations

from pathlib import Path

from tests.projects import Repository, repository

SPEC = """
from mldlc.config.schema import Config, result
from mldlc.plan.artifact import Metrics
from mldlc.plan.spec import StepSpec


class Score(Config):
    x: float = result(0.0, le=100.0)
    y: int = result(1)
    shape: str = result("round")


SCORE = StepSpec(kind="score", version=1, impl="scoring.run:run", outputs={"metrics": Metrics}, reads={"score": Score})
"""
RUN = """
import time
from pathlib import Path

GATE = Path({gate!r})


def run(ctx, cfg, inputs):
    score = cfg.score
    if score.shape == "broken":
        raise ValueError("cannot be scored")
    loss = (score.x - 3.0) ** 2 + (score.shape != "round")
    for epoch in range(1, 4):
        ctx.metric("val_loss", loss + 10.0 / epoch, epoch)
        ctx.metric("val_auroc", 1.0 / (1.0 + loss), epoch)
        while not GATE.exists():
            if ctx.cancelled():
                from mldlc.plan.context import Cancelled
                raise Cancelled("asked to")
            time.sleep(0.01)
        if ctx.cancelled():
            from mldlc.plan.context import Cancelled
            raise Cancelled("asked to")
        time.sleep({pause})
    (ctx.out("metrics") / "m.txt").write_text(str(loss))
    ctx.summary({{"val_loss": loss, "val_auroc": 1.0 / (1.0 + loss), "test_loss": 0.0, "cost": score.y}})
"""
CONFIG = """\
defaults:
  - _self_
  - paths: default
  - executor: local
  - project: default
  - score: default
  - optional sweep: none
lifecycle: {stages: {train: {kind: "scoring.spec:SCORE"}}}
"""


def scoring(root: Path, pause: float = 0.0) -> Repository:
    """The project; a score waits until the file `open` is there."""
    gate = root / "open"
    made = repository(root, {
        "conf/config.yaml": CONFIG, "conf/score/default.yaml": "x: 0.0\ny: 1\nshape: round\n",
        "src/scoring/__init__.py": "", "src/scoring/spec.py": SPEC,
        "src/scoring/run.py": RUN.format(gate=str(gate), pause=pause),
    })  # fmt: skip
    gate.write_text("")
    return made
