"""What one does to a lakeFS repository now and then: create it, import objects in place, install the merge gate."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from itertools import islice
from typing import Any

from mldlc.plan.versions import Commit, Draft, InvalidName, RefExists, VersionsError
from mldlc.store.hashing import hash_bytes
from mldlc.store.lakefs.client import ApiError, Client
from mldlc.store.lakefs.draft import LakeFSDraft
from mldlc.store.lakefs.listing import iter_entries
from mldlc.store.lakefs.repository import Repository, to_commit, with_token
from mldlc.store.versions.names import RUN_BRANCH

GATE_FILE = "mldlc_gate.yaml"
GATE_PATH = f"_lakefs_actions/{GATE_FILE}"
POLL = 1.0  # s between questions about an import
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
_BEGAN = re.compile(r"(?<!\d)(20\d{6}T[012]\d[0-5]\d[0-5]\d)")  # in the name of a run: UTC
_BRANCH_PATTERN = re.compile(r"[\w*?-]+")
_STAMP = "# Written by `mldlc data gate`. As long as nobody edits it, --install replaces it by a newer one: "
_STAMPED = re.compile(r"# .*: ([0-9a-f]{16})")


def create_repository(client: Client, name: str, namespace: str, *, branch: str = "main") -> Repository:
    """A new repository over a storage namespace such as `s3://bucket/path`. InvalidName, RefExists."""
    if not _REPOSITORY.fullmatch(name):
        raise InvalidName(f"repository {name!r}: 3 to 63 small letters, digits and '-', not '-' first")
    repository = Repository(client, name)
    body = {"name": name, "storage_namespace": namespace, "default_branch": branch}

    def made() -> Any:
        try:
            found = repository.get()
        except ApiError:
            return None
        return found if found["storage_namespace"] == namespace else None

    try:
        client.call("POST", "/repositories", body=body, recover=made)
    except ApiError as error:
        if error.status != 409:
            raise
        raise RefExists(f"repository {name!r} is there already") from None
    return repository


def draft_runs(repository: Repository) -> dict[str, float]:
    """Runs whose drafts were neither published nor abandoned -> time of their last commit, seconds since the epoch.

    Nothing on lakeFS removes them: `versions.draft(base, run=run).abandon()` does. Of drafts without a commit it is the
    time of the commit that they began from.
    """
    rows = repository.rows("branches", query={"prefix": RUN_BRANCH, "show_hidden": True})
    heads = {row["id"].removeprefix(RUN_BRANCH): row["commit_id"] for row in rows}
    return {run: repository.commit(commit).time for run, commit in sorted(heads.items())}


def left_drafts(repository: Repository, before: float) -> list[str]:
    """Runs of `draft_runs` that began and committed last before a time. Those whose name tells no time are left out."""
    found = []
    for run, committed in draft_runs(repository).items():
        told = _BEGAN.search(run)
        if told is None:
            continue
        began = datetime.strptime(told[1] + "+0000", "%Y%m%dT%H%M%S%z").timestamp()
        if max(began, committed) < before:
            found.append(run)
    return found


def import_objects(
    draft: LakeFSDraft, uri: str, into: str, message: str, metadata: Mapping[str, str], *, replace: bool = False
) -> Commit:
    """Take objects of the server's own object store into a draft, without moving a byte, as one commit of it.

    NOTE: lakeFS DELETES EVERYTHING BELOW `into` that is not imported. This is refused unless `replace` is given or
    nothing is there. A `uri` that ends with "/" is a prefix, and so must be `into`; else both are one object.
    Imported objects have no digest of ours (`etag:…`), so an equal file uploaded elsewhere looks different.
    VersionsError: the server cannot import, or the import failed.
    """
    repository, branch = draft.versions.repository, draft.branch
    if "import" not in draft.versions.caps:
        raise VersionsError(f"the lakeFS server of {repository.name} does not import from its object store")
    if uri.endswith("/") != (into.endswith("/") or not into):
        raise VersionsError(f"import of {uri!r} into {into!r}: a prefix ends with '/', on both sides or on none")
    there = [entry.path for entry in islice(iter_entries(repository, branch, into), 3)]
    if there and not replace:
        some = ", ".join(there)
        raise VersionsError(f"import into {into!r} deletes what is there now ({some}…); replace=True if that is meant")
    token = f"draft:{draft.run}:{uuid.uuid4().hex}"
    location = {"type": "common_prefix" if uri.endswith("/") else "object", "path": uri, "destination": into}
    body = {"paths": [location], "commit": {"message": message, "metadata": with_token(metadata, token)}}
    id = repository.post("branches", branch, "import", body=body)["id"]
    while True:
        status = repository.get("branches", branch, "import", query={"id": id})
        if status.get("error"):
            found = repository.find_recent(branch, token)  # an earlier try whose answer was lost did it all
            if found is None:
                raise VersionsError(f"import of {uri} failed: {status['error']['message']}")
            break
        if status["completed"]:
            found = to_commit(status["commit"])
            break
        repository.client.sleep(POLL)
    draft.head = found.id
    return found


def gate_text(branches: Sequence[str] = ("main",)) -> str:
    """The action file that refuses merges into these branches (with `*` and `?`) without lineage and passed checks."""
    for name in branches:
        if not _BRANCH_PATTERN.fullmatch(name):
            raise InvalidName(f"branch pattern {name!r}: letters, digits, '_', '-', '*' and '?'")
    if not branches:
        raise InvalidName("the gate needs at least one branch")
    text = files("mldlc.store.lakefs").joinpath(GATE_FILE).read_text("utf-8")
    lines = "\n".join(f'      - "{name}"' for name in branches)
    body = text.replace('      - "main"', lines)
    return f"{_STAMP}{_fingerprint(body)}\n{body}"


def is_unedited(text: str) -> bool:
    """Whether a gate is as some release of mldlc wrote it: its first line has the digest of the rest."""
    first, _, body = text.partition("\n")
    found = _STAMPED.fullmatch(first)
    return found is not None and found[1] == _fingerprint(body)


def _fingerprint(body: str) -> str:
    return hash_bytes(body.encode())[:16]


def write_gate(draft: Draft, branches: Sequence[str] = ("main",)) -> None:
    """Put the gate into a draft; it works from the merge on that brings it to the branches that drafts begin from.

    lakeFS reads actions from the *source* of a merge. So the file must be on the protected branch first, where every
    draft then inherits it, and somebody who may write branches can take it out of his own: protect the branch against
    direct commits as well, and review changes below `_lakefs_actions/`.
    """
    draft.path(GATE_PATH).write_text(gate_text(branches), "utf-8")
