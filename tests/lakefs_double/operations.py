"""What each operation of the API answers: a function from its arguments to a status and JSON (None: no body)."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mldlc.plan.versions import Change, Commit, Entry
from tests.lakefs_double.repository import Attributes, Refused, Repository

Answer = tuple[int, Any]
MOVED_AT = 1_700_000_000  # mtime of every object, s


@dataclass
class Call:
    """One request: the operation's path arguments, query, body (JSON) and headers."""

    arguments: dict[str, str]
    query: dict[str, Any]
    body: Any
    headers: dict[str, str]


@dataclass
class Staged:
    """A presigned address. digest: "" until its bytes are there."""

    path: str
    physical: str
    digest: str = ""
    size: int = 0


@dataclass
class Operations:
    """All repositories of a server. bucket: the object store that imports read, URI -> bytes."""

    folder: Path
    endpoint: str
    presign: bool = True
    gate: Callable[[Repository, Any], None] = lambda repository, event: None
    repositories: dict[str, Repository] = field(default_factory=dict)
    addresses: dict[str, Staged] = field(default_factory=dict)
    downloads: dict[str, Path] = field(default_factory=dict)
    bucket: dict[str, bytes] = field(default_factory=dict)
    imports: dict[str, Any] = field(default_factory=dict)
    page: int = 1000  # rows of a page at most: smaller ones try the paging

    def answer(self, operation: str, call: Call) -> Answer:
        """Do it. Refused."""
        name = call.arguments.get("repository", "")
        if name and name not in self.repositories:
            raise Refused(404, f"repository '{name}': not found")
        if not name:
            return getattr(self, operation)(call)
        repository = self.repositories[name]
        with repository.lock:
            return getattr(self, operation)(repository, call)

    # server and repositories

    def getConfig(self, call: Call) -> Answer:  # noqa: N802 (the API's own names)
        storage = {
            "blockstore_type": "local",
            "blockstore_namespace_example": "local://example",
            "blockstore_namespace_ValidityRegex": "^local://",
            "pre_sign_support": self.presign,
            "pre_sign_support_ui": False,
            "import_support": True,
            "import_validity_regex": "^local://",
        }
        return 200, {"version_config": {"version": "double"}, "storage_config": storage}

    def createRepository(self, call: Call) -> Answer:  # noqa: N802
        name = call.body["name"]
        if name in self.repositories:
            raise Refused(409, "error creating repository: not unique")
        branch = call.body.get("default_branch", "main")
        made = Repository(name, call.body["storage_namespace"], self.folder / name, branch, self.gate)
        self.repositories[name] = made
        return 201, _repository(made)

    def getRepository(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        return 200, _repository(repository)

    # refs

    def listBranches(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        names = sorted(set(repository.heads) - (set() if call.query["show_hidden"] else repository.hidden))
        prefix = call.query.get("prefix", "")
        rows = ({"id": name, "commit_id": repository.heads[name]} for name in names if name.startswith(prefix))
        return self._page(rows, call, "id")

    def createBranch(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        body = call.body
        return 201, repository.create_branch(body["name"], body["source"], body.get("hidden", False))

    def getBranch(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        name = call.arguments["branch"]
        return 200, {"id": name, "commit_id": repository.branch(name)}

    def deleteBranch(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        repository.delete_branch(call.arguments["branch"])
        return 204, None

    def resetBranch(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        assert call.body["type"] == "reset", "the double resets whole branches"
        repository.reset(call.arguments["branch"])
        return 204, None

    def listTags(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        return self._page(({"id": key, "commit_id": id} for key, id in sorted(repository.tags.items())), call, "id")

    def createTag(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        name = call.body["id"]
        return 201, {"id": name, "commit_id": repository.create_tag(name, call.body["ref"])}

    def getTag(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        name = call.arguments["tag"]
        return 200, {"id": name, "commit_id": repository.tag(name)}

    def deleteTag(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        repository.tag(call.arguments["tag"])
        del repository.tags[call.arguments["tag"]]
        return 204, None

    # history

    def getCommit(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        return 200, _commit(repository.commit_of(call.arguments["commitId"]))

    def logCommits(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        query = call.query
        found = repository.log(call.arguments["ref"], query.get("prefixes", []), query.get("first_parent", False))
        if query.get("after"):
            found = islice(itertools.dropwhile(lambda commit: commit.id != query["after"], found), 1, None)
        return self._page(map(_commit, found), call, "id", sorted_rows=False)

    def commit(self, repository: Repository, call: Call) -> Answer:
        body = call.body
        made = repository.commit(
            call.arguments["branch"], body["message"], body.get("metadata", {}), body.get("allow_empty", False)
        )
        return 201, _commit(made)

    def mergeIntoBranch(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        body = call.body or {}
        assert "metadata" in body, "a merge without metadata crashed servers (treeverse/lakeFS#6494)"
        source, into = call.arguments["sourceRef"], call.arguments["destinationBranch"]
        try:
            made = repository.merge(source, into, body.get("message", ""), body["metadata"], body.get("strategy", ""))
        except Refused as refused:
            if refused.status == 409:
                return 409, {"reference": ""}
            raise
        return 200, {"reference": made.id}

    def findMergeBase(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        source, into = call.arguments["sourceRef"], call.arguments["destinationBranch"]
        return 200, {
            "source_commit_id": repository.resolve(source),
            "destination_commit_id": repository.resolve(into),
            "base_commit_id": repository.merge_base(source, into),
        }

    def revertBranch(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        own = call.body.get("commit_overrides", {})
        undone = repository.commit_of(call.body["ref"])
        message = own.get("message") or f"Revert {undone.id}"
        number = call.body["parent_number"]
        repository.revert(call.arguments["branch"], undone.id, number, message, own.get("metadata", {}))
        return 204, None

    def diffRefs(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        query = call.query
        left, right = call.arguments["leftRef"], call.arguments["rightRef"]
        prefix = query.get("prefix", "")
        found = repository.diff(left, right, prefix, query["type"] == "three_dot")
        return self._page(
            _grouped(map(_change, found), prefix, query.get("delimiter", ""), "prefix_changed"), call, "path"
        )

    def diffBranch(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        return self._page(map(_change, repository.uncommitted(call.arguments["branch"])), call, "path")

    # objects

    def listObjects(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        query = call.query
        prefix = query.get("prefix", "")
        rows = (_stats(repository, entry, query["user_metadata"]) for entry in self._entries(repository, call, prefix))
        return self._page(_grouped(rows, prefix, query.get("delimiter", ""), ""), call, "path")

    def statObject(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        entry = repository.entry(call.arguments["ref"], call.query["path"])
        return 200, _stats(repository, entry, call.query["user_metadata"])

    def deleteObjects(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        if len(call.body["paths"]) > 1000:
            raise Refused(400, "exceeded max number of objects to delete: 1000")
        for path in call.body["paths"]:
            repository.unstage(call.arguments["branch"], path)
        return 200, {"errors": []}

    def getPhysicalAddress(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        repository.branch(call.arguments["branch"])
        token = secrets.token_hex(8)
        physical = f"{repository.namespace}/data/{token}"
        self.addresses[token] = Staged(call.query["path"], physical)
        where: dict[str, Any] = {"physical_address": physical}
        if call.query.get("presign"):
            where["presigned_url"] = f"{self.endpoint}/storage/{token}?X-Amz-Signature={secrets.token_hex(16)}"
            where["presigned_url_expiry"] = MOVED_AT * 2
        return 200, where

    def linkPhysicalAddress(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        physical = call.body["staging"]["physical_address"]
        token = physical.rpartition("/")[2]
        staged = self.addresses.get(token)
        if staged is None or staged.path != call.query["path"] or not staged.digest:
            raise Refused(400, "link address invalid")
        if staged.size != call.body["size_bytes"]:
            raise Refused(400, "size_bytes is not that of the object")
        del self.addresses[token]
        kept = Attributes(
            call.body["checksum"],
            call.body.get("content_type", "application/octet-stream"),
            call.body.get("user_metadata", {}),
        )
        entry = repository.stage(call.arguments["branch"], staged.path, staged.digest, staged.size, kept)
        return 200, _stats(repository, entry, True)

    def importStart(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        branch, body = call.arguments["branch"], call.body
        files, below = [], []
        for item in body["paths"]:
            below.append(item["destination"])
            for uri, data in self.bucket.items():
                if uri == item["path"] or (item["type"] == "common_prefix" and uri.startswith(item["path"])):
                    files.append((item["destination"] + uri[len(item["path"]) :], data))
        id = secrets.token_hex(8)
        if not files:
            error = {"message": f"nothing to import at {body['paths'][0]['path']}"}
            self.imports[id] = [{"completed": False, "update_time": "2026-01-01T00:00:00Z", "error": error}]
            return 202, {"id": id}
        entries = [put_bytes(repository, branch, path, data) for path, data in files]
        repository.reset(branch)
        assert len(below) == 1, "the double imports one location"
        made = repository.replace_below(
            branch, below[0], entries, body["commit"]["message"], body["commit"].get("metadata", {})
        )
        self.imports[id] = [
            {"completed": False, "update_time": "2026-01-01T00:00:00Z"},
            {"completed": True, "update_time": "2026-01-01T00:00:01Z", "commit": _commit(made)},
        ]
        return 202, {"id": id}

    def importStatus(self, repository: Repository, call: Call) -> Answer:  # noqa: N802
        states = self.imports.get(call.query["id"])
        if states is None:
            raise Refused(404, "import not found")
        return 200, states.pop(0) if len(states) > 1 else states[0]

    # inside

    def _entries(self, repository: Repository, call: Call, prefix: str) -> Iterator[Entry]:
        return repository.entries(call.arguments["ref"], prefix)

    def _page(self, rows: Iterable[dict[str, Any]], call: Call, key: str, sorted_rows: bool = True) -> Answer:
        amount = call.query["amount"]
        amount = min(self.page, 100 if amount < 0 else amount)
        after = call.query.get("after", "")
        wanted = (row for row in rows if row[key] > after) if sorted_rows and after else iter(rows)
        found = list(islice(wanted, amount + 1))
        more = len(found) > amount and not call.query.get("limit")
        shown = found[:amount]
        pagination = {
            "has_more": more,
            "next_offset": shown[-1][key] if more and shown else "",
            "results": len(shown),
            "max_per_page": 1000,
        }
        return 200, {"pagination": pagination, "results": shown}


def put_bytes(repository: Repository, branch: str, path: str, data: bytes, content_type: str = "") -> Entry:
    """Stage bytes as another client would that knows nothing of our metadata."""
    import hashlib

    from mldlc.store.objects import put_bytes as put

    kept = Attributes(hashlib.md5(data).hexdigest(), content_type or "application/octet-stream", {})
    return repository.stage(branch, path, put(repository.store, data), len(data), kept)


def _grouped(rows: Iterable[dict[str, Any]], prefix: str, delimiter: str, type: str) -> Iterator[dict[str, Any]]:
    """Rows, or one for each group of them that share the path up to the first delimiter after the prefix."""
    last = ""
    for row in rows:
        head, found, _ = row["path"][len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if not found:
            yield row
            continue
        group = prefix + head + found
        if group != last:
            last = group
            made = {"path": group, "path_type": "common_prefix"}
            yield made | ({"type": type} if type else {"checksum": "", "physical_address": "", "mtime": 0})


def _change(change: Change) -> dict[str, Any]:
    entry = change.right or change.left
    size = entry.size if entry else 0
    return {"type": change.kind, "path": change.path, "path_type": "object", "size_bytes": size}


def _stats(repository: Repository, entry: Entry, metadata: bool) -> dict[str, Any]:
    kept = repository.attributes(entry)
    row = {
        "path": entry.path,
        "path_type": "object",
        "physical_address": f"{repository.namespace}/data/{entry.digest[:20]}",
        "checksum": kept.etag,
        "size_bytes": entry.size,
        "mtime": MOVED_AT,
        "content_type": kept.content_type,
    }
    return row | ({"metadata": kept.metadata} if metadata else {})


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.id,
        "parents": list(commit.parents),
        "committer": commit.committer,
        "message": commit.message,
        "creation_date": int(commit.time),
        "meta_range_id": commit.tree,
        "metadata": dict(commit.metadata),
        "version": 1,
    }


def _repository(repository: Repository) -> dict[str, Any]:
    return {
        "id": repository.name,
        "creation_date": MOVED_AT,
        "default_branch": repository.default,
        "storage_namespace": repository.namespace,
    }
