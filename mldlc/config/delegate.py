"""Hand the views that Hydra users know (`--cfg`, `--info`, `--hydra-help`) to Hydra's own command line."""

from __future__ import annotations

import sys

from mldlc.config.project import Project
from mldlc.config.session import existing_folder
from mldlc.plan.diagnostic import fail

CONFIG_ERROR = 2
VIEWS = ("--cfg", "-c", "--info", "-i", "--hydra-help")


def delegate(project: Project, argv: list[str]) -> int:
    """Run Hydra's own command line on a project's configs; its exit code. `argv` is without program and verb.

    Only views are taken, so nothing is run and nothing is written. Raises DiagnosticError for anything else.
    """
    if not any(word.split("=")[0] in VIEWS for word in argv):
        raise fail("not_a_view", "nothing here for Hydra to show", hint=f"expected one of {', '.join(VIEWS)}")
    argv, config_dir = _take_config_dir(argv)
    from mldlc.config import seam

    before, sys.argv = sys.argv, ["mldlc", *argv]
    try:
        seam.run_hydra(project, config_dir, "config", _never)
    except SystemExit as stop:
        return 0 if stop.code in (0, None) else CONFIG_ERROR  # a view fails for its config or its arguments only
    finally:
        sys.argv = before
    return 0


def _never(_: object) -> None:
    raise AssertionError("a view does not run the task")


def _take_config_dir(argv: list[str]) -> tuple[list[str], str | None]:
    """Take `--config-dir` out: here its folder comes first on the search path, Hydra would put it last."""
    rest: list[str] = []
    config_dir = None
    words = iter(argv)
    for word in words:
        name, given, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            config_dir = existing_folder(value if given else next(words, ""))
        else:
            rest.append(word)
    return rest, config_dir
