"""The other end of `probe`: a fresh process that imports what it is asked about and answers one question, as JSON."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from mldlc import deferred


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Answer {"op": "reads"} or {"op": "type", "configs": ...} about `question["kind"]`, or call a function."""
    sys.path[:0] = question["roots"]
    if question["op"] == "call":
        module, _, name = question["function"].partition(":")
        return {"answer": getattr(importlib.import_module(module), name)(question["question"])}
    from mldlc.catalog import load_spec
    from mldlc.plan.codec import encode

    spec = load_spec(question["kind"])
    if question["op"] == "reads":
        return {"reads": list(spec.reads)}
    from mldlc.compiler.typed import type_stage

    typed, errors = type_stage(spec, question["configs"], Path(question["root"]), question["kind"])
    if errors:
        return {"errors": encode(errors)}
    return {"typed": encode(typed)}


def main() -> None:
    """Read the question from stdin; whatever user code prints goes to stderr."""
    question = json.load(sys.stdin)
    deferred.install()
    sys.dont_write_bytecode = True  # nothing is written beside the user's code, nor may an edit meet what was compiled
    with contextlib.redirect_stdout(sys.stderr):
        try:
            found = answer(question)
        except Exception as error:  # a user's module may raise anything; the planner shows it as one diagnostic
            found = {"failed": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
