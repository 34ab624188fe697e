"""The step that does nothing: its output says what it waited for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mldlc.plan.context import Context


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write done.json: the configured value and the labels of the inputs."""
    done = {"value": cfg.noop.value, "after": sorted(inputs["after"] or {})}
    (ctx.out("done") / "done.json").write_text(json.dumps(done, sort_keys=True))
