"""What a version store refuses, as the command tells it: one line, with --json a summary too, and the exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import wraps

from mldlc.cli.frame import emit
from mldlc.plan.codec import encode
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, fail
from mldlc.plan.versions import (
    Conflict,
    DataExpired,
    Denied,
    InvalidName,
    InvalidPath,
    PathNotFound,
    RefExists,
    RefNotFound,
    StaleRead,
    Unavailable,
    VersionsError,
)

FAILED = 1
BAD_INPUT: dict[type[VersionsError], str] = {
    RefNotFound: "ref_not_found",
    PathNotFound: "path_not_found",
    RefExists: "ref_exists",
    InvalidName: "invalid_name",
    InvalidPath: "invalid_path",
}
FAILURES: dict[type[VersionsError], str] = {
    Conflict: "conflict",
    StaleRead: "stale_read",
    DataExpired: "data_expired",
    Unavailable: "unavailable",
    Denied: "denied",
}
Run = Callable[[argparse.Namespace], int]


def reported(format: str) -> Callable[[Run], Run]:
    """Let a verb's `run` end in an exit code for every VersionsError. format: of the summary, `mldlc.<format>/1`."""

    def wrap(run: Run) -> Run:
        @wraps(run)
        def inner(args: argparse.Namespace) -> int:
            try:
                return run(args)
            except VersionsError as error:
                if type(error) in BAD_INPUT:
                    raise _bad_input(error) from None
                return report_failure(error, args.json, format)

        return inner

    return wrap


def report_failure(error: VersionsError, as_json: bool, format: str, hint: str = "") -> int:
    """One line on stderr, with --json the paths of a conflict and a summary of status `failed`. Exit code 1."""
    item = Diagnostic(FAILURES.get(type(error), "failed"), str(error), hint=hint)
    print(f"error: {item}", file=sys.stderr)
    if as_json:
        for path in error.paths if isinstance(error, Conflict) else ():
            emit({"type": "conflict", "path": path})
        emit({"type": "diagnostic", **encode(item)})
        emit({"format": f"mldlc.{format}/1", "status": "failed", "diagnostics": [encode(item)]})
    return FAILED


def _bad_input(error: VersionsError) -> DiagnosticError:
    return fail(BAD_INPUT[type(error)], str(error))
