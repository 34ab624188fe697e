"""Answer a waiting gate with yes. The answer holds for exactly the evidence that was asked about."""

from __future__ import annotations

import argparse
import datetime
import getpass
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from mldlc.cli.frame import emit, outputs_argument, outputs_of
from mldlc.plan.diagnostic import did_you_mean, fail

DECISION = "approve"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc approve` and `mldlc reject`."""
    parser.add_argument("gate", help="the stage that waits")
    parser.add_argument("-w", "--why", default="", help="the reason, kept with the answer")
    parser.add_argument("--by", default=None, help="who answers (default: the user)")
    parser.add_argument("--evidence", default=None, metavar="DIGEST", help="which request, where several wait")
    parser.add_argument("--repo", action="store_true", help="write to approvals/ of the config repository, for git")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout")
    outputs_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Write the approval."""
    return answer(args, DECISION)


def answer(args: argparse.Namespace, decision: str) -> int:
    """Write <approvals>/<gate>/<evidence>.yaml; exit code 0, or 2 when nothing waits under that name."""
    outputs = outputs_of(args)
    request = _request(outputs / "approvals", args.gate, args.evidence)
    where = outputs / "approvals"
    if args.repo:
        from mldlc.config.project import find_project

        where = find_project(Path.cwd()).root / "approvals"
    path = where / args.gate / f"{request['digest']}.yaml"
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
    body = {"decision": decision, "by": args.by or getpass.getuser(), "at": now, "why": args.why}
    _write(path, "".join(f"{key}: {json.dumps(value)}\n" for key, value in body.items()))
    for check in request["evidence"].get("checks", []):
        print(f"  {'ok ' if check['ok'] else 'NO '} {check['text']}", file=sys.stderr if args.json else sys.stdout)
    text = f"{decision}: {args.gate} for evidence {request['digest'][:12]}, written to {path}"
    print(text, file=sys.stderr if args.json else sys.stdout)
    if args.json:
        emit(
            {"format": "mldlc.decision/1", "gate": args.gate, "evidence": request["digest"], **body, "file": str(path)}
        )
    return 0


def _request(folder: Path, gate: str, evidence: str | None) -> dict[str, Any]:
    waiting = {path.parent.name for path in folder.glob("*/*.request.json")}
    found = sorted((folder / gate).glob(f"{evidence or ''}*.request.json"), key=lambda p: p.stat().st_mtime)
    found = [
        path for path in found if evidence or not path.with_name(path.name.replace(".request.json", ".yaml")).exists()
    ]
    if not found:
        hint = did_you_mean(gate, waiting) if gate not in waiting else "every request of it has an answer"
        names = ", ".join(sorted(waiting)) or "none"
        raise fail(
            "no_request", f"command line: nothing waits under '{gate}'", hint=hint or f"gates with requests: {names}"
        )
    if len(found) > 1 and not evidence:
        print(f"note: {len(found)} requests wait; answering the newest (choose with --evidence)", file=sys.stderr)
    return {"digest": found[-1].name.removesuffix(".request.json"), **json.loads(found[-1].read_text())}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temp = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as out:
            out.write(text)
        Path(temp).chmod(0o644)
        Path(temp).replace(path)
    except OSError as error:
        raise fail("cannot_write", f"cannot write {path}: {error.strerror}") from None
