"""Asks in a subprocess what planning must not import: users' own specs, and functions that need torch.

Answers are cached by the code's hash.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
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
TIMEOUT = 300.0  # seconds; importing torch takes a slow machine a while


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


def ask_function(draft: Draft, function: str, question: Mapping[str, Any], code: str) -> dict[str, Any]:
    """The answer of a "module:function", or {"failed": why}. code: digest of what it hangs on besides the question."""
    name = ordered_digest([code, function, question, own_stamp(), path_stamp()])
    file = draft.outputs / "cache" / "probe" / f"{name}.json"
    known = read_json(file)
    if known:
        return dict(known["answer"])
    asked = {"op": "call", "function": function, "question": question}
    answer = _run(asked, [str(root) for root in draft.code])
    if "answer" not in answer:
        return answer
    write_json(file, answer)
    return dict(answer["answer"])


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
    answer = _run(question, [str(root) for root in roots])
    if "failed" in answer:
        raise DiagnosticError(
            [Diagnostic("broken_kind", f"kind {kind} cannot be loaded: {answer['failed']}", where=where(), found=kind)]
        )
    folders = watched([decode(Typed, answer["typed"])]) if "typed" in answer else {}
    if folders is not None:
        write_json(file, {**answer, "folders": folders})
    return answer


def _run(question: dict[str, Any], roots: list[str]) -> dict[str, Any]:
    """The answer of a new process, or {"failed": why}."""
    command = [sys.executable, "-m", "mldlc.compiler.probe_main"]
    try:
        done = subprocess.run(
            command, input=json.dumps({**question, "roots": roots}), capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer within {TIMEOUT:.0f} s"}
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.stdout.strip() else {"failed": done.stderr[-2000:]}
