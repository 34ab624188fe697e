"""Execute a plan: only what changed. The same command again continues an interrupted run."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mldlc.cli.frame import compile_from, config_arguments, emit
from mldlc.cli.views import metrics_text
from mldlc.cli.views.progress import listener
from mldlc.cli.views.style import coloured, duration
from mldlc.plan.plan import Plan

EXIT = {"ok": 0, "failed": 1, "rejected": 1, "waiting": 3}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc run`."""
    config_arguments(parser)
    parser.add_argument(
        "-j", "--jobs", type=_positive, default=None, help="steps at a time (default: executor.jobs, else CPUs)"
    )
    parser.add_argument("-k", "--keep-going", action="store_true", help="run independent branches after a failure")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of at least 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Compile (or read plan.json) and execute."""
    plan = _plan(args)
    from mldlc.engine.execute import Options
    from mldlc.loop.execute import run_settled

    executor = plan.settings.get("executor", {})
    options = Options(
        jobs=args.jobs or executor.get("jobs"),
        on_error="keep_going" if args.keep_going else executor.get("on_error", "fail_fast"),
        retries=executor.get("retries", 1),
        grace=executor.get("grace_seconds", 20.0),
    )
    for item in plan.diagnostics:
        print(f"{item.severity}: {item}", file=sys.stderr)
    if "search" in plan.settings and not _saved(args):
        from mldlc.cli.search import run_search

        return run_search(args, plan, options)
    with stopping() as (stop, signals), listener(plan, args.json) as show:
        again = None if _saved(args) else lambda: compile_from(args)
        plan, result, report = run_settled(plan, again, options, show, stop)
    text = sys.stderr if args.json else sys.stdout
    sweep = show_result(plan, result, report, text)
    if result.status == "stopped":
        print("Stopped; the same command continues it.", file=text)
    if args.json:
        from mldlc.cli.views import sweep_text

        swept = {"best": sweep.best, "points": [sweep_text.point(sweep, row) for row in sweep.rows]} if sweep else {}
        emit({**summary(result, report), **swept})
    return 128 + signals[0] if result.status == "stopped" and signals else EXIT.get(result.status, 130)


def show_result(plan: Plan, result: Any, report: Path | None, text: Any) -> Any:
    """Tell how a run ended and what it measured; gives the table of a sweep, None of a plain run."""
    counts = ", ".join(f"{count} {name}" for name, count in result.counts.items() if count) or "nothing to do"
    print(f"Run {result.run}: {result.status}. {counts}. {duration(result.seconds)}.", file=text)
    sweep = None
    if len(plan.points) > 1:
        from mldlc.cli.views import sweep_text
        from mldlc.loop.sweeps import sweep_of

        sweep = sweep_of(plan, {id: vars(step) for id, step in result.steps.items()}, Path(plan.outputs))
        print("\n".join(sweep_text.lines(sweep, coloured(text))), file=text)
    for line in metrics_text.lines(result.metrics) if sweep is None else ():
        print(line, file=text)
    if report is not None:
        print(f"Report: {report if report.name == 'report.html' else report.parent / 'report-*.html'}", file=text)
    return sweep


def _plan(args: argparse.Namespace) -> Plan:
    files = _saved(args)
    if not files:
        return compile_from(args)  # type: ignore[no-any-return]
    from mldlc.compiler.draft import Selection
    from mldlc.loop.stale import load_plan, refresh
    from mldlc.plan.diagnostic import fail

    if len(args.overrides) > 1:
        raise fail("bad_arguments", "command line: a saved plan takes no overrides", hint="make a new plan with them")
    file = Path(files[0])
    return refresh(load_plan(file), file, Selection(args.until, args.since, tuple(args.force)))


def _saved(args: argparse.Namespace) -> list[str]:
    """The plan file on the command line, if one is there."""
    return [item for item in args.overrides if item.endswith(".json") and "=" not in item]


def summary(result: Any, report: Path | None) -> dict[str, object]:
    """The last line of `run --json`: mldlc.run/1."""
    counts = {"run": 0, "reuse": 0, "skip": 0, "failed": 0, "gate": 0, **result.counts}
    return {
        "format": "mldlc.run/1",
        "run": result.run,
        "plan": result.plan,
        "status": result.status,
        "counts": counts,
        "metrics": result.metrics,
        "seconds": round(result.seconds, 3),
        "report": str(report) if report else None,
        "errors": {id: step.error for id, step in result.steps.items() if step.error},
    }


@contextmanager
def stopping() -> Iterator[tuple[threading.Event, list[int]]]:
    """Ctrl-C, SIGTERM and a terminal that is closed ask the run to stop; a second one goes through at once."""
    stop, received = threading.Event(), []  # type: ignore[var-annotated]

    def handle(number: int, frame: object) -> None:
        received.append(number)
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        stop.set()

    asked = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` means: go on
        asked.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in asked}
    try:
        yield stop, received
    finally:
        for number, old in before.items():
            signal.signal(number, old)
