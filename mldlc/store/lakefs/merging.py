"""Merges and reverts on lakeFS: done once although answers get lost, and refused in words that a person can use."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from mldlc.plan.versions import Commit, Conflict, Denied, Strategy
from mldlc.store.lakefs.client import ApiError
from mldlc.store.lakefs.listing import is_changed, merge_conflicts, revert_conflicts
from mldlc.store.lakefs.repository import Repository, with_token

CONFLICT, HOOK_REFUSED, BAD_REQUEST = 409, 412, 400


def merge_into(
    repository: Repository, source: str, into: str, message: str, metadata: Mapping[str, str], strategy: Strategy
) -> Commit:
    """Merge a commit id into a branch; the branch's head where that would change nothing. Conflict, Denied (a hook).

    The server itself answers 400 to a merge without changes, and commits one whose changes both sides have already.
    """
    if not is_changed(repository, into, source, three_dot=True):
        return repository.commit(into)
    token = "merge:" + uuid.uuid4().hex
    body: dict[str, object] = {"message": message, "metadata": with_token(metadata, token)}
    if strategy != "none":
        body["strategy"] = strategy

    def made() -> dict[str, str] | None:
        found = repository.find_recent(into, token)
        return {"reference": found.id} if found else None

    try:
        answer = repository.post("refs", source, "merge", into, body=body, recover=made)
    except ApiError as error:
        refused = error
    else:
        return repository.commit(answer["reference"])
    if refused.status == CONFLICT:
        paths = merge_conflicts(repository, source, into)
        if paths:
            raise Conflict(paths)
    if refused.status == HOOK_REFUSED:
        raise Denied(f"a hook refused the merge into {into}: {refused.detail}")
    if refused.status == BAD_REQUEST and not is_changed(repository, into, source, three_dot=True):
        return repository.commit(into)  # somebody else brought the same in this moment
    raise refused


def revert_on(repository: Repository, branch: str, undone: Commit, message: str, metadata: Mapping[str, str]) -> Commit:
    """Undo a commit, a merge against its first parent; the branch's head where nothing is left to undo. Conflict."""
    token = "revert:" + uuid.uuid4().hex
    body = {
        "ref": undone.id,
        "parent_number": 1 if len(undone.parents) > 1 else 0,
        "commit_overrides": {"message": message, "metadata": with_token(metadata, token)},
    }

    def made() -> Commit | None:
        return repository.find_recent(branch, token)

    try:
        repository.post("branches", branch, "revert", body=body, recover=made)
    except ApiError as error:
        refused = error
    else:
        return made() or repository.commit(branch)
    if refused.status == CONFLICT:
        paths = revert_conflicts(repository, undone.id, undone.parents[0], repository.commit(branch).id)
        if paths:
            raise Conflict(paths)
    if refused.status == BAD_REQUEST and "no changes" in refused.detail:
        return repository.commit(branch)
    raise refused
