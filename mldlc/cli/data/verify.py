"""Rehash every object of the store; check every record, branch, tag, draft, commit and tree. Exit 1: damage."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from mldlc.cli.data.place import STORE, repository_arguments, repository_of
from mldlc.cli.frame import emit, outputs_of
from mldlc.cli.views.bar import bar
from mldlc.plan.diagnostic import fail
from mldlc.store.layout import Store, existing_store


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data verify`."""
    repository_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Verify."""
    from mldlc.store.verify import verify

    store = own_store(args, "verify")
    with bar("verify", "objects") as report:
        problems = verify(store, report)
    text = sys.stderr if args.json else sys.stdout
    for problem in problems:
        if args.json:
            emit({"type": "problem", **asdict(problem), "path": str(problem.path)})
        print(problem, file=text)
    print(f"{len(problems)} problems." if problems else "Everything is as recorded.", file=text)
    if args.json:
        emit({"format": "mldlc.verify/1", "status": "failed" if problems else "ok", "problems": len(problems)})
    return 1 if problems else 0


def own_store(args: argparse.Namespace, verb: str) -> Store:
    """The store under the outputs root. DiagnosticError: `no_store`, `bad_arguments` for a lakeFS repository."""
    repository, outputs = repository_of(args), outputs_of(args)
    if repository != STORE:
        raise fail("bad_arguments", f"command line: {verb} is for the store; {repository} is cared for by its server")
    store = existing_store(outputs)
    if store is None:
        raise fail("no_store", f"there is no store under {outputs}", hint="run something first, or name --outputs")
    return store
