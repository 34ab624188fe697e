"""One repository of a lakeFS server: its paths, its pages, its commits, and what the server can do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mldlc.plan.versions import Commit, RefNotFound, VersionsError
from mldlc.store.lakefs.client import ApiError, Client, Query

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

TOKEN = "mldlc.commit"  # metadata key of our commits, another value for each: a lost answer can be found again
SERVER_KEYS = ".lakefs."  # metadata that the server adds to merges
PAGE = 1000  # rows, the most that lakeFS gives at once
RECENT = 200  # commits in which a lost answer is looked for


@dataclass(frozen=True)
class Repository:
    """A client and a repository's name."""

    client: Client
    name: str
    _commits: dict[str, Commit] = field(
        default_factory=dict, repr=False, compare=False
    )  # by full id; they never change

    @property
    def root(self) -> str:
        """The API path of the repository."""
        return f"/repositories/{quote(self.name, safe='')}"

    def path(self, *segments: str) -> str:
        """An API path below the repository; each segment is quoted, so a ref or a name cannot leave its place."""
        return "/".join([self.root, *(quote(segment, safe="") for segment in segments)])

    def get(self, *segments: str, query: Query | None = None) -> Any:
        """GET with a JSON answer."""
        return self.client.call("GET", self.path(*segments), query)

    def post(
        self,
        *segments: str,
        body: Any,
        query: Query | None = None,
        recover: Callable[[], Any] | None = None,
    ) -> Any:
        """POST with a JSON answer."""
        return self.client.call("POST", self.path(*segments), query, body, recover=recover)

    def create_branch(self, name: str, commit: str, *, hidden: bool = False) -> bool:
        """A branch at a commit id; False when there is one of that name at another commit."""
        body = json.dumps({"name": name, "source": commit, "hidden": hidden}).encode()
        headers = {"Content-Type": "application/json"}
        url = self.client.url(self.path("branches"))

        def there() -> bool | None:
            return True if self.has("branches", name) and self.get("branches", name)["commit_id"] == commit else None

        try:  # the answer is a commit id as text, not JSON
            return self.client.request("POST", url, headers=headers, body=body, read=_done, recover=there)
        except ApiError as error:
            if error.status != 409:
                raise
        return False

    def put(self, *segments: str, body: Any, query: Query | None = None) -> Any:
        """PUT with a JSON answer."""
        return self.client.call("PUT", self.path(*segments), query, body)

    def delete(self, *segments: str) -> None:
        """DELETE a thing that GET finds at the same path."""
        self.client.call("DELETE", self.path(*segments), recover=lambda: None if self.has(*segments) else True)

    def has(self, *segments: str) -> bool:
        """Whether GET finds something."""
        try:
            self.get(*segments)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def pages(
        self, *segments: str, query: Query, after: str = "", amount: int = PAGE
    ) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list after a key, one request each."""
        while True:
            page = self.get(*segments, query={**query, "after": after or None, "amount": amount})
            try:
                rows, pagination = page["results"], page["pagination"]
                more, following = pagination["has_more"], pagination["next_offset"]
            except (KeyError, TypeError):
                raise VersionsError(f"{self.name}: the server's list has no results and pagination") from None
            yield rows
            if not more:
                return
            if not following or following == after:
                raise VersionsError(f"{self.name}: the server's list does not go on after {after!r}")
            after = following

    def rows(self, *segments: str, query: Query, after: str = "", amount: int = PAGE) -> Iterator[dict[str, Any]]:
        """The rows of all pages."""
        for page in self.pages(*segments, query=query, after=after, amount=amount):
            yield from page

    def commit(self, ref: str) -> Commit:
        """The commit of a branch, tag, commit id or `ref~n`. RefNotFound with the nearest name."""
        if ref in self._commits:
            return self._commits[ref]
        try:
            found = to_commit(self.get("commits", ref))
            return self._commits.setdefault(found.id, found)
        except ApiError as error:
            if error.status not in (400, 404):
                raise
            reason = error
        raise RefNotFound(self._unknown(ref, reason))

    def branches(self) -> dict[str, str]:
        """All branches that are not hidden -> commit id."""
        return {row["id"]: row["commit_id"] for row in self.rows("branches", query={})}

    def tags(self) -> dict[str, str]:
        """All tags -> commit id."""
        return {row["id"]: row["commit_id"] for row in self.rows("tags", query={})}

    def log(self, ref: str, *, first_parent: bool, prefix: str = "", amount: int = RECENT) -> Iterator[Commit]:
        """Commits from a ref back as the server gives them: with a prefix no merges, and none without a parent."""
        query: Query = {"first_parent": first_parent, "prefixes": [prefix] if prefix else None}
        return map(to_commit, self.rows("refs", ref, "commits", query=query, amount=amount))

    def marked(self, branch: str, start: str) -> Iterator[tuple[str, bool]]:
        """Commits of a branch back by first parent: id, and whether its token begins like this."""
        for row in self.rows("refs", branch, "commits", query={"first_parent": True}, amount=RECENT):
            yield row["id"], str((row.get("metadata") or {}).get(TOKEN, "")).startswith(start)

    def find_recent(self, branch: str, token: str) -> Commit | None:
        """The commit with this token among the newest of a branch; what a lost answer would have told."""
        query: Query = {"first_parent": True, "amount": RECENT, "limit": True}
        try:
            rows = self.get("refs", branch, "commits", query=query)["results"]
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return next((to_commit(row) for row in rows if (row.get("metadata") or {}).get(TOKEN) == token), None)

    @cached_property
    def storage(self) -> dict[str, Any]:
        """The server's storage settings: blockstore_type, pre_sign_support, import_support, ..."""
        config = self.client.call("GET", "/config") or {}
        several = config.get("storage_config_list") or [{}]
        return dict(config.get("storage_config") or several[0])

    def _unknown(self, ref: str, reason: ApiError) -> str:
        from mldlc.plan.diagnostic import did_you_mean

        try:
            names = [*self.branches(), *self.tags()]
        except ApiError as error:
            if error.status == 404:
                return f"the server has no repository {self.name!r}, or these credentials may not see it"
            raise
        hint = did_you_mean(ref, names) or "there are " + ", ".join(names[:5])
        return f"{self.name} has no branch, tag or commit {ref!r}; {hint}; the server says: {reason.detail}"


def _done(response: BaseHTTPResponse) -> bool:
    response.read()
    response.release_conn()
    return True


def with_token(metadata: Mapping[str, str], token: str) -> dict[str, str]:
    """Metadata to send, never empty. VersionsError when it is not text to text."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise VersionsError(f"commit metadata {key!r} is {type(value).__name__}: key and value are text")
    return {**metadata, TOKEN: token}


def to_commit(row: dict[str, Any]) -> Commit:
    """A commit of the wire; what we and the server keep in its metadata for themselves is left out."""
    metadata = {
        key: value
        for key, value in (row.get("metadata") or {}).items()
        if key != TOKEN and not key.startswith(SERVER_KEYS)
    }
    return Commit(
        id=row["id"],
        tree=row["meta_range_id"],
        parents=tuple(row["parents"]),
        message=row["message"],
        metadata=metadata,
        time=float(row["creation_date"]),
        committer=row["committer"],
    )
