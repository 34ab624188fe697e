"""Make a run again from its pins and compare digests, step by step. Nothing of it stays, and no effect is repeated.

Exit code 0: all equal. 1: something differs, with a table of what. 2: a pin is gone (data, code, a package), named.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.cli.views.style import coloured, duration, paint
from mldlc.plan.codec import encode

COLOURS = {"equal": "dim", "close": "green", "differs": "red", "follows": "yellow", "missing": "red"}
MARKS = {"equal": "=", "close": "=", "differs": "x", "follows": "~", "missing": "x"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc reproduce`."""
    parser.add_argument("run", nargs="?", default="latest", help="a run, the start of its name, or latest (default)")
    parser.add_argument("--until", default="", metavar="STAGE", help="make again up to this stage")
    parser.add_argument("--allow-drift", action="store_true", help="run even where packages or mldlc itself moved")
    parser.add_argument("--keep", default=None, metavar="DIR", help="work in this new folder and keep it")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="relative, for nondeterministic steps (1e-5)")
    parser.add_argument("-j", "--jobs", type=int, default=None, help="steps at a time")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout, text on stderr")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Rebuild, execute, compare, clean up."""
    from mldlc.cli.run import stopping
    from mldlc.plan.diagnostic import fail

    with stopping() as (stop, signals):
        if args.keep and Path(args.keep).exists():
            raise fail("bad_arguments", f"command line: {args.keep} is there already", hint="name a new folder")
        scratch = Path(args.keep).absolute() if args.keep else Path(tempfile.mkdtemp(prefix="mldlc-reproduce-"))
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            return _reproduce(args, scratch, stop, signals)
        finally:
            if not args.keep:
                shutil.rmtree(scratch, ignore_errors=True)


def _reproduce(args: argparse.Namespace, scratch: Path, stop: object, signals: list[int]) -> int:
    from mldlc.cli.views.progress import listener
    from mldlc.engine.execute import Options
    from mldlc.loop.rebuild import rebuild
    from mldlc.loop.reproduce import reproduce

    outputs = outputs_of(args)
    rebuilt = rebuild(outputs, args.run, scratch, drift=args.allow_drift, until=args.until)
    executor = rebuilt.plan.settings.get("executor", {})
    options = Options(jobs=args.jobs or executor.get("jobs"), on_error="keep_going")
    with listener(rebuilt.plan, args.json) as show:
        result, found = reproduce(rebuilt, outputs, options, show, stop, args.tolerance)  # type: ignore[arg-type]
    stopped = result.status == "stopped"
    wrong = [item for item in found if item.verdict not in ("equal", "close")]
    status = "stopped" if stopped else "differs" if wrong else "equal"
    counts = {verdict: sum(item.verdict == verdict for item in found) for verdict in COLOURS}
    text = sys.stderr if args.json else sys.stdout
    for note in rebuilt.notes:
        print(f"note: {note}", file=sys.stderr)
    if not stopped:
        width = max(len(f"{item.step}.{item.port}") for item in found) + 2
        for item in wrong or found:
            now = item.now[:12] or "-"
            line = f"{MARKS[item.verdict]} {item.step + '.' + item.port:<{width}}{item.verdict:<9}"
            line += f"{item.then[:12]} -> {now:<14}{item.detail}" if item.verdict != "equal" else item.then[:12]
            print(paint(line.rstrip(), COLOURS[item.verdict], coloured(text)), file=text)
    for step, why in rebuilt.left_out.items():
        print(f"- {step}: not made again: {why}", file=text)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    print(f"Run {rebuilt.run}: {status}. {told}. {duration(result.seconds)}.", file=text)
    if args.json:
        for item in found:
            emit({"type": "comparison", **encode(item)})
        emit({
            "format": "mldlc.reproduce/1", "run": rebuilt.run, "plan": rebuilt.plan.id, "status": status,
            "counts": counts, "left_out": rebuilt.left_out, "notes": list(rebuilt.notes),
            "seconds": round(result.seconds, 3), "folder": str(scratch) if args.keep else None,
        })  # fmt: skip
    return (128 + signals[0] if signals else 130) if stopped else 1 if wrong else 0
