"""Hand the views that Hydra users know (`--cfg`, `--info`, `--hydra-help`, `-sc`) to Hydra's own command line."""

from __future__ import annotations

import os
import sys

from mldlc.config.project import Project
from mldlc.config.session import existing_folder
from mldlc.plan.diagnostic import fail

CONFIG_ERROR = 2
COMPLETIONS = ("install", "uninstall", "query")
SHELLS = ("bash", "zsh", "fish")
VIEWS = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc")


def delegate(project: Project, argv: list[str]) -> int:
    """Run Hydra's own command line on a project's configs; its exit code. `argv` is without program and verb.

    Only views are taken, so nothing is run and nothing is written. Raises DiagnosticError for anything else.
    """
    if not any(word.split("=")[0] in VIEWS for word in argv):
        raise fail("not_a_view", "nothing here for Hydra to show", hint=f"expected one of {', '.join(VIEWS)}")
    argv, config_dir = _take_config_dir(argv)
    _check_completion(argv)
    from mldlc.config import seam

    line = _without_verb(os.environ.get("COMP_LINE", ""))
    if line:
        os.environ["COMP_LINE"] = line
    before, sys.argv = sys.argv, ["mldlc", *argv]
    try:
        seam.run_hydra(project, config_dir, "config", _never)
    except SystemExit as stop:
        return 0 if stop.code in (0, None) else CONFIG_ERROR  # a view fails for its config or its arguments only
    finally:
        sys.argv = before
    return 0


def _check_completion(argv: list[str]) -> None:
    """Hydra takes the shell as an override, `-sc install=bash`, and fails without a message on anything else."""
    if not {"-sc", "--shell-completion"} & set(argv):
        return
    words = [word.partition("=") for word in argv if not word.startswith("-")]
    if len(words) != 1 or words[0][0] not in COMPLETIONS or words[0][2] not in SHELLS:
        found = " ".join("".join(word) for word in words)
        hint = f"write mldlc -sc install=bash ({', '.join(COMPLETIONS)}; {', '.join(SHELLS)})"
        raise fail("bad_arguments", f"command line: '-sc {found}' asks for no completion", hint=hint)


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


def _without_verb(line: str) -> str:
    """The line being completed, as Hydra expects it: `mldlc run model=` -> `mldlc model=`."""
    words = line.split(" ", 2)
    is_verb = len(words) == 3 and words[1] and "=" not in words[1] and not words[1].startswith("-")
    return f"{words[0]} {words[2]}" if is_verb else line
