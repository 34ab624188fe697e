"""Data versions in a lakeFS repository: the port of `mldlc.plan.versions` over the server's branches and commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from mldlc.plan.diagnostic import did_you_mean
from mldlc.plan.versions import (
    Change,
    Commit,
    Entry,
    PathNotFound,
    RefExists,
    RefNotFound,
    Source,
    Strategy,
    VersionsError,
)
from mldlc.store.lakefs import listing
from mldlc.store.lakefs.client import ApiError, Client
from mldlc.store.lakefs.credentials import find_credentials
from mldlc.store.lakefs.draft import LakeFSDraft, open_draft
from mldlc.store.lakefs.merging import merge_into, revert_on
from mldlc.store.lakefs.reading import gateway_options, open_object
from mldlc.store.lakefs.repository import Repository
from mldlc.store.lakefs.transfer import Progress
from mldlc.store.versions.globs import compile_glob, literal_prefix, no_match
from mldlc.store.versions.names import RUN_BRANCH, check_branch, check_tag


def open_lakefs(
    repository: str,
    *,
    config: Mapping[str, str] | None = None,
    work: Path | None = None,
    progress: Progress | None = None,
) -> LakeFSVersions:
    """The versions of a lakeFS repository; no request is made yet.

    config: endpoint, access_key, secret_key, as `find_credentials` takes them. work: folder for outputs in the making.
    progress: bytes done and in all while files are uploaded. Denied: no credentials. ModuleNotFoundError: no extra.
    """
    from importlib.util import find_spec

    if find_spec("lakefs_client") is None:
        raise ModuleNotFoundError("lakeFS needs lakefs-client: pip install 'mldlc[lakefs]'", name="lakefs-client")
    client = Client(find_credentials(config))
    return LakeFSVersions(Repository(client, repository), work=work, progress=progress)


@dataclass
class LakeFSVersions:
    """See `mldlc.plan.versions.Versions`. Safe to use from several threads. Every read is at a commit id."""

    repository: Repository
    work: Path | None = None
    progress: Progress | None = None
    _digests: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    @cached_property
    def caps(self) -> frozenset[str]:
        """As the port; the server is asked once."""
        storage = self.repository.storage
        optional = {"presign": "pre_sign_support", "import": "import_support"}
        return frozenset({"s3", "hooks"} | {name for name, key in optional.items() if storage.get(key)})

    @property
    def uri(self) -> str:
        """As the port."""
        return f"lakefs://{self.repository.name}"

    # refs

    def resolve(self, ref: str) -> str:
        """As the port."""
        return self.commit(ref).id

    def commit(self, ref: str) -> Commit:
        """As the port."""
        return self.repository.commit(ref)

    def branches(self) -> dict[str, str]:
        """As the port."""
        found = self.repository.branches()  # servers before 1.30 do not know hidden branches
        return {name: found[name] for name in sorted(found) if not name.startswith(RUN_BRANCH)}

    def tags(self) -> dict[str, str]:
        """As the port."""
        return dict(sorted(self.repository.tags().items()))

    def branch(self, name: str, ref: str) -> None:
        """As the port."""
        if not self.repository.create_branch(check_branch(name), self.resolve(ref)):
            raise RefExists(f"branch {name!r} is there already")

    def delete_branch(self, name: str) -> None:
        """As the port. Denied for the repository's default branch."""
        self._delete("branch", "branches", name)

    def tag(self, name: str, ref: str) -> None:
        """As the port."""
        check_tag(name)
        commit = self.resolve(ref)
        try:
            self.repository.post("tags", body={"id": name, "ref": commit})
        except ApiError as error:
            if error.status != 409:
                raise
            found = self.repository.get("tags", name)["commit_id"]
            if found != commit:
                raise RefExists(f"tag {name!r} is there already, at commit {found}; a tag does not move") from None

    def delete_tag(self, name: str) -> None:
        """As the port."""
        self._delete("tag", "tags", check_tag(name))

    def _delete(self, kind: str, kinds: str, name: str) -> None:
        try:
            self.repository.delete(kinds, name)
        except ApiError as error:
            if error.status != 404:
                raise
            known = self.branches() if kind == "branch" else self.tags()
            raise RefNotFound(_missing(kind, name, known)) from None

    # reading

    def entries(self, ref: str, prefix: str = "", *, after: str = "") -> Iterator[Entry]:
        """As the port."""
        return listing.iter_entries(self.repository, self.resolve(ref), prefix, after)

    def entry(self, ref: str, path: str) -> Entry:
        """As the port."""
        commit = self.resolve(ref)
        found = listing.find_entry(self.repository, commit, path)
        if found is None:
            raise self._no_path(ref, commit, path)
        return found

    def digest(self, ref: str, prefix: str = "") -> str:
        """As the port; kept for each tree, which never changes."""
        commit = self.commit(ref)
        key = (commit.tree, prefix)
        if key not in self._digests:
            self._digests[key] = listing.digest_of(listing.iter_entries(self.repository, commit.id, prefix))
        return self._digests[key]

    def partitions(self, ref: str, prefix: str = "") -> dict[str, str]:
        """As the port."""
        return listing.partition_digests(self.entries(ref, prefix), prefix)

    def source(self, ref: str, glob: str = "**") -> Source:
        """As the port: the server's S3 gateway, at a commit. The options hold the key pair; a repr leaves them out."""
        commit = self.resolve(ref)
        matches = compile_glob(glob)
        found = [
            entry.path
            for entry in listing.iter_entries(self.repository, commit, literal_prefix(glob))
            if matches(entry.path)
        ]
        if not found:
            raise self._no_path(ref, commit, glob)
        options = gateway_options(self.repository.client.credentials)
        return Source(tuple(f"s3://{self.repository.name}/{commit}/{path}" for path in found), tuple(found), options)

    def open(self, ref: str, path: str) -> BinaryIO:
        """As the port."""
        return open_object(self.repository, self.resolve(ref), path, presign="presign" in self.caps)

    # history

    def diff(
        self, left: str, right: str, prefix: str = "", *, three_dot: bool = False, depth: int | None = None
    ) -> Iterator[Change]:
        """As the port."""
        if depth is not None and depth < 1:
            raise VersionsError(f"depth {depth} is not a number of levels: 1 or more, or None for every file")
        ours, theirs = self.resolve(left), self.resolve(right)
        return listing.iter_changes(self.repository, ours, theirs, prefix, three_dot=three_dot, depth=depth)

    def log(
        self, ref: str, prefix: str = "", *, limit: int | None = None, first_parent: bool = False
    ) -> Iterator[Commit]:
        """As the port. With a prefix the server leaves merges out, as git does where one side has it all; with
        `first_parent` they stay, and each commit costs a request."""
        commit = self.resolve(ref)
        if not prefix or not first_parent:
            return islice(self.repository.log(commit, first_parent=first_parent, prefix=prefix), limit)
        chain = self.repository.log(commit, first_parent=True)
        return islice((item for item in chain if self._brought(item, prefix)), limit)

    def _brought(self, commit: Commit, prefix: str) -> bool:
        parents = commit.parents[:1]
        return bool(parents) and listing.is_changed(self.repository, parents[0], commit.id, prefix)

    def merge_base(self, left: str, right: str) -> str:
        """As the port."""
        return listing.merge_base(self.repository, self.resolve(left), self.resolve(right))

    # writing

    def merge(
        self,
        source: str,
        into: str,
        *,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        strategy: Strategy = "none",
    ) -> Commit:
        """As the port."""
        commit = self.resolve(source)
        self._check_branch(into)
        text = message or f"Merge {source} into {into}"
        return merge_into(self.repository, commit, into, text, metadata or {}, strategy)

    def merge_seen(
        self, source: str, into: str, seen: str, *, message: str, metadata: Mapping[str, str], strategy: Strategy
    ) -> Commit | None:
        """See `publish.Target`: lakeFS merges into whatever the head is; asked once more how it stands just before."""
        self._check_branch(into)
        if self.resolve(into) != seen:
            return None
        return merge_into(self.repository, source, into, message, metadata, strategy)

    def revert(self, branch: str, ref: str, *, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """As the port; the branch's head where there is nothing to undo."""
        undone = self.commit(ref)
        if not undone.parents:
            raise VersionsError(f"{ref!r} is the first commit: there is nothing before it")
        self._check_branch(branch)
        return revert_on(self.repository, branch, undone, message or f"Revert {undone.message}", metadata or {})

    def draft(self, base: str, *, run: str) -> LakeFSDraft:
        """As the port, but no lock: that one process at a time writes a run's draft is up to the run's lease."""
        return open_draft(self, base, run)

    # inside

    def _check_branch(self, name: str) -> None:
        if not self.repository.has("branches", name):
            raise RefNotFound(_missing("branch", name, self.branches()))

    def _no_path(self, ref: str, commit: str, path: str) -> PathNotFound:
        folder = literal_prefix(path).rpartition("/")[0]
        names = [entry.path for entry in islice(listing.iter_entries(self.repository, commit, folder), 1000)]
        return no_match(ref, commit, path, names)


def _missing(kind: str, name: str, known: Mapping[str, str]) -> str:
    hint = did_you_mean(name, known) or (f"there is {', '.join(list(known)[:5])}" if known else "")
    return f"there is no {kind} {name!r}" + (f"; {hint}" if hint else "")
