"""One run: its steps, metrics, errors and files. A live run is followed until it ends (or Ctrl-C)."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from dataclasses import replace
from typing import Any

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.cli.views import metrics_text, sweep_text
from mldlc.cli.views.style import coloured, duration, paint, size
from mldlc.engine.history import RunInfo, follow, read_run
from mldlc.loop.sweeps import Sweep, read_sweep
from mldlc.plan.codec import encode
from mldlc.plan.diagnostic import fail

COLOURS = {"ok": "green", "failed": "red", "rejected": "red", "waiting": "magenta", "running": "blue"}
MARKS = {
    "ran": "+",
    "reused": "=",
    "in_place": "=",
    "applied": "!",
    "failed": "x",
    "skipped": "-",
    "waiting": "!",
    "rejected": "x",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc show`."""
    parser.add_argument("run", nargs="?", default="latest", help="a run, the start of its name, or latest (default)")
    parser.add_argument("--csv", action="store_true", help="of a sweep: every point with all its metrics, as CSV")
    parser.add_argument("--steps", action="store_true", help="of a sweep: its steps too")
    parser.add_argument("--no-follow", action="store_true", help="do not follow a live run")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Show the run."""
    outputs = outputs_of(args)
    info = read_run(outputs, args.run)
    if info.status == "running" and not args.no_follow:
        _follow(outputs, info, args.json)
        info = read_run(outputs, info.run)
    info = in_order(info)
    sweep = read_sweep(info)
    if args.csv:
        if sweep is None:
            raise fail("no_sweep", f"run {info.run} is no sweep: it has one point", hint="mldlc ls sweeps")
        sys.stdout.write(sweep_text.csv_text(sweep))
    elif args.json:
        for id, step in info.steps.items():
            emit({"type": "step", "step": id, **step})
        for row in sweep.rows if sweep else ():
            emit({"type": "point", **sweep_text.point(sweep, row)})
        swept = {"points": len(sweep.rows), "best": sweep.best, "by": sweep.by} if sweep else {}
        emit({"format": "mldlc.show/1", **summary(info), **swept})
    else:
        print("\n".join(lines(info, coloured(), sweep, args.steps)))
    return 0


def in_order(info: RunInfo) -> RunInfo:
    """The run with its steps in the order of its plan; its summary has them by name."""
    try:
        ids = [str(step["id"]) for step in json.loads((info.folder / "plan.json").read_bytes())["steps"]]
    except (OSError, ValueError):
        return info
    known = {id: info.steps[id] for id in ids if id in info.steps}
    return replace(info, steps={**known, **info.steps})


def _follow(outputs: Any, info: RunInfo, as_json: bool) -> None:
    from mldlc.cli.views.progress import describe

    for event in follow(outputs, info.run):
        if as_json:
            emit({"type": event.type, "time": event.time, "step": event.step, **encode(event.data)})
        elif text := describe(event):
            print(f"{event.step:<14}{text}", flush=True)


def summary(info: RunInfo) -> dict[str, Any]:
    """The run without its steps, as JSON."""
    return {
        "run": info.run,
        "plan": info.plan,
        "name": info.name,
        "status": info.status,
        "counts": info.counts,
        "metrics": info.metrics,
        "seconds": info.seconds,
        "folder": str(info.folder),
    }


def lines(info: RunInfo, colour: bool, sweep: Sweep | None = None, steps: bool = False) -> list[str]:
    """The run for a person; a sweep is shown by its points."""
    started = datetime.datetime.fromtimestamp(info.started).isoformat(" ", "seconds") if info.started else "?"
    out = [
        f"{info.run}  {paint(info.status, COLOURS.get(info.status, 'yellow'), colour)}  {info.name}",
        f"started {started}, took {duration(info.seconds)}, plan {info.plan[:12]}",
    ]
    if sweep is not None:
        out += sweep_text.lines(sweep, colour)
    told = {id: step for id, step in info.steps.items() if sweep is None or steps or step.get("error")}
    width = max([len(id) for id in told] + [8]) + 2
    for id, step in told.items():
        status = str(step.get("status", "?"))
        took = duration(step["seconds"]) if status == "ran" and step.get("seconds") is not None else ""
        memory = f"peak {size(step['memory'])}" if status == "ran" and step.get("memory") else ""
        wait = (step.get("summary") or {}).get("data_wait")
        waited = (
            f"  waited {wait:.1%} of its steps for data" if status == "ran" and isinstance(wait, int | float) else ""
        )
        out.append(f"  {MARKS.get(status, ' ')} {id:<{width}}{status:<10}{took:<10}{memory}{waited}".rstrip())
        error = step.get("error")
        if error:
            out.append(paint(f"      {error.get('message', error)}", "red", colour))
        if status == "waiting":
            out.append(f"      mldlc approve {step.get('stage', id)} | mldlc reject {step.get('stage', id)}")
    out += metrics_text.lines(info.metrics) if sweep is None else []
    page = info.folder / "report.html"
    out.append(f"folder {info.folder}")
    return [*out, f"report {page}"] if page.exists() else out
