"""What the points of a sweep that worked on the data bought, against those that worked on the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FAMILIES = {
    "data": frozenset({"source", "clean", "split", "labels", "prepare", "select", "features", "expect"}),
    "model": frozenset({"model", "objective", "optimizer", "trainer", "callbacks", "ingest", "distill", "update"}),
    "chance": frozenset({"seed"}),
}
"""What a point works on, by the groups it sets; another seed is no work: it shows how much is chance."""


def family(overrides: Mapping[str, str]) -> str:
    """data, model or chance, where all that a point sets belongs to one; "" for a mixture and for the base."""
    groups = {key.split(".")[0].split("/")[0] for key in overrides}
    return next((name for name, members in FAMILIES.items() if groups and groups <= members), "")


def compare_work(points: Sequence[Mapping[str, Any]], metric: str, mode: str) -> dict[str, Any] | None:
    """{base, rows: [{name, points, best, gain, per_point, test_gain, point}]} against the point as configured.

    None without such a point or without points of either family. points: as in comparison.json.
    """
    base = next((point for point in points if not point["overrides"]), None)
    if base is None or base["value"] is None:
        return None
    sign = 1.0 if mode == "max" else -1.0
    rows = []
    for name in FAMILIES:
        mine = [p for p in points if family(p["overrides"]) == name and p["value"] is not None]
        if not mine:
            continue
        best = max(mine, key=lambda point: (sign * point["value"], point["point"]))
        gain = sign * (best["value"] - base["value"])
        tests = [(point["parts"].get("test") or {}).get(metric) for point in (best, base)]
        known = all(isinstance(value, int | float) for value in tests)
        rows.append(
            {"name": name, "points": len(mine), "best": best["value"], "gain": gain, "per_point": gain / len(mine),
             "test_gain": sign * (tests[0] - tests[1]) if known else None, "point": best["point"]}
        )  # fmt: skip
    return {"base": base["value"], "rows": rows} if rows else None
