"""What distillation bought: teachers, student and undistilled twin beside each other."""

from __future__ import annotations

from typing import Any

from mldlc.report.numbers import number, percent, signed, words
from mldlc.report.sections.documents import document, section
from mldlc.report.sections.facts import arranged


def distillation(artifact: Any, timing: Any) -> dict[str, Any] | None:
    """Blocks as `arranged` gives them; times a row where `timing` tells them."""
    found = document(artifact, "distillation.json")
    if not found:
        return None
    metric, part = words(found["metric"]), found["part"]
    times = section(document(timing, "timing.json"), "models")
    rows = []
    for name, item in found["models"].items():
        row: dict[str, Any] = {"name": name, f"{part} {metric}": item["value"], "interval": _interval(item["interval"])}
        row |= {"parameters": item["parameters"], "bytes": item["bytes"]}
        if times:
            known = section(times, name)
            row |= {"µs a row": _micro(known.get("seconds_per_row")), "µs alone": _micro(known.get("seconds_one_row"))}
        rows.append(row)
    gain, kept = found["gain"], found["kept"]
    bought = {
        f"student over twin, {part} {metric}": f"{signed(gain['value'])} {_interval(gain['interval'])}",
        f"kept of the {found['teacher']}": f"{percent(kept['value'])} {_interval(kept['interval'])}",
        "parameters of the student over the teacher's": percent(found["size"]),
        "intervals": f"{percent(found['confidence'])} by {found['samples']} bootstrap samples of {found['rows']} rows, "
        "the same rows for all models",
    }
    return arranged({"what_distillation_bought": bought, "models": rows})


def _interval(ends: Any) -> str:
    return f"[{number(ends[0])}, {number(ends[1])}]" if ends else ""


def _micro(seconds: Any) -> Any:
    return None if seconds is None else float(f"{1e6 * seconds:.3g}")
