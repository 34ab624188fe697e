"""Hydra's own grammar of completion, `-sc install=bash`, answered by ours: what users know keeps working."""

from __future__ import annotations

import os
from pathlib import Path

from mldlc.cli.completion import SHELLS, script
from mldlc.plan.diagnostic import DiagnosticError, fail

FLAGS = ("-sc", "--shell-completion")
WORDS = ("install", "uninstall", "query")
UNDO = {
    "bash": "complete -r mldlc; unset -f _mldlc",
    "zsh": "compdef -d mldlc; unfunction _mldlc",
    "fish": "complete -e -c mldlc; functions -e __mldlc",
}


def run(argv: list[str]) -> int:
    """Print a shell's script, how to undo it, or the answer to a Tab (`query`, the line is in COMP_LINE)."""
    try:
        word, shell = _asked(argv)
    except DiagnosticError as error:
        from mldlc.cli.frame import report_errors

        return report_errors(error, False, "")
    if word == "query":
        from mldlc.cli.completion.answer import answer

        print("\n".join(answer(shell, os.environ.get("COMP_LINE", ""), Path.cwd())))
    else:
        print(script(shell) if word == "install" else UNDO[shell])
    return 0


def _asked(argv: list[str]) -> tuple[str, str]:
    words = [tuple(item.split("=")) for item in argv if "=" in item and not item.startswith("-")]
    if len(words) == 1 and len(words[0]) == 2 and words[0][0] in WORDS and words[0][1] in SHELLS:
        return words[0][0], words[0][1]
    found = " ".join(item for item in argv if item not in FLAGS)
    hint = f"write mldlc -sc install=bash ({', '.join(WORDS)}; {', '.join(SHELLS)}), or mldlc completion bash"
    raise fail("bad_arguments", f"command line: '-sc {found}' asks for no completion", hint=hint)
