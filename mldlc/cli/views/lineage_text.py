"""Lineage for a person: a tree from an artifact to what it came from, or to what came from it."""

from __future__ import annotations

import datetime
from typing import Any

from mldlc.cli.views.style import duration, paint, size
from mldlc.loop.lineage import Action, Artifact, Lineage

MOST_VALUES = 8


def lines(found: Lineage, colour: bool, everything: bool = False) -> list[str]:
    """The tree; an artifact that was shown already is not opened again."""
    out: list[str] = []
    seen: set[str] = set()
    told: set[str] = set()
    todo = [(digest, 0, "") for digest in reversed(found.roots)]
    while todo:
        digest, depth, label = todo.pop()
        item = found.artifacts[digest]
        pad = "  " * depth
        again = digest in seen
        out.append(f"{pad}{label}{headline(item, colour)}{paint('  (above)', 'dim', colour) if again else ''}")
        if again:
            continue
        seen.add(digest)
        below = _users(found, digest) if found.down else _maker(found, item)
        if found.down:
            nested: list[tuple[str, int, str]] = []
            for action in below:
                nested += [(made, depth + 1, "") for made in action.outputs.values()]
            out += [f"{pad}  {paint(text, 'magenta', colour)}" for text in _effects(found, digest)]
            todo += reversed(nested)
            continue
        for action in below:
            if action.key in told:
                out.append(f"{pad}  made by {action.kind}{paint('  (above)', 'dim', colour)}")
                continue
            told.add(action.key)
            out += [f"{pad}  {line}" for line in details(action, colour, everything)]
            inputs = [(d, port, label) for port, labels in action.inputs.items() for label, d in labels.items()]
            todo += [(d, depth + 1, f"{port} <- ") for d, port, _ in reversed(inputs)]
        if not below:
            out.append(paint(f"{pad}  no record in the store tells how it was made", "yellow", colour))
    return out


def headline(item: Artifact, colour: bool) -> str:
    """One line of an artifact."""
    name = paint(f"{item.stage}.{item.port}" if item.stage else "artifact", "bold", colour)
    rows = ", ".join(f"{count} {part}" for part, count in item.rows.items())
    facts = [item.type, item.digest[:12], size(item.size) if item.key else "", rows]
    also = f"made {item.others + 1} times, equal bytes" if item.others else ""
    return "  ".join(text for text in (name, *facts, also) if text)


def details(action: Action, colour: bool, everything: bool) -> list[str]:
    """How an artifact was made: run, config, code, environment, outside sources."""
    when = datetime.datetime.fromtimestamp(action.started).isoformat(" ", "seconds") if action.started else "?"
    head = f"made by {action.kind}, run {action.run}, {when}, {duration(action.seconds)}"
    out = [head + (f" on {action.host}" if action.host else "")]
    if not action.known:
        out.append(paint("that run's folder is gone: config and code are known by digest only", "yellow", colour))
    out += _config(action, everything)
    git = f", git {action.git['rev'][:12]}" if action.git.get("rev") else ""
    modules = f"{len(action.modules)} modules" if action.modules else "modules not known"
    out.append(f"{'code':<8}{action.code[:12]}  {modules}{git}")
    if everything:
        out += [f"{'':<8}{name} {digest[:12]}" for name, digest in action.modules.items()]
    packages = ", ".join(f"{name} {version}" for name, version in action.packages.items())
    env = ", ".join(text for text in (f"python {action.python}" if action.python else "", packages) if text)
    if env:
        out.append(f"{'env':<8}{env}")
    for source in action.sources:
        out.append(f"{'rows':<8}{_source(source)}")
    return out


def _config(action: Action, everything: bool) -> list[str]:
    """The command line of the run, then the values that it or a changed file set; all when asked, or when few."""
    told = [value for value in action.config if value.set_by]
    few = everything or len(action.config) <= MOST_VALUES
    shown = list(action.config) if few else told[:MOST_VALUES]
    rows = [" ".join(action.overrides)] if action.overrides else []
    for value in shown:
        place = "command line" if "=" in value.set_by else value.set_by
        rows.append(f"{value.path} = {_short(value.value)}{f'  ({place})' if place else ''}")
    rest = len(action.config) - len(shown)
    if rest:
        rows.append(f"{rest} {'more ' if shown else ''}value{'s' if rest > 1 else ''} (--all)")
    return [f"{'config' if number == 0 else '':<8}{row}" for number, row in enumerate(rows)]


def commit_lines(commit: dict[str, Any], put: tuple[str, ...], colour: bool) -> list[str]:
    """The commit that a versioned place was found in, and the files that no artifact of this store holds."""
    when = datetime.datetime.fromtimestamp(commit["time"]).isoformat(" ", "seconds")
    by = f" by {commit['committer']}" if commit["committer"] else ""
    out = [f"{paint('commit ' + commit['id'][:12], 'bold', colour)}  {when}{by}  {commit['message']}"]
    out += [f"  {key:<18}{_short(value)}" for key, value in sorted(commit["metadata"].items())]
    if put:
        more = f" and {len(put) - 3} more" if len(put) > 3 else ""
        out.append(f"  not made by a step of this store: {', '.join(put[:3])}{more}")
    return out


def _maker(found: Lineage, item: Artifact) -> list[Action]:
    return [found.actions[item.key]] if item.key in found.actions else []


def _users(found: Lineage, digest: str) -> list[Action]:
    taken = (action for action in found.actions.values())
    return [action for action in taken if any(digest in labels.values() for labels in action.inputs.values())]


def _effects(found: Lineage, digest: str) -> list[str]:
    return [
        f"{effect.kind} by {effect.stage}, run {effect.run}" for effect in found.effects if digest in effect.digests
    ]


def _source(source: dict[str, Any]) -> str:
    at = f" at commit {source['commit'][:12]}" if source["commit"] else ""
    token = f"  {source['token'][:12]}" if source["token"] else ""
    files = f"  {source['paths'][0]}" if len(source["paths"]) == 1 else f"  {len(source['paths'])} files"
    return f"{source['name']}{at}{token}{files if source['paths'] else ''}"


def _short(value: object) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
