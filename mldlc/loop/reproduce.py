"""Makes a run again from its pins, in a scratch place, and compares what comes out digest by digest."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mldlc.engine.execute import Options, execute
from mldlc.engine.result import Event, Result
from mldlc.loop.rebuild import Rebuilt
from mldlc.plan.codec import flatten
from mldlc.plan.step import Step
from mldlc.store.layout import Store, existing_store
from mldlc.store.objects import read_tree

Verdict = Literal["equal", "close", "differs", "follows", "missing"]
TOLERANCE = 1e-5  # relative, for outputs whose step says that equal runs may give different bytes


@dataclass(frozen=True)
class Comparison:
    """One output then and now. follows: an input differs already; close: within the tolerance; missing: none now."""

    step: str
    port: str
    then: str
    now: str
    verdict: Verdict
    detail: str = ""


def reproduce(
    rebuilt: Rebuilt,
    outputs: Path,
    options: Options,
    listener: Callable[[Event], None],
    stop: threading.Event,
    tolerance: float = TOLERANCE,
) -> tuple[Result, list[Comparison]]:
    """Execute the rebuilt plan and compare, in the order of the plan. outputs: where the run's own artifacts lie."""
    result = execute(rebuilt.plan, rebuilt.scratch, options, listener, stop)
    stores = existing_store(outputs), existing_store(rebuilt.scratch)
    found: list[Comparison] = []
    loose: set[str] = set()  # steps that may differ: not deterministic, or behind one that is not and did differ
    moved: set[str] = set()
    for step in rebuilt.plan.steps:
        if step.id not in rebuilt.then:
            continue
        above = set(step.upstream())
        for port, then in rebuilt.then[step.id].items():
            free = port in step.nondeterministic or bool(above & loose)
            item = _compare(step, port, then, result, stores, tolerance if free else None, bool(above & moved))
            found.append(item)
            if item.verdict != "equal":
                moved.add(step.id)
                if free:
                    loose.add(step.id)
    return result, found


def _compare(
    step: Step,
    port: str,
    then: str,
    result: Result,
    stores: tuple[Store | None, Store | None],
    tolerance: float | None,
    follows: bool,
) -> Comparison:
    done = result.steps[step.id]
    now = done.digests.get(port, "")
    if not now:
        why = str((done.error or {}).get("message", done.status))
        return Comparison(step.id, port, then, "", "missing", why)
    if now == then:
        return Comparison(step.id, port, then, now, "equal")
    changes = list(_differences(then, now, stores, tolerance or 0.0))
    detail = ", ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else "")
    if tolerance is not None:
        if not changes:
            return Comparison(step.id, port, then, now, "close", f"within {tolerance:g}")
        detail += f" (not deterministic; beyond {tolerance:g})"
    return Comparison(step.id, port, then, now, "follows" if follows else "differs", detail)


def _differences(then: str, now: str, stores: tuple[Store | None, Store | None], tolerance: float) -> Iterator[str]:
    """Files of two artifacts that differ by more than the tolerance."""
    old, new = stores
    try:
        before = read_tree(old, then).files if old else {}
        after = read_tree(new, now).files if new else {}
    except (OSError, ValueError):
        yield "the run's own artifact is no longer in the store"
        return
    for name in sorted({*before, *after}):
        left, right = before.get(name), after.get(name)
        if left is None or right is None:
            yield f"{name} only {'now' if left is None else 'then'}"
        elif left[0] != right[0] and old and new:
            paths = old.object(left[0]), new.object(right[0])
            if not (tolerance and _near(name, *paths, tolerance)):
                yield name


def _near(name: str, left: Path, right: Path, tolerance: float) -> bool:
    """Whether two files hold the same numbers within a relative tolerance: JSON and safetensors; others do not."""
    if name.endswith(".json"):
        old, new = (flatten(json.loads(path.read_bytes())) for path in (left, right))
        return old.keys() == new.keys() and all(_equal(old[key], new[key], tolerance) for key in old)
    if name.endswith(".safetensors"):
        import numpy as np
        from safetensors.numpy import load

        before, after = load(left.read_bytes()), load(right.read_bytes())
        return before.keys() == after.keys() and all(
            before[key].shape == after[key].shape and np.allclose(before[key], after[key], tolerance, tolerance)
            for key in before
        )
    return False


def _equal(left: Any, right: Any, tolerance: float) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_equal(a, b, tolerance) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key], tolerance) for key in left)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (left, right))
    return abs(left - right) <= tolerance * max(abs(left), abs(right), 1.0) if numbers else bool(left == right)
