"""Reading `mldlc.yaml`: its keys with their lines, its mistakes as diagnostics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mldlc.plan.diagnostic import Diagnostic, Location, did_you_mean

if TYPE_CHECKING:
    import yaml

MANIFEST = "mldlc.yaml"
KEYS = ("name", "conf", "extends", "code")


@dataclass(frozen=True)
class Text:
    """One text of a manifest and where it stands."""

    value: str
    where: Location


class Manifest:
    """The text of a `mldlc.yaml`; what is wrong with it goes to `errors`. file: its name in messages."""

    def __init__(self, text: str, file: str, errors: list[Diagnostic]) -> None:
        self.file = file
        self.errors = errors
        self._keys = self._read(text)

    def texts(self, name: str) -> list[Text]:
        """The text, or the list of texts, under a key, each with its place."""
        import yaml

        node = self._keys.get(name)
        single = node is None or name == "name" or not isinstance(node, yaml.SequenceNode)
        items = [] if node is None else [node] if single else node.value
        good = [
            Text(item.value, self.place(item.start_mark.line + 1))
            for item in items
            if isinstance(item, yaml.ScalarNode) and item.value
        ]
        if node is not None and len(good) < len(items):
            message = f"{name}: expected a text" + ("" if name == "name" else " or a list of texts")
            self.add("wrong_type", message, node.start_mark.line + 1)
        return good

    def place(self, line: int) -> Location:
        """A line of this manifest."""
        return Location(self.file, line)

    def add(self, code: str, message: str, line: int, **fields: Any) -> None:
        """Note a mistake at a line."""
        self.errors.append(Diagnostic(code, message, where=self.place(line), **fields))

    def _read(self, text: str) -> dict[str, yaml.Node]:
        """Top-level keys with their nodes; unknown keys and broken YAML become diagnostics."""
        import yaml

        from mldlc.config.marks import parse, syntax_error

        try:
            node = parse(text)
        except yaml.YAMLError as error:
            self.errors.append(syntax_error(error, self.file))
            return {}
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.add("wrong_type", f"expected the keys {', '.join(KEYS)}", node.start_mark.line + 1)
            return {}
        keys = {}
        for key, value in node.value:
            if key.value in KEYS:
                keys[key.value] = value
            else:
                hint = did_you_mean(key.value, KEYS) or f"there are: {', '.join(KEYS)}"
                self.add("unknown_key", f"unknown key '{key.value}'", key.start_mark.line + 1, hint=hint)
        return keys
