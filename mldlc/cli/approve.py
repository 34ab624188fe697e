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
from mldlc.compiler.graph_cache import root_of
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
    here, repo = outputs_of(args) / "approvals", root_of(Path.cwd()) / "approvals"
    request = _request(here, (repo, here), args.gate, args.evidence)
    where = repo if args.repo else here
    path = where / args.gate / f"{request['digest']}.yaml"
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
    body = {"decision": decision, "by": args.by or getpass.getuser(), "at": now, "why": args.why}
    _write(path, "".join(f"{key}: {json.dumps(value)}\n" for key, value in body.items()))
    for check in request["evidence"].get("checks", []):
        print(f"  {'ok ' if check['ok'] else 'NO '} {check['text']}", file=sys.stderr if args.json else sys.stdout)
    asked = f"asked by run {request['run']}, " if request.get("run") else ""
    text = f"{decision}: {args.gate} for evidence {request['digest'][:12]}, {asked}written to {path}"
    print(text, file=sys.stderr if args.json else sys.stdout)
    if args.json:
        emit(
            {"format": "mldlc.decision/1", "gate": args.gate, "evidence": request["digest"], **body, "file": str(path)}
        )
    return 0


def _request(folder: Path, answers: tuple[Path, ...], gate: str, evidence: str | None) -> dict[str, Any]:
    """The request to answer: the newest without an answer in any of the `answers`, or the one of `evidence`."""
    waiting = {path.parent.name for path in folder.glob("*/*.request.json")}
    every = sorted((folder / gate).glob("*.request.json"), key=lambda p: p.stat().st_mtime)
    digests = [path.name.removesuffix(".request.json") for path in every]
    if evidence:
        found = [digest for digest in digests if digest.startswith(evidence)]
    else:
        found = [digest for digest in digests if not any((at / gate / f"{digest}.yaml").exists() for at in answers)]
    if not found:
        message = f"command line: nothing waits under '{gate}'"
        names = ", ".join(sorted(waiting)) or "none"
        hint = did_you_mean(gate, waiting) or f"gates with requests: {names}"
        if gate in waiting and evidence:
            message = f"command line: '{gate}' has no request for evidence '{evidence}'"
            hint = f"there are: {', '.join(digest[:12] for digest in digests)}"
        elif gate in waiting:
            hint = "every request of it has an answer; to change one: --evidence DIGEST"
        raise fail("no_request", message, hint=hint)
    if len(found) > 1 and evidence:
        raise fail(
            "no_request", f"command line: evidence '{evidence}' names {len(found)} requests", hint="write more of it"
        )
    if len(found) > 1:
        others = ", ".join(digest[:12] for digest in found[:-1])
        print(
            f"note: {len(found)} requests wait; answering the newest (the others: --evidence {others})", file=sys.stderr
        )
    text = (folder / gate / f"{found[-1]}.request.json").read_text()
    return {"digest": found[-1], **json.loads(text)}


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
