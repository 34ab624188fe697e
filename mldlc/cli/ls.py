"""List runs (the default), sweeps, the config groups and their options, or the kinds of step."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.cli.views.style import duration
from mldlc.plan.diagnostic import fail
from mldlc.plan.label import arguments_of

LISTS = ("runs", "sweeps", "groups", "kinds")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc ls`."""
    parser.add_argument(
        "what",
        nargs="?",
        default="runs",
        choices=(*LISTS, "sweep"),
        help="what to list (runs)",
    )
    parser.add_argument("-n", "--most", type=int, default=20, help="runs, sweeps: show the newest N (20)")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    args.what = "sweeps" if args.what == "sweep" else args.what
    rows = {"runs": _runs, "sweeps": _sweeps, "groups": _groups, "kinds": _kinds}[args.what](args)
    if args.json:
        for row in rows:
            emit({"type": args.what.rstrip("s"), **row})
        emit({"format": "mldlc.ls/1", "what": args.what, "count": len(rows)})
    elif rows:
        print("\n".join(_table(rows)))
    else:
        print(f"no {args.what} under {outputs_of(args)}" if args.what in ("runs", "sweeps") else f"no {args.what}")
    return 0


def _runs(args: argparse.Namespace) -> list[dict[str, Any]]:
    from mldlc.engine.history import runs

    found = sorted(runs(outputs_of(args)), key=lambda info: info.run, reverse=True)
    _check_most(args)
    return [
        {
            "run": info.run,
            "name": info.name,
            "status": info.status,
            "started": datetime.datetime.fromtimestamp(info.started).isoformat(" ", "seconds") if info.started else "",
            "took": duration(info.seconds) if info.seconds else "",
            "metrics": _metrics(info.metrics),
        }
        for info in found[: args.most]
    ]


def _check_most(args: argparse.Namespace) -> None:
    if args.most < 1:
        raise fail("bad_arguments", "command line: --most must be at least 1")


def _sweeps(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The newest sweeps: their points, the best one and what it is judged by."""
    from mldlc.engine.history import runs
    from mldlc.loop.sweeps import read_sweep

    _check_most(args)
    rows: list[dict[str, Any]] = []
    for info in sorted(runs(outputs_of(args)), key=lambda info: info.run, reverse=True):
        sweep = read_sweep(info)
        if sweep is None:
            continue
        value = next((sweep.value(row) for row in sweep.rows if row.label == sweep.best), None)
        rows.append(
            {
                "run": info.run,
                "name": info.name,
                "status": info.status,
                "points": len(sweep.rows),
                "unfinished": sum(1 for row in sweep.rows if row.end),
                "took": duration(info.seconds) if info.seconds else "",
                "by": sweep.by,
                "value": "" if value is None else f"{value:.4f}",
                "best": arguments_of(sweep.best),
            }
        )
        if len(rows) == args.most:
            break
    return rows


def _metrics(metrics: dict[str, Any]) -> str:
    test = metrics.get("test") or next((v for v in metrics.values() if isinstance(v, dict)), {})
    shown = [(k, v) for k, v in test.items() if isinstance(v, int | float) and not isinstance(v, bool)]
    return " ".join(f"{k}={v:.4f}" for k, v in shown[:3])


def _groups(args: argparse.Namespace) -> list[dict[str, Any]]:
    from mldlc.config.groups import describe_groups
    from mldlc.config.project import find_project

    return [
        {"group": group, "options": ", ".join(options)}
        for group, options in describe_groups(find_project(Path.cwd())).items()
    ]


def _kinds(args: argparse.Namespace) -> list[dict[str, Any]]:
    from mldlc import catalog

    rows = []
    for kind in catalog.kinds():
        spec = catalog.load_spec(kind)
        takes = ", ".join(
            f"{name}: {port.type}{'' if port.arity == 'one' else f' ({port.arity})'}"
            for name, port in spec.inputs.items()
        )
        gives = ", ".join(f"{name}: {type}" for name, type in spec.outputs.items())
        rows.append({"kind": kind, "reads": ", ".join(spec.reads), "takes": takes, "gives": gives})
    return rows


def _table(rows: list[dict[str, Any]]) -> list[str]:
    names = list(rows[0])
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in names}
    lines = ["  ".join(f"{name:<{widths[name]}}" for name in names)]
    lines += ["  ".join(f"{row[name]!s:<{widths[name]}}" for name in names) for row in rows]
    return [line.rstrip() for line in lines]
