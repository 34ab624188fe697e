"""Write mldlc.lock: the commit that every moving git revision of the config stands for now. Keep it in git."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mldlc.cli.frame import emit
from mldlc.plan.diagnostic import DiagnosticError, fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc lock`."""
    parser.add_argument("overrides", nargs="*", help="overrides, where they name git sources (hydra.searchpath)")
    parser.add_argument("-cn", "--config-name", default="config", help="primary config (default: config)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the lock would change")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Resolve every revision anew, write the lock, show what moved."""
    from mldlc.config.compose import Request, compose
    from mldlc.config.lock import LOCK, dump_lock, key_of, parse_lock
    from mldlc.config.project import find_project

    project = find_project(Path.cwd(), locked=False)
    pins = compose(project, Request(args.config_name, tuple(args.overrides))).pins
    file = project.root / LOCK
    before = file.read_text(errors="replace") if file.is_file() else None
    try:
        known = parse_lock(before, LOCK).refs
    except DiagnosticError:  # half merged, or edited by hand: it is made anew
        known = {}
    text = dump_lock(pins)
    found = {key_of(pin.rev, pin.name): pin.commit for pin in pins if pin.rev != pin.commit}
    moved = text != before and bool(found or known)
    if moved and not args.check:
        _write(file, text)
    for key in sorted({*known, *found}):
        was, now = known.get(key), found.get(key)
        if args.json:
            emit({"type": "pin", "revision": key, "commit": now, "was": was})
        else:
            print(_line(key, was, now))
    status = "unchanged" if not moved else "outdated" if args.check else "written"
    if args.json:
        emit({"format": "mldlc.lock/1", "status": status, "file": str(file), "pins": len(found)})
    else:
        names = {"unchanged": "nothing moved", "outdated": "would change", "written": "written"}
        print(f"{LOCK}: {names[status] if found or known else 'the config names no moving revision'}.")
    return 1 if status == "outdated" else 0


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
