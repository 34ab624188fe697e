"""Versioned data: which verbs there are. Each is a module of this package, imported when it is asked for."""

from __future__ import annotations

import importlib
from types import ModuleType

from mldlc.plan.diagnostic import did_you_mean, fail

VERBS = {
    "ls": "files of a branch, tag or commit",
    "log": "commits, the newest first",
    "diff": "what changed between two versions",
    "get": "copy files out of a version",
    "put": "put files under version, on a branch",
    "rm": "take files out of a branch",
    "tag": "list, make or delete tags",
    "branch": "list, make or delete branches",
    "merge": "merge one branch into another",
    "revert": "undo one commit of a branch",
    "verify": "check every byte of the store",
    "gc": "free what nothing keeps",
    "gate": "the lakeFS action file that lets only checked runs into a branch",
}


def choose(argv: list[str]) -> tuple[str, ModuleType, list[str]]:
    """The name, the module and the arguments of the verb in `mldlc data VERB ...`. DiagnosticError: no such verb."""
    at = next((index for index, item in enumerate(argv) if item in VERBS), 0) if argv[0].startswith("-") else 0
    name = argv[at]
    if name not in VERBS:
        hint = did_you_mean(name, VERBS) or f"choose from {', '.join(VERBS)}"
        raise fail("bad_arguments", f"command line: no verb 'data {name}'", found=name, hint=hint)
    return f"data {name}", importlib.import_module(f"mldlc.cli.data.{name}"), argv[:at] + argv[at + 1 :]


def help_text() -> str:
    """The text of `mldlc data --help`."""
    rows = "\n".join(f"  {name:<8}{text}" for name, text in VERBS.items())
    return f"""usage: mldlc data VERB [arguments] [flags]

Versioned data: branches, tags and commits of files, in the store under the outputs root, or on lakeFS.

{rows}

A place is REF, REF:PATH or a full address, store://REF/PATH or lakefs://REPOSITORY@REF/PATH.
A ref is a branch, a tag, a commit or the first 7 of its digits; REF~n is n commits before it. Default: main.
--repo lakefs://NAME looks at a lakeFS repository instead of the store (lakectl's variables and file say who you are).
`mldlc data VERB --help` explains a verb; --json gives NDJSON with a summary as its last line.
Exit codes: 0 ok, 1 a conflict, damage, or a server that refuses or is away, 2 bad input, 130/143 stopped.

  mldlc data put data/raw --to main:raw -m "first rows"    a folder's files, below raw/
  mldlc data log main                                      who put what, and when
  mldlc data diff main~1 main                              what that changed
  mldlc data tag v1 main                                   a name that never moves
  mldlc data get v1:raw/adult.csv                          and back again"""
