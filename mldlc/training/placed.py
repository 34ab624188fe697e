"""What `strategy: auto` stands for in a training that starts: chosen once, for all its ranks and resumptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from mldlc.artifacts.handle import plain
from mldlc.plan.context import Context, StepError
from mldlc.training.footprint import measure
from mldlc.training.placing import choose, question, too_large

FILE = "placement.json"


def placed(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> Any:
    """The config with a strategy by name; StepError with the needs of all when none fits.

    The choice lies beside the checkpoints: a training that was interrupted goes on as it began, unless it is given
    other devices.
    """
    if cfg.trainer.strategy != "auto":
        return cfg
    params = {name: value.model_dump(mode="json") for name, value in vars(cfg).items()}
    asked = question(params, lambda port, name: plain(inputs[port]).json(name))
    if asked is None:
        raise StepError("this table is not prepared", where="lifecycle.stages", hint="bind `table` to a prepare stage")
    file, given = ctx.scratch / FILE, [asked, *(params["trainer"][name] for name in ("devices", "memory_gb"))]
    known = json.loads(file.read_text()) if file.exists() else {}
    if known.get("given") != given:
        choice = choose(params, measure(asked))
        ctx.log.info(choice.text())
        if not choice.strategy:
            raise too_large(choice)
        need = next(item for item in choice.needs if item.strategy == choice.strategy)
        known = {"given": given, "strategy": choice.strategy, "bytes": need.total}
        fresh = file.with_suffix(".tmp")
        fresh.write_text(json.dumps(known))
        fresh.replace(file)
    ctx.summary({"strategy": known["strategy"], "predicted_memory": known["bytes"]})
    return SimpleNamespace(**vars(cfg) | {"trainer": cfg.trainer.model_copy(update={"strategy": known["strategy"]})})
