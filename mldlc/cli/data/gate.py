"""Print the lakeFS action file that refuses merges into BRANCHes without a plan and passed checks, or --install it.

lakeFS runs it before each merge; runs of mldlc say both in their metadata, so they pass, and what a person puts there
does not. It is read from what is merged, so protect the branch against direct commits as well.
--install replaces the gate of an older release; one that somebody edited only with --force.
"""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase

from mldlc.cli.data.change import change_arguments, publish_change
from mldlc.cli.data.place import MAIN, STORE, Place, open_place, repository_arguments, repository_of
from mldlc.cli.data.refusals import reported
from mldlc.cli.frame import emit
from mldlc.plan.diagnostic import did_you_mean, fail
from mldlc.plan.versions import Draft, PathNotFound, Versions

MARKS = {"mldlc.plan": "mldlc data gate", "mldlc.checks": "passed"}  # the gate stands before its own merge too


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data gate`."""
    parser.add_argument("branches", nargs="*", metavar="BRANCH", help="names, with * and ? for several (main)")
    parser.add_argument("--install", action="store_true", help="commit it to these branches of --repo lakefs://NAME")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite a gate that was edited by hand")
    change_arguments(parser)
    repository_arguments(parser)


@reported("data.gate")
def run(args: argparse.Namespace) -> int:
    """Print or install."""
    from mldlc.store.lakefs.administration import GATE_PATH, gate_text

    patterns = args.branches or [MAIN]
    text = gate_text(patterns)
    if args.install:
        return _install(args, patterns)
    if args.json:
        emit({"format": "mldlc.data.gate/1", "path": GATE_PATH, "branches": patterns, "text": text})
    else:
        print(text, end="")
    return 0


def _install(args: argparse.Namespace, patterns: list[str]) -> int:
    from mldlc.store.lakefs.administration import write_gate

    repository = repository_of(args)
    if repository == STORE:
        raise fail(
            "bad_arguments", "command line: the store has no hooks; the gate is for lakeFS", hint="--repo lakefs://NAME"
        )
    versions = open_place(Place(repository, MAIN), args)
    known = list(versions.branches())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            hint = did_you_mean(pattern, known) or f"there is {', '.join(known)}"
            raise fail("no_branch", f"there is no branch '{pattern}'", found=pattern, allowed=tuple(known), hint=hint)
    guarded = [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not args.force:
        _check_unedited(versions, repository, guarded)

    def work(draft: Draft) -> None:
        write_gate(draft, patterns)

    message = args.message or f"Gate before {', '.join(patterns)}"
    codes = [
        publish_change(versions, Place(repository, name), args, "data.gate", message, work, MARKS) for name in guarded
    ]
    return max(codes)


def _check_unedited(versions: Versions, repository: str, branches: list[str]) -> None:
    """DiagnosticError `edited_gate` with every branch whose gate no release of mldlc wrote."""
    from mldlc.store.lakefs.administration import GATE_PATH, is_unedited

    edited = []
    for name in branches:
        try:
            with versions.open(name, GATE_PATH) as file:
                text = file.read().decode(errors="replace")
        except PathNotFound:
            continue
        if not is_unedited(text):
            edited.append(name)
    if edited:
        raise fail(
            "edited_gate", f"the gate of {', '.join(edited)} was edited by hand", found=GATE_PATH,
            hint=f"keep what you need (mldlc data get {repository}@{edited[0]}/{GATE_PATH} -), then --force",
        )  # fmt: skip
