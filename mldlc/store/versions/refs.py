"""What a ref stands for: branches, tags, drafts, commit ids and their first digits, `~n` back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mldlc.plan.diagnostic import did_you_mean
from mldlc.plan.versions import RefNotFound
from mldlc.store.layout import Store
from mldlc.store.versions.commits import Commits
from mldlc.store.versions.draft_state import read_draft
from mldlc.store.versions.heads import Head, list_heads, list_tags, read_head, read_tag
from mldlc.store.versions.names import COMMIT_ID, RUN_BRANCH

_REF = re.compile(r"(.*?)((?:~\d*)*)", re.DOTALL)


def resolve(store: Store, commits: Commits, ref: str) -> str:
    """The commit id of a ref. RefNotFound; order: full commit id, branch, tag, first digits of a commit id."""
    found = _REF.fullmatch(ref)
    name, steps = found.groups() if found else (ref, "")
    id = _named(store, commits, name)
    for step in steps.split("~")[1:]:
        for _ in range(int(step or 1)):
            parents = commits.read(id).parents
            if not parents:
                raise RefNotFound(f"{ref!r} goes back further than the history of {name!r}")
            id = parents[0]
    return id


def existing_head(store: Store, branch: str) -> Head:
    """The head of a branch that must be there. RefNotFound."""
    head = read_head(store, branch) if _may_be(branch) else Head(0, "")
    if not head.commit:
        raise not_found("branch", branch, list_heads(store))
    return head


def not_found(kind: str, name: str, known: Iterable[str]) -> RefNotFound:
    """The error for a name that is not there, with the nearest one or the first five."""
    names = list(known)
    hint = did_you_mean(name, names)
    if names and not hint:
        hint = f"there is {', '.join(names[:5])}" + (", …" if len(names) > 5 else "")
    return RefNotFound(f"there is no {kind} {name!r}" + (f"; {hint}" if hint else ""))


def _named(store: Store, commits: Commits, name: str) -> str:
    if COMMIT_ID.fullmatch(name) and commits.has(name):
        return name
    if name.startswith(RUN_BRANCH) and _may_be(name):
        draft = read_draft(store, name[len(RUN_BRANCH) :])
        if draft is not None:
            return draft.head
    elif _may_be(name):
        id = read_head(store, name).commit or read_tag(store, name) or commits.abbreviated(name)
        if id:
            return id
    raise not_found("branch, tag or commit", name, [*list_heads(store), *list_tags(store)])


def _may_be(name: str) -> bool:
    """Whether a name can be a file's: the folders of branches and tags are never left."""
    return bool(name) and "/" not in name and "\0" not in name and not name.startswith(".") and len(name) < 256
