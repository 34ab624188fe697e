"""Asks users' own specs in a subprocess: planning imports no user code. Answers are cached by the code's hash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from mldlc.compiler.code import CodeHasher
from mldlc.compiler.draft import Draft, Typed
from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.schema_error import SchemaError
from mldlc.compiler.stamps import own_stamp, path_stamp
from mldlc.compiler.targets import check_target
from mldlc.compiler.watch import unmoved, watched
from mldlc.plan.codec import decode, ordered_digest
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location

Where = Callable[[], Location | None]  # called for an error only: finding a line is not free
TIMEOUT = 120.0  # seconds; a user's module may import torch


def reads(draft: Draft, kind: str, where: Where) -> list[str]:
    """Formal groups that a user's kind reads. Raises DiagnosticError when the kind cannot be had."""
    return list(_ask(draft, kind, {"op": "reads"}, where)["reads"])


def type_user_stage(
    draft: Draft, kind: str, configs: dict[str, Any], where: Where
) -> tuple[Typed | None, dict[str, list[SchemaError]]]:
    """As `type_stage`, in a subprocess with the project's code roots on its path."""
    answer = _ask(draft, kind, {"op": "type", "configs": configs}, where)
    errors = {
        formal: [decode(SchemaError, item) for item in found] for formal, found in answer.get("errors", {}).items()
    }
    return (None, errors) if errors else (decode(Typed, answer["typed"]), {})


def _ask(draft: Draft, kind: str, question: dict[str, Any], where: Where) -> dict[str, Any]:
    roots = draft.code
    found = check_target(kind, None, roots, ())
    if found:
        first = found[0]
        raise DiagnosticError(
            [Diagnostic("unknown_kind", first.message, where=where(), allowed=first.allowed, hint=first.hint)]
        )
    hasher = CodeHasher(roots, draft.outputs / "cache" / "code.json")
    code = hasher.closure([kind.partition(":")[0]])
    question = {**question, "kind": kind, "root": str(draft.root)}
    name = ordered_digest([code, question, os.environ.get("HOME"), own_stamp(), path_stamp()])
    file = draft.outputs / "cache" / "probe" / f"{name}.json"
    known = read_json(file)
    if known and unmoved(known["folders"]):
        return known
    answer = _run(question, [str(root) for root in roots], kind, where)
    folders = watched([decode(Typed, answer["typed"])]) if "typed" in answer else {}
    if folders is not None:
        write_json(file, {**answer, "folders": folders})
    return answer


def _run(question: dict[str, Any], roots: list[str], kind: str, where: Where) -> dict[str, Any]:
    command = [sys.executable, "-m", "mldlc.compiler.probe_main"]
    try:
        done = subprocess.run(
            command, input=json.dumps({**question, "roots": roots}), capture_output=True, text=True, timeout=TIMEOUT
        )
        answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {"failed": done.stderr[-2000:]}
    except subprocess.TimeoutExpired:
        answer = {"failed": f"no answer within {TIMEOUT:.0f} s"}
    if "failed" in answer:
        raise DiagnosticError(
            [Diagnostic("broken_kind", f"kind {kind} cannot be loaded: {answer['failed']}", where=where(), found=kind)]
        )
    return dict(answer)
