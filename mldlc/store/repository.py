"""Addresses of versioned data, and the store behind one: `store://<ref>/<path>`, `lakefs://<repo>@<ref>/<path>`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Versions

SCHEMES = ("store://", "lakefs://")


@dataclass(frozen=True)
class Address:
    """One place in a repository. repo: "" for the embedded store. path: a glob or a prefix."""

    scheme: str
    repo: str
    ref: str
    path: str

    @property
    def repository(self) -> str:
        """The address of the whole repository: `store://` or `lakefs://<repo>`."""
        return f"{self.scheme}{self.repo}"

    @property
    def pinned_as(self) -> str:
        """The name of its ref in `mldlc.lock`: `store://<ref>` or `lakefs://<repo>@<ref>`."""
        return f"{self.scheme}{self.repo}@{self.ref}" if self.repo else f"{self.scheme}{self.ref}"

    def at(self, commit: str) -> str:
        """The same place at a commit."""
        return f"{self.scheme}{self.repo}@{commit}/{self.path}" if self.repo else f"{self.scheme}{commit}/{self.path}"


def is_versioned(uri: str) -> bool:
    """Whether a URI names versioned data."""
    return uri.startswith(SCHEMES)


def parse_address(uri: str) -> Address:
    """Read an address. DiagnosticError `bad_address` says what a right one looks like."""
    if uri.startswith("store://"):
        found = re.fullmatch(r"store://([^/@]+)/?(.*)", uri)
        if found:
            return Address("store://", "", found[1], found[2])
        raise fail("bad_address", f"'{uri}' is no address in the store", hint="store://<branch, tag or commit>/<path>")
    found = re.fullmatch(r"lakefs://([^/@]+)@([^/]+)/?(.*)", uri)
    if found:
        return Address("lakefs://", found[1], found[2], found[3])
    plain = re.fullmatch(r"lakefs://([^/@]+)/([^/]+)/?(.*)", uri)
    hint = f"write lakefs://{plain[1]}@{plain[2]}/{plain[3]}" if plain else "lakefs://<repository>@<ref>/<path>"
    raise fail("bad_address", f"'{uri}' is no address in lakeFS", found=uri, hint=hint)


def connection(config: Any) -> dict[str, str]:
    """How the `versions` group of a config reaches lakeFS: endpoint, and keys by reference; {} when it does not say."""
    chosen = config.get("versions") if isinstance(config, Mapping) else None
    if not isinstance(chosen, Mapping) or chosen.get("kind") != "lakefs":
        return {}
    return {name: str(chosen[name]) for name in ("endpoint", "access_key", "secret_key") if chosen.get(name)}


def open_repository(
    repository: str,
    outputs: Path,
    *,
    config: Mapping[str, str] | None = None,
    create: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Versions:
    """The versions behind `store://` (under the outputs root) or `lakefs://<repo>`.

    config: see `connection`. create: make the store if there is none. progress: bytes uploaded and in all.
    DiagnosticError: `no_store`, `missing_package` (lakeFS without its extra). VersionsError: no credentials.
    """
    if repository.startswith("lakefs://"):
        from mldlc.store.lakefs.versions import open_lakefs

        try:
            return open_lakefs(repository.removeprefix("lakefs://").strip("/"), config=config or {}, progress=progress)
        except ImportError as error:
            raise fail("missing_package", f"lakeFS needs {error.name}", hint="pip install 'mldlc[lakefs]'") from None
    from mldlc.store.layout import existing_store, open_store
    from mldlc.store.versions.embedded import open_versions

    store = open_store(outputs) if create else existing_store(outputs)
    if store is None:
        raise fail("no_store", f"there is no store under {outputs}", hint="run something first, or put data into it")
    return open_versions(store)
