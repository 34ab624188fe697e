"""Compare two plans, two runs or two git revisions of the config (`A B` or `A..B`): config, code, data, metrics.

Metrics are those of the runs; of a saved plan or a revision, those of its last run, if it was ever run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.cli.views.style import coloured, paint
from mldlc.plan.codec import encode
from mldlc.plan.diagnostic import fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc diff`."""
    parser.add_argument(
        "sides", nargs="+", metavar="A B [overrides]", help="plan.json, run, latest or revision; or A..B"
    )
    parser.add_argument("-cn", "--config-name", default="config", help="primary config, for revisions")
    parser.add_argument("-cd", "--config-dir", default=None, help="one more config folder, for revisions")
    parser.add_argument("-m", "--multirun", action="store_true", help="expand sweeps, for revisions")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the differences; exit code 0 in any case."""
    from mldlc.compiler.draft import CompileRequest
    from mldlc.loop.compare import changes, side

    names = [item for item in args.sides if "=" not in item and not item.startswith("~")]
    overrides = tuple(item for item in args.sides if item not in names)
    if len(names) == 1 and ".." in names[0]:
        names = list(names[0].split("..", 1))
    if len(names) != 2:
        raise fail("bad_arguments", f"command line: diff compares two things, got {len(names)}", hint="mldlc diff A B")
    request = CompileRequest(Path.cwd(), overrides, args.config_name, args.multirun, args.config_dir)
    left, right = (side(name or "HEAD", outputs_of(args), request) for name in names)
    found = changes(left, right)
    if args.json:
        for change in found:
            emit({"type": "change", **encode(change)})
        emit({"format": "mldlc.diff/1", "left": left.plan.id, "right": right.plan.id, "changes": len(found)})
    else:
        print("\n".join(lines(found, coloured())) if found else "No difference.")
    return 0


def lines(found: list[Any], colour: bool) -> list[str]:
    """Changes grouped by area: - old, + new."""
    out: list[str] = []
    area = ""
    for change in found:
        if change.area != area:
            area = change.area
            out.append(paint(area, "bold", colour))
        if change.area == "metric" and isinstance(change.old, int | float) and isinstance(change.new, int | float):
            out.append(f"  {change.name}: {change.old:.5g} -> {change.new:.5g} ({change.new - change.old:+.3g})")
        elif change.old is None:
            out.append(paint(f"  + {change.name}: {_show(change.new)}", "green", colour))
        elif change.new is None:
            out.append(paint(f"  - {change.name}: {_show(change.old)}", "red", colour))
        else:
            out.append(f"  {change.name}: {_show(change.old)} -> {_show(change.new)}")
    return out


def _show(value: object) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
