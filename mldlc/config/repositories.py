"""The git revisions that one config reads: each is resolved once, by the lock where it has it, and noted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mldlc.config.gitrepo import SHA, is_moving, resolve_revision
from mldlc.config.gittree import GitAddress, GitTree, parse_address
from mldlc.config.lock import LOCK, Lock, key_of
from mldlc.config.mirror import fetch, holds
from mldlc.config.tree import Ledger, Pin, shown
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, fail


class Repositories:
    """Opens git sources of a project. own: the repository that the whole project comes from, if it does.

    refresh: whether remote repositories are asked what a revision is now, where the lock does not say.
    """

    def __init__(
        self, root: Path, lock: Lock, ledger: Ledger, own: Path | None = None, *, refresh: bool = False
    ) -> None:
        self.refresh = refresh
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
        name = address.name if address.remote else shown(address.repo, self.root, None)
        with _named(address):
            return GitTree(address, "" if address.repo == self.own else f"{name}@")

    def pinned(self, address: GitAddress, where: Location | None = None) -> GitAddress:
        """The address with the full sha of its revision; one revision means one commit in the whole config."""
        key = key_of(address.rev, address.name if address.remote else str(address.repo))
        if key not in self.ledger.pins:
            with _named(address):
                self.ledger.pins[key] = self._pin(address, where)
        return replace(address, rev=self.ledger.pins[key].commit)

    def _pin(self, address: GitAddress, where: Location | None) -> Pin:
        repo, name = address.repo, address.name or os.path.relpath(address.repo, self.root)
        known = self.lock.refs.get(key_of(address.rev, name))
        if address.remote and known is None:
            self._bring(address)
        if known is not None:
            try:
                if address.remote and not holds(name, known):
                    fetch(name, known)
                commit = resolve_revision(repo, known)
            except DiagnosticError as error:
                raise DiagnosticError(_not_there(item, address.rev, name) for item in error.diagnostics) from None
            return Pin(address.rev, repo, name, commit, moving=True, locked=True, where=where)
        commit = resolve_revision(repo, address.rev)
        moving = commit != address.rev and is_moving(repo, address.rev, commit)
        return Pin(address.rev, repo, name, commit, moving=moving, where=where)

    def _bring(self, address: GitAddress) -> None:
        """Have the copy of a remote repository hold a revision that no lock pins: a commit, or any where refreshing."""
        if SHA.fullmatch(address.rev):
            if not holds(address.name, address.rev):
                fetch(address.name, address.rev)
        elif not self.refresh:
            text = f"'{address.rev}' of {address.name} is not pinned, and a plan asks no server what it is now"
            raise fail("not_locked", text, found=address.rev, hint="mldlc lock fetches and pins it")
        elif not any(_asked(pin, address.name) for pin in self.ledger.pins.values()):
            fetch(address.name)


@contextmanager
def _named(address: GitAddress) -> Iterator[None]:
    """Mistakes in the copy of a remote repository are told of the repository."""
    try:
        yield
    except DiagnosticError as error:
        if not address.remote:
            raise
        copy = str(address.repo)
        told = [replace(item, message=item.message.replace(copy, address.name)) for item in error.diagnostics]
        raise DiagnosticError(told) from None


def _asked(pin: Pin, name: str) -> bool:
    """Whether a repository was fetched for this pin."""
    return pin.name == name and not pin.locked and pin.rev != pin.commit


def _not_there(item: Diagnostic, rev: str, name: str) -> Diagnostic:
    text = f"{LOCK} pins '{rev}' of {name}: {item.message}"
    return replace(item, message=text, hint=f"{item.hint}, or pin anew: mldlc lock" if item.hint else "mldlc lock")
