"""`mldlc.lock`: the commits that moving revisions of a config and of its data stand for. Written by `mldlc lock`, kept
in git.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mldlc.config.gitrepo import SHA
from mldlc.config.tree import Pin
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, did_you_mean, fail

LOCK = "mldlc.lock"
FORMAT = "mldlc.lockfile/1"
HEAD = "# Written by `mldlc lock`: what each moving revision of the config stands for. Keep it in git.\n"


COMMIT = re.compile(r"[0-9a-f]{8,128}")  # of versioned data: the store's, or lakeFS's


@dataclass(frozen=True)
class Lock:
    """What is pinned.

    refs: `rev@repository` -> full commit sha; the repository as the config names it, relative to the project.
    data: `store://<ref>` or `lakefs://<repository>@<ref>` -> commit.
    """

    refs: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)

    def without(self, names: Iterable[str]) -> Lock:
        """What stays when the pins of these names are made anew: a pin as the lock writes it, or its repository.

        DiagnosticError for a name that pins nothing.
        """
        every = {**self.refs, **self.data}
        gone: set[str] = set()
        for name in names:
            found = {key for key in every if name in (key, key.partition("@")[2], key.partition("@")[0])}
            if not found:
                hint = did_you_mean(name, every) or (
                    f"pinned: {', '.join(every)}" if every else "nothing is pinned yet"
                )
                raise fail("unknown_pin", f"command line: {LOCK} pins no '{name}'", allowed=tuple(every), hint=hint)
            gone |= found
        refs, data = ({k: v for k, v in table.items() if k not in gone} for table in (self.refs, self.data))
        return Lock(refs, data)


def key_of(rev: str, name: str) -> str:
    """The name of a revision in the lock."""
    return f"{rev}@{name}"


def parse_lock(text: str | None, where: str) -> Lock:
    """Read the text of a lock; DiagnosticError with every line that is not one."""
    import yaml

    from mldlc.config.marks import find, parse, syntax_error

    try:
        node = parse(text or "")
    except yaml.YAMLError as error:
        raise DiagnosticError([syntax_error(error, where)]) from None
    wrong: list[Diagnostic] = []

    def mistake(message: str, line: int) -> None:
        wrong.append(Diagnostic("bad_lock", message, where=Location(where, line), hint="make it again: mldlc lock"))

    found = find(node, ("format",))
    if node is not None and (found is None or getattr(found[0], "value", "") != FORMAT):
        mistake(f"not a {FORMAT} file", found[1] if found else 1)
    tables: dict[str, dict[str, str]] = {"refs": {}, "data": {}}
    for name, known in tables.items():
        table = find(node, (name,))
        for key, value in table[0].value if table and isinstance(table[0], yaml.MappingNode) else ():
            form = SHA if name == "refs" else COMMIT
            if not isinstance(value, yaml.ScalarNode) or not form.fullmatch(value.value):
                mistake(f"'{key.value}' is not pinned to a full commit id", key.start_mark.line + 1)
            else:
                known[key.value] = value.value
    if wrong:
        raise DiagnosticError(wrong)
    return Lock(**tables)


def lock_of(pins: Iterable[Pin], data: Mapping[str, str]) -> Lock:
    """The lock for the revisions of a composition and of its data."""
    refs = {key_of(pin.rev, pin.name): pin.commit for pin in pins if pin.rev != pin.commit}
    return Lock(refs, dict(data))


def dump_lock(lock: Lock) -> str:
    """The text of a lock."""
    import yaml

    tables = {"refs": dict(sorted(lock.refs.items()))}
    if lock.data:
        tables["data"] = dict(sorted(lock.data.items()))
    return HEAD + yaml.safe_dump({"format": FORMAT, **tables}, width=1000, sort_keys=False)


def unpinned(pins: Iterable[Pin]) -> list[Diagnostic]:
    """An error for each revision that is neither a full commit id nor in the lock: what `--locked` refuses."""
    return [
        Diagnostic(
            "not_locked",
            f"'{pin.rev}' of {pin.name} is not pinned" + ("" if pin.moving else " (a tag can be moved)"),
            where=pin.where or Location("hydra.searchpath"),
            found=pin.rev,
            hint=f"mldlc lock pins it (to {pin.commit[:7]} now)",
        )
        for pin in pins
        if pin.rev != pin.commit and not pin.locked
    ]


def floating(pins: Iterable[Pin]) -> list[Diagnostic]:
    """A warning for each branch that nothing pins: the same command may mean another config tomorrow."""
    return [
        Diagnostic(
            "floating_revision",
            f"'{pin.rev}' of {pin.name} can move; this plan takes {pin.commit[:7]}",
            severity="warning",
            where=pin.where or Location("hydra.searchpath"),
            found=pin.rev,
            hint="mldlc lock pins it",
        )
        for pin in pins
        if pin.moving and not pin.locked
    ]
