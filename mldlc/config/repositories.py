"""The git revisions that one config reads: each is resolved once, by the lock where it has it, and noted."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mldlc.config.gitrepo import is_moving, resolve_revision
from mldlc.config.gittree import GitAddress, GitTree, parse_address
from mldlc.config.lock import LOCK, Lock, key_of
from mldlc.config.tree import Ledger, Pin, shown
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location


class Repositories:
    """Opens git sources of a project. own: the repository that the whole project comes from, if it does."""

    def __init__(self, root: Path, lock: Lock, ledger: Ledger, own: Path | None = None) -> None:
        self.root = root
        self.lock = lock
        self.ledger = ledger
        self.own = own

    def open(self, text: str, base: Path, where: Location | None = None) -> GitTree:
        """The tree of `git://...`, at a commit; a relative repository starts at `base`. DiagnosticError if it fails."""
        return self.open_at(self.pinned(self.parse(text, base), where))

    def parse(self, text: str, base: Path) -> GitAddress:
        """A parsed address."""
        return parse_address(text, base)

    def open_at(self, address: GitAddress) -> GitTree:
        """The tree of a pinned address."""
        return GitTree(address, "" if address.repo == self.own else f"{shown(address.repo, self.root, None)}@")

    def pinned(self, address: GitAddress, where: Location | None = None) -> GitAddress:
        """The address with the full sha of its revision; one revision means one commit in the whole config."""
        key = key_of(address.rev, str(address.repo))
        if key not in self.ledger.pins:
            self.ledger.pins[key] = self._pin(address, where)
        return replace(address, rev=self.ledger.pins[key].commit)

    def _pin(self, address: GitAddress, where: Location | None) -> Pin:
        repo, name = address.repo, address.name or os.path.relpath(address.repo, self.root)
        known = self.lock.refs.get(key_of(address.rev, name))
        if known is not None:
            try:
                commit = resolve_revision(repo, known)
            except DiagnosticError as error:
                raise DiagnosticError(_not_there(item, address.rev, name) for item in error.diagnostics) from None
            return Pin(address.rev, repo, name, commit, moving=True, locked=True, where=where)
        commit = resolve_revision(repo, address.rev)
        moving = commit != address.rev and is_moving(repo, address.rev, commit)
        return Pin(address.rev, repo, name, commit, moving=moving, where=where)


def _not_there(item: Diagnostic, rev: str, name: str) -> Diagnostic:
    text = f"{LOCK} pins '{rev}' of {name}: {item.message}"
    return replace(item, message=text, hint=f"{item.hint}, or pin anew: mldlc lock" if item.hint else "mldlc lock")
