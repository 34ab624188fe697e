"""Write mldlc.lock: the commit that every moving revision of the config, and of the data it reads, stands for now.

Remote repositories are fetched. Keep the lock in git. Pins of data that this config does not name stay.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from mldlc.cli.frame import emit
from mldlc.plan.diagnostic import DiagnosticError, fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc lock`."""
    parser.add_argument("overrides", nargs="*", help="the config whose revisions and data are pinned: experiment=x")
    parser.add_argument("-m", "--multirun", action="store_true", help="expand sweeps: key=a,b")
    parser.add_argument("-cn", "--config-name", default="config", help="primary config (default: config)")
    parser.add_argument("-cd", "--config-dir", default=None, help="one more config folder, searched first")
    parser.add_argument(
        "--update", action="append", default=[], metavar="NAME",
        help="make only this pin anew (main@../team, ../team, store://main); may be repeated",
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the lock would change")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Resolve every revision anew, or those of `--update`; write the lock, show what moved."""
    from mldlc.compiler.draft import CompileRequest
    from mldlc.config.lock import LOCK, Lock, dump_lock, parse_lock
    from mldlc.loop.relock import relock

    request = CompileRequest(
        Path.cwd(), tuple(args.overrides), args.config_name, args.multirun, args.config_dir, repin=tuple(args.update)
    )
    file = request.project.root / LOCK
    before = file.read_text(errors="replace") if file.is_file() else None
    try:
        known = parse_lock(before, LOCK)
    except DiagnosticError:  # half merged, or edited by hand: it is made anew
        known = Lock()
    lock = relock(request, known)
    text = dump_lock(lock)
    was, now = {**known.refs, **known.data}, {**lock.refs, **lock.data}
    moved = text != before and bool(was or now)
    if moved and not args.check:
        _write(file, text)
    status = "unchanged" if not moved else "outdated" if args.check else "written"
    _show(args, file, status, was, now)
    return 1 if status == "outdated" else 0


def _show(args: argparse.Namespace, file: Path, status: str, was: dict[str, Any], now: dict[str, Any]) -> None:
    for key in sorted({*was, *now}):
        if args.json:
            emit({"type": "pin", "revision": key, "commit": now.get(key), "was": was.get(key)})
        else:
            print(_line(key, was.get(key), now.get(key)))
    if args.json:
        emit({"format": "mldlc.lock/1", "status": status, "file": str(file), "pins": len(now)})
    else:
        names = {"unchanged": "nothing moved", "outdated": "would change", "written": "written"}
        print(f"{file.name}: {names[status] if was or now else 'the config names no moving revision'}.")


def _line(key: str, was: str | None, now: str | None) -> str:
    if was == now:
        return f"= {key}  {str(now)[:12]}"
    if was is None or now is None:
        return f"+ {key}  {now[:12]}" if now else f"- {key}  {str(was)[:12]}"
    return f"~ {key}  {was[:12]} -> {now[:12]}"


def _write(file: Path, text: str) -> None:
    temp = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temp.write_text(text)
        temp.replace(file)
    except OSError as error:
        raise fail("cannot_write", f"cannot write {file}: {error.strerror}") from None
