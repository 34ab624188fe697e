"""The store: `verify` rehashes every object and checks every record; `gc` frees what nothing keeps."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.cli.views.style import size
from mldlc.plan.diagnostic import fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data`."""
    parser.add_argument("what", choices=("verify", "gc"), help="verify: rehash everything; gc: free what nothing keeps")
    parser.add_argument("--dry-run", action="store_true", help="gc: say what would go, remove nothing")
    parser.add_argument("--keep-days", type=float, default=30.0, help="gc: keep records used within so many days (30)")
    parser.add_argument("--grace-hours", type=float, default=24.0, help="gc: never touch what is younger (24)")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Verify or collect; verify exits 1 when something is wrong."""
    from mldlc.store.layout import existing_store

    outputs = outputs_of(args)
    store = existing_store(outputs)
    if store is None:
        raise fail("no_store", f"there is no store under {outputs}", hint="run something first, or name --outputs")
    if args.what == "verify":
        return _verify(store, args.json)
    return _gc(store, args, outputs)


def _verify(store: object, as_json: bool) -> int:
    from mldlc.store.verify import verify

    problems = verify(store)  # type: ignore[arg-type]
    for problem in problems:
        if as_json:
            emit({"type": "problem", **asdict(problem)})
        print(problem, file=sys.stderr if as_json else sys.stdout)
    if as_json:
        emit({"format": "mldlc.verify/1", "status": "failed" if problems else "ok", "problems": len(problems)})
    print(
        f"{len(problems)} problems." if problems else "Everything is as recorded.",
        file=sys.stderr if as_json else sys.stdout,
    )
    return 1 if problems else 0


def _gc(store: object, args: argparse.Namespace, outputs: object) -> int:
    from mldlc.engine.history import plan_keys
    from mldlc.store.gc import collect_garbage

    report = collect_garbage(
        store,
        keep=plan_keys(outputs),
        dry_run=args.dry_run,
        grace_seconds=args.grace_hours * 3600,
        keep_days=args.keep_days,
    )  # type: ignore[arg-type]
    if args.json:
        emit({"format": "mldlc.gc/1", "dry_run": args.dry_run, **asdict(report)})
    else:
        word = "would free" if args.dry_run else "freed"
        print(f"{word} {size(report.bytes)} in {report.objects} objects and {report.records} records")
    return 0
