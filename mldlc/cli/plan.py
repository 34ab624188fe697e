"""Compile the config and say what would run, and why. Executes nothing, writes nothing but outputs/cache (and -o)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mldlc.cli.frame import compile_from, config_arguments, emit
from mldlc.cli.views import plan_text
from mldlc.cli.views.style import coloured
from mldlc.plan.codec import encode
from mldlc.plan.diagnostic import Diagnostic, fail
from mldlc.plan.plan import Plan, dump

CHANGES = 4


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc plan`."""
    config_arguments(parser)
    parser.add_argument(
        "-o", "--out", default=None, metavar="FILE", help="write the plan (mldlc.plan/1) for `mldlc run FILE`"
    )
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 4 when something would run")


def run(args: argparse.Namespace) -> int:
    """Show the plan."""
    plan = compile_from(args)
    if args.out:
        write_plan(plan, Path(args.out))
    if args.json:
        for step in plan.steps:
            emit({"type": "step", **encode(step)})
        emit(summary(plan))
    text = sys.stderr if args.json else sys.stdout
    print("\n".join(plan_text.lines(plan, coloured(text))), file=text)
    for item in (*plan.diagnostics, *_lacking(plan)):
        print(f"{item.severity}: {item}", file=sys.stderr)
    if "search" in plan.settings:
        from mldlc.cli.views.search_text import about

        print(f"{about(plan.settings['search'])}. This is the configured point.", file=text)
    print(f"{plan_text.closing(plan)} Nothing was executed.", file=text)
    return CHANGES if args.detailed_exitcode and plan.changes() else 0


def _lacking(plan: Plan) -> list[Diagnostic]:
    """A search that nothing installed can run: the plan of its configured point holds all the same."""
    kind = plan.settings.get("search", {}).get("kind", "halving")
    if kind == "halving":
        return []
    from mldlc.loop.search import has_plugin, no_plugin

    return [] if has_plugin(kind) else [no_plugin(kind, "warning")]


def summary(plan: Plan) -> dict[str, object]:
    """The last line of `plan --json`: mldlc.plan-summary/1."""
    return {
        "format": "mldlc.plan-summary/1",
        "plan": plan.id,
        "name": plan.name,
        "points": len(plan.points),
        "counts": plan.counts(),
        "changes": plan.changes(),
        "diagnostics": [encode(item) for item in (*plan.diagnostics, *_lacking(plan))],
    }


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan atomically."""
    try:
        temp = path.with_name(f".{path.name}.tmp")
        temp.write_text(dump(plan) + "\n")
        temp.replace(path)
    except OSError as error:
        raise fail("cannot_write", f"cannot write the plan to {path}: {error.strerror}") from None
