"""The points that a search begins with where no optimiser chooses them: drawn from the space by a seed, or its grid."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

from mldlc.config.space import Choices, Interval, Param, read_param
from mldlc.loop.search import Trial


def points_of(settings: dict[str, Any]) -> list[Trial]:
    """sampler grid: all combinations, the last parameter varies fastest; random: n_points different ones."""
    space = {name: read_param(value) for name, value in settings["params"].items()}
    if settings["sampler"] == "grid":
        rows = itertools.product(*map(_all, space.values()))
        return [Trial(number, dict(zip(space, row, strict=True))) for number, row in enumerate(rows)]
    generator, count = random.Random(settings["seed"]), settings["n_points"]
    found: dict[str, dict[str, Any]] = {}
    for _ in range(100 * count):  # a small space may not have so many different points
        if len(found) < count:
            params = {name: _draw(param, generator) for name, param in space.items()}
            found.setdefault(repr(params), params)
    return [Trial(number, params) for number, params in enumerate(found.values())]


def _all(param: Param) -> list[Any]:
    if isinstance(param, Choices):
        return list(param.values)
    return [param.low + number * (param.step or 1) for number in range(_count(param))]


def _draw(param: Param, generator: random.Random) -> Any:
    if isinstance(param, Choices):
        return generator.choice(param.values)
    if param.step or (param.integer and not param.log):
        return param.low + generator.randrange(_count(param)) * (param.step or 1)
    return _drawn(param, generator)


def _count(param: Interval) -> int:
    return int((param.high - param.low) / (param.step or 1) + 1e-9) + 1


def _drawn(param: Interval, generator: random.Random) -> float:
    if not param.log:
        return generator.uniform(param.low, param.high)
    value = math.exp(generator.uniform(math.log(param.low), math.log(param.high)))
    return round(value) if param.integer else min(max(value, param.low), param.high)
