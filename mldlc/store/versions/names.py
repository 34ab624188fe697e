"""Which names branches, tags and runs may have: those that lakeFS takes too, so that both stores agree."""

from __future__ import annotations

import re

from mldlc.plan.versions import InvalidName

RUN_BRANCH = "mldlc-run-"  # a draft is readable as the hidden branch mldlc-run-<run>
LIMIT = 200  # bytes of a name: it is a file name here, with a prefix or a suffix at times
COMMIT_ID = re.compile(r"[0-9a-f]{64}")
_BRANCH = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_]*")
_TAG = re.compile(r"[A-Za-z0-9_]([-.A-Za-z0-9_]*[-A-Za-z0-9_])?")
BRANCH_RULE = "letters, digits, '_' and '-', not '-' first"
TAG_RULE = "letters, digits, '_', '-' and '.', not '-' or '.' first, not '.' last, no '..'"


def check_branch(name: str) -> str:
    """The name, if a branch may have it. InvalidName with the rule."""
    if name.startswith(RUN_BRANCH):
        raise InvalidName(f"branch {name!r}: names that begin with {RUN_BRANCH!r} belong to drafts")
    return _check("branch", name, _BRANCH, BRANCH_RULE)


def check_tag(name: str) -> str:
    """The name, if a tag may have it. InvalidName with the rule."""
    if ".." in name or name.endswith(".lock"):
        raise InvalidName(f"tag {name!r}: a tag has {TAG_RULE}, and does not end with '.lock'")
    return _check("tag", name, _TAG, TAG_RULE)


def check_run(name: str) -> str:
    """The name, if a run may have it: it is part of a branch's name. InvalidName with the rule."""
    return _check("run", name, _BRANCH, BRANCH_RULE)


def _check(kind: str, name: str, rule: re.Pattern[str], words: str) -> str:
    if not rule.fullmatch(name):
        raise InvalidName(f"{kind} {name!r}: a {kind} has {words}")
    if len(name) > LIMIT:
        raise InvalidName(f"{kind} {name[:20]!r}…: a {kind} has at most {LIMIT} characters, not {len(name)}")
    if COMMIT_ID.fullmatch(name):
        raise InvalidName(f"{kind} {name!r}: 64 hex digits are a commit id")
    return name
