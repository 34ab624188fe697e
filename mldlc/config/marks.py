"""YAML with line numbers: where in a config text a key stands, and what is wrong with a broken one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from mldlc.plan.diagnostic import Diagnostic, Location

SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Path = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One entry of a `defaults:` list: `group` is "" for a plain config name, `options` are the names it asks for."""

    group: str
    options: tuple[str, ...]
    line: int


def parse(text: str) -> yaml.Node | None:
    """The node tree of a YAML text, None when it is empty. Raises yaml.YAMLError."""
    return yaml.compose(text, Loader=SafeLoader)


def fast_loader(dialect: Any) -> Any:
    """A YAML dialect (implicit types, constructors) on libyaml's parser, if there; duplicate keys are errors."""
    body = {"construct_mapping": _construct_mapping}
    loader = type("ConfigLoader", (SafeLoader,), body)
    loader.yaml_implicit_resolvers = dialect.yaml_implicit_resolvers  # type: ignore[attr-defined]
    loader.yaml_constructors = dialect.yaml_constructors  # type: ignore[attr-defined]
    return loader


def _construct_mapping(self: Any, node: yaml.MappingNode, deep: bool = False) -> Any:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:str":
            if key.value in seen:
                text = f"duplicate key '{key.value}' (first on line {seen[key.value]})"
                raise yaml.constructor.ConstructorError(None, None, text, key.start_mark)
            seen[key.value] = key.start_mark.line + 1
    return SafeLoader.construct_mapping(self, node, deep=deep)


def construct(node: yaml.Node, loader: Any) -> Any:
    """The plain value of a node in the dialect of a loader."""
    return yaml.load(yaml.serialize(node, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)), Loader=loader)


def syntax_error(error: yaml.YAMLError, file: str) -> Diagnostic:
    """A YAML error as a diagnostic with its line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    text = re.sub(r"^did not find ", "", problem)
    message = f"broken YAML: {text}" if text == problem else f"broken YAML: {text} here"
    context = getattr(error, "context", None)
    start = getattr(error, "context_mark", None)
    if context and start and mark and start.line != mark.line:
        message += f" ({context} that began on line {start.line + 1})"
    elif context:
        message += f" ({context})"
    hint = "YAML indents with spaces, not tabs" if "\\t" in problem or "cannot start any token" in problem else ""
    return Diagnostic("broken_yaml", message, where=Location(file, mark.line + 1 if mark else 0), hint=hint)


def find(node: yaml.Node | None, path: Path) -> tuple[yaml.Node, int] | None:
    """The node under a key path and the line of its key, None when the text does not write it."""
    line = node.start_mark.line + 1 if node is not None else 0
    for part in path:
        if isinstance(node, yaml.MappingNode):
            for key, value in reversed(node.value):
                if key.value == part:
                    node, line = value, key.start_mark.line + 1
                    break
            else:
                return None
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            return None
    return None if node is None else (node, line)


def leaves(node: yaml.Node | None, path: Path = ()) -> Iterator[tuple[Path, yaml.ScalarNode]]:
    """Every scalar of a text with its key path."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from leaves(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from leaves(value, (*path, str(index)))
    elif isinstance(node, yaml.ScalarNode):
        yield path, node


def defaults(node: yaml.Node | None) -> list[Entry]:
    """The entries of the `defaults:` list of a config text, keywords and packages stripped from the group."""
    found = find(node, ("defaults",))
    if found is None or not isinstance(found[0], yaml.SequenceNode):
        return []
    entries = []
    for item in found[0].value:
        line = item.start_mark.line + 1
        if isinstance(item, yaml.ScalarNode):
            entries.append(Entry("", (item.value.split("@")[0],), line))
        elif isinstance(item, yaml.MappingNode) and item.value:
            key, value = item.value[0]
            group = str(key.value).split(" ")[-1].split("@")[0]
            options = value.value if isinstance(value, yaml.SequenceNode) else [value]
            entries.append(Entry(group, tuple(str(o.value) for o in options), key.start_mark.line + 1))
    return entries


def defaults_of(text: str) -> list[Entry]:
    """The entries of the `defaults:` list of a config text; none when it is broken."""
    try:
        return defaults(parse(text))
    except yaml.YAMLError:
        return []
