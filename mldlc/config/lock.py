"""`mldlc.lock`: the commits that moving git revisions of a config stand for. Written by `mldlc lock`, kept in git."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mldlc.config.gitrepo import SHA
from mldlc.config.tree import Pin
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location

LOCK = "mldlc.lock"
FORMAT = "mldlc.lockfile/1"
HEAD = "# Written by `mldlc lock`: what each moving revision of the config stands for. Keep it in git.\n"


@dataclass(frozen=True)
class Lock:
    """refs: `rev@repository` -> full commit sha; the repository as the config names it, relative to the project."""

    refs: dict[str, str] = field(default_factory=dict)


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

    refs: dict[str, str] = {}
    found = find(node, ("format",))
    if node is not None and (found is None or getattr(found[0], "value", "") != FORMAT):
        mistake(f"not a {FORMAT} file", found[1] if found else 1)
    table = find(node, ("refs",))
    for key, value in table[0].value if table and isinstance(table[0], yaml.MappingNode) else ():
        if not isinstance(value, yaml.ScalarNode) or not SHA.fullmatch(value.value):
            mistake(f"'{key.value}' is not pinned to a full commit id", key.start_mark.line + 1)
        else:
            refs[key.value] = value.value
    if wrong:
        raise DiagnosticError(wrong)
    return Lock(refs)


def dump_lock(pins: Iterable[Pin]) -> str:
    """The text of the lock for the revisions of a composition."""
    import yaml

    refs = {key_of(pin.rev, pin.name): pin.commit for pin in pins if pin.rev != pin.commit}
    return HEAD + yaml.safe_dump({"format": FORMAT, "refs": dict(sorted(refs.items()))}, width=1000)


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
