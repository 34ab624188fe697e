"""What `mldlc run` prints at its end."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

from mldlc.cli.run import show_result


def _shown(metrics: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    result = SimpleNamespace(run="r", status="ok", counts={"run": 1}, seconds=1.0, metrics=metrics)
    assert show_result(SimpleNamespace(points=[0]), result, None, out) is None  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def test_metrics_of_a_run_and_of_its_records_are_shown_alike() -> None:
    ran = {
        "train": {"n": 9, "auroc": 0.5, "acc": 0.25},
        "val": {"n": 2, "auroc": 0.5},
        "test": {"n": 3},
        "new.stage": {"x": 7},
        "empty": {"curve": []},
    }
    recorded = {part: dict(sorted(values.items())) for part, values in sorted(ran.items())}
    told = [
        "  train      n 9  acc 0.2500  auroc 0.5000", "  val        n 2  auroc 0.5000", "  test       n 3",
        "  new.stage  x 7",
    ]  # fmt: skip
    assert _shown(ran) == _shown(recorded) == ["Run r: ok. 1 run. 1.0 s.", *told]
