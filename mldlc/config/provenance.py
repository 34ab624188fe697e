"""Who wrote a config value: every writer in merge order with file and line. Worked out only when asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mldlc.config.interpolate import Path, Resolution, dotted, is_repeatable
from mldlc.config.marks import construct, find, parse
from mldlc.plan.diagnostic import Location

if TYPE_CHECKING:
    import yaml

    from mldlc.config.seam import Composer

COMMAND_LINE = Location("command line")


@dataclass(frozen=True)
class Writer:
    """One write of a value. `value` is as written: for source "interpolation" the text with its `${...}`."""

    where: Location
    value: Any
    source: Literal["file", "command line", "interpolation"]


@dataclass(frozen=True)
class _Text:
    """One config file of a composition: the package that it goes under, its YAML nodes, its name in messages."""

    package: tuple[str, ...]
    root: yaml.Node | None
    file: str


class Provenance:
    """The history of one point's values. Keys are dotted; list items are reached by their index."""

    def __init__(
        self,
        composer: Composer,
        lines: tuple[str, ...],
        resolution: Resolution,
        places: Mapping[str, Location] | None = None,
    ) -> None:
        """places: where overrides stand that are not the command line's own."""
        self._composer = composer
        self._places = places or {}
        self._lines = lines
        self._resolution = resolution

    def writers(self, key: str | tuple[str, ...]) -> list[Writer]:
        """Every writer of a key, or of a part of it, in merge order: the last one wins. [] for an unknown key.

        key: dotted, or its parts where one of them has a dot in it.
        """
        path = key if isinstance(key, tuple) else tuple(key.split(".")) if key else ()
        found: list[Writer] = []
        for text in _texts_of(self._composer, self._lines):
            _apply(found, path, text.package, lambda rest, t=text: _in_file(t.root, rest, t.file))  # type: ignore[misc]
        found = [writer for writer in found if writer.value != "???"] or found  # in a file it leaves what was there
        for line in self._lines:
            if self._composer.is_value(line):
                override = self._composer.parse(line)
                target = tuple(override.key_or_group.split("."))
                if override.is_delete():
                    if path[: len(target)] == target:
                        found.clear()
                    continue
                value = override.value()
                where = self._places.get(line, COMMAND_LINE)
                _apply(found, path, target, lambda rest, v=value, w=where: _in_value(v, rest, w))  # type: ignore[misc]
        return found

    def locate(self, key: str | tuple[str, ...]) -> Location | None:
        """Where the last writer of a key, or of its nearest existing parent, wrote it; None when nobody did."""
        path = key if isinstance(key, tuple) else tuple(key.split("."))
        for end in range(len(path), 0, -1):
            found = self.writers(path[:end])
            if found:
                return found[-1].where
        return None

    def keys(self) -> list[str]:
        """Every key of the config, parents before children; items of lists are not listed."""
        return list(_keys(self._resolution.config, ""))

    def raw(self, key: str) -> str | None:
        """The text of the interpolation that gives a key (or the parent it is part of) its value; None without one."""
        if not self._resolution.texts:
            return None
        texts = self._texts()
        path = key.split(".")
        for end in range(len(path), 0, -1):
            if ".".join(path[:end]) in texts:
                return texts[".".join(path[:end])]
        return None

    def impure(self) -> dict[str, str]:
        """Keys whose value can differ between two moments or machines (`now`, `oc.env`, `hydra:`, own resolvers), with
        the text that makes it so, followed through references."""
        from mldlc.config.interpolate import references

        texts = self._resolution.texts
        bad = {dotted(path): text for path, text in texts.items() if not is_repeatable(text) or "oc.env" in text}
        changed = bool(bad)
        while changed:
            changed = False
            for path, text in texts.items():
                key = dotted(path)
                if key in bad:
                    continue
                for target in references(text, path):
                    hit = next((k for k in bad if k == target or k.startswith(target + ".")), None)
                    if hit is not None:
                        bad[key], changed = bad[hit], True
                        break
        return bad

    def _texts(self) -> dict[str, str]:
        return {dotted(path): text for path, text in self._resolution.texts.items()}


def _texts_of(composer: Composer, lines: tuple[str, ...]) -> list[_Text]:
    """Every config file of a composition that worked, in merge order, Hydra's own left out."""
    choices = tuple(line for line in lines if not composer.is_value(line))
    known: dict[tuple[str, ...], list[_Text]] = composer.session.notes
    if choices not in known:
        outline, repo = composer.outline(choices)
        known[choices] = []
        for item in outline.defaults:
            found = composer.text_of(item.config_path, repo) if item.config_path else None
            if found is not None and not str(item.config_path).startswith("hydra/"):
                package = tuple(item.package.split(".")) if item.package else ()
                known[choices].append(_Text(package, parse(found[1]), found[0]))
    return known[choices]


def _apply(found: list[Writer], path: Path, target: Path, look: Any) -> None:
    """Add what a write to `target` says of `path`; a write of a plain value above `path` ends what was there before."""
    shared = min(len(path), len(target))
    if path[:shared] != target[:shared]:
        return
    writer, cuts = look(path[len(target) :])
    if cuts:
        found.clear()
    if writer is not None:
        found.append(writer)


def _in_file(root: yaml.Node | None, rest: tuple[str, ...], file: str) -> tuple[Writer | None, bool]:
    import yaml

    if rest[:1] == ("defaults",):  # the defaults list is no value
        return None, False
    for end in range(len(rest), -1, -1):
        hit = find(root, rest[:end])
        if hit is None:
            continue
        node, line = hit
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if end == len(rest):
            value = _plain(node)
            if not rest and isinstance(value, dict):
                value.pop("defaults", None)
            return (_writer(Location(file, line), value, "file") if rest or value else None), False
        if "${" in text:
            return _writer(Location(file, line), text, "file"), True
        return None, not isinstance(node, yaml.MappingNode)
    return None, False


def _in_value(value: Any, rest: tuple[str, ...], where: Location) -> tuple[Writer | None, bool]:
    source: Literal["file", "command line"] = "command line" if where is COMMAND_LINE else "file"
    for part in rest:
        if isinstance(value, str) and "${" in value:
            return _writer(where, value, source), True
        if isinstance(value, dict):
            if part not in value:
                return None, False
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None, True
    return _writer(where, value, source), False


def _writer(where: Location, value: Any, source: Literal["file", "command line"]) -> Writer:
    return Writer(where, value, "interpolation" if isinstance(value, str) and "${" in value else source)


def _plain(node: yaml.Node) -> Any:
    from mldlc.config import seam

    return construct(node, seam.DIALECT.loader)


def _keys(node: Any, prefix: str) -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
