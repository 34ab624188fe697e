"""Free what nothing keeps: old records of runs, leftovers, data that no branch, tag, draft or record needs.

--keep-commits N lets the data of older commits go as well, but for tags; their message and metadata stay.
Of a lakeFS repository: the drafts that failed runs left behind. The rest is its server's own.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mldlc.cli.data.place import MAIN, STORE, repository_arguments, repository_of
from mldlc.cli.data.refusals import reported
from mldlc.cli.data.verify import own_store
from mldlc.cli.frame import emit, outputs_of
from mldlc.cli.views.style import size
from mldlc.plan.diagnostic import fail

if TYPE_CHECKING:
    from mldlc.store.gc import GcReport


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data gc`."""
    parser.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")
    parser.add_argument(
        "--keep-days", type=float, default=30.0, metavar="DAYS", help="keep records used within so many days (30)"
    )
    parser.add_argument(
        "--keep-commits", type=int, default=None, metavar="N", help="data of each branch's last N commits"
    )
    parser.add_argument(
        "--grace-hours", type=float, default=24.0, metavar="HOURS", help="never touch what is younger (24)"
    )
    repository_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Collect."""
    from mldlc.engine.history import plan_keys
    from mldlc.store.gc import collect_garbage

    if not (args.grace_hours > 0 and math.isfinite(args.grace_hours)):
        raise _bad("--grace-hours", args.grace_hours, "more than 0: a run in progress needs it")
    if not (args.keep_days >= 0 and math.isfinite(args.keep_days)):
        raise _bad("--keep-days", args.keep_days, "0 or more")
    if args.keep_commits is not None and args.keep_commits < 1:
        raise _bad("--keep-commits", args.keep_commits, "1 or more: a branch keeps its head")
    if repository_of(args) != STORE:
        return _drop_drafts(args)
    report = collect_garbage(
        own_store(args, "gc"),
        keep=plan_keys(outputs_of(args)),
        dry_run=args.dry_run,
        grace_seconds=args.grace_hours * 3600,
        keep_days=args.keep_days,
        keep_commits=args.keep_commits,
    )
    if args.json:
        emit({"format": "mldlc.gc/1", "dry_run": args.dry_run, **asdict(report)})
    else:
        print(_text(report))
    return 0


@reported("gc")
def _drop_drafts(args: argparse.Namespace) -> int:
    """Abandon the drafts on lakeFS that nobody has touched within the grace."""
    from mldlc.store.lakefs.administration import left_drafts
    from mldlc.store.repository import open_repository

    repository = repository_of(args)
    if args.keep_commits is not None:
        raise fail("bad_arguments", f"command line: --keep-commits: {repository} is cared for by its server")
    versions: Any = open_repository(repository, outputs_of(args))
    runs = left_drafts(versions.repository, time.time() - args.grace_hours * 3600)
    for run in () if args.dry_run else runs:
        versions.draft(MAIN, run=run).abandon()
    if args.json:
        emit(
            {
                "format": "mldlc.gc/1",
                "repository": repository,
                "dry_run": args.dry_run,
                "drafts": len(runs),
                "runs": runs,
            }
        )
    else:
        word = "would drop" if args.dry_run else "dropped"
        print(f"{word} {len(runs)} drafts of {repository}" + "".join(f"\n  {run}" for run in runs))
    return 0


def _bad(flag: str, found: float, allowed: str) -> Exception:
    return fail("bad_arguments", f"command line: {flag} {found:g}", found=str(found), hint=f"it must be {allowed}")


def _text(report: GcReport) -> str:
    word = "would free" if report.dry_run else "freed"
    text = f"{word} {size(report.bytes)} in {report.objects} objects and {report.records} records"
    more = [f"{count} {name}" for name, count in (("commits", report.commits), ("drafts", report.drafts)) if count]
    if report.expired:
        more.append(f"the data of {report.expired} commits that stay")
    return text + (f"; {', '.join(more)}" if more else "")
