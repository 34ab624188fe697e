"""`mldlc run` of a config that asks for a search: runs it, tells the trials and the best of them."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from mldlc.cli.frame import emit, request_from
from mldlc.cli.views.progress import listener
from mldlc.cli.views.search_text import about, table
from mldlc.engine.result import Options
from mldlc.loop.halving import halve
from mldlc.loop.search import Found, Trial, search
from mldlc.plan.plan import Plan


def run_search(args: argparse.Namespace, base: Plan, options: Options) -> int:
    """Run the search of a compiled base plan; the exit code."""
    from mldlc.cli.run import EXIT, show_result, stopping, summary

    settings = base.settings["search"]
    text = sys.stderr if args.json else sys.stdout
    print(about(settings), file=text, flush=True)
    with stopping() as (stop, signals):
        found = (halve if settings["kind"] == "halving" else search)(
            request_from(args), base, options, lambda plan: listener(plan, args.json), stop,
            lambda line: print(line, file=text, flush=True),
        )  # fmt: skip
    if found.plan is not None and found.result is not None:
        show_result(found.plan, found.result, found.page, text)
    updates = f", {found.updates} optimizer steps" if found.updates else ""
    print(f"Study {found.study}: {len(found.rounds)} runs, {found.executed} steps executed{updates}.", file=text)
    print("\n".join(table(found)), file=text)
    if found.status == "stopped":
        print("Stopped; the same command continues the search.", file=text)
    if args.json:
        last: dict[str, Any] = summary(found.result, found.page) if found.result else {"format": "mldlc.run/1"}
        emit({**last, "status": found.status, "search": told(found)})
    return 128 + signals[0] if found.status == "stopped" and signals else EXIT.get(found.status, 130)


def told(found: Found) -> dict[str, Any]:
    """A search in the summary of `run --json`."""
    return {
        "study": found.study,
        "objective": [{"metric": goal.metric, "mode": goal.mode} for goal in found.goals],
        "runs": found.rounds,
        "executed": found.executed,
        "updates": found.updates,
        "trials": [_trial(trial) for trial in found.trials],
        "best": [trial.number for trial in found.best],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "params": trial.params,
        "overrides": list(trial.lines),
        "values": list(trial.values),
    }
