"""What the config sources of one composition share: open trees, parsed files, and what a lenient reading skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mldlc.config.marks import leaves, parse, syntax_error
from mldlc.config.project import Project, shipped_conf
from mldlc.config.tree import FolderTree, Ledger, Tree, shown
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, fail


@dataclass
class Session:
    """What the sources of one composition share. `lenient` collects broken files instead of raising."""

    project: Project
    ledger: Ledger
    parsed: dict[str, tuple[dict[str, str | None], Any]] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    lenient: list[Diagnostic] | None = None
    absent: set[str] = field(default_factory=set)  # config paths to take as empty (lenient only)
    seen: dict[str, None] = field(default_factory=dict)  # config paths in the order of reading
    notes: dict[Any, Any] = field(default_factory=dict)  # what provenance has worked out, by set of choices
    skipped: set[str] = field(default_factory=set)  # those of broken files (lenient only)

    def tree(self, path: str) -> Tree:
        """The tree of a search path entry, opened once."""
        if path not in self.trees:
            root = self.project.root
            if path.startswith("git://"):
                self.trees[path] = self.project.repositories(self.ledger).open(path, root)
            else:
                folder = root / path.removeprefix("file://")
                self.trees[path] = FolderTree(folder, shown(folder, root, shipped_conf()), self.ledger)
        return self.trees[path]


@dataclass(frozen=True)
class Dialect:
    """How Hydra reads a config text: YAML loader, `# @package` header, what is wrong with an interpolation."""

    loader: Any
    header: Callable[[str], dict[str, str | None]]
    problem: Callable[[str], str]


def existing_folder(config_dir: str) -> str:
    """The absolute folder of `--config-dir`, or its git source. DiagnosticError when there is none."""
    if config_dir.startswith("git://"):
        return config_dir
    folder = Path(config_dir).absolute()
    if not folder.is_dir():
        raise fail("missing_folder", f"command line: --config-dir: no folder '{config_dir}'", found=config_dir)
    return str(folder)


def entries(project: Project, config_dir: str | None) -> tuple[tuple[str, str], ...]:
    """(provider, address) of the search path, first wins: the command line's folder, then the project's."""
    named = [("mldlc" if index else "main", conf) for index, conf in enumerate(project.conf)]
    first = [("command-line", config_dir)] if config_dir is not None else []
    return tuple((provider, conf if "://" in conf else f"file://{conf}") for provider, conf in first + named)


def read_config(text: str, where: str, dialect: Dialect) -> tuple[dict[str, str | None], Any]:
    """Header and plain data of a config text. DiagnosticError with the line when it is broken."""
    try:
        header = dialect.header(text[:512])
    except ValueError as error:
        raise fail("broken_header", f"bad '# @package' line: {error}", where=Location(where, 1)) from error
    try:
        data = yaml.load(text, Loader=dialect.loader)
    except yaml.YAMLError as error:
        raise DiagnosticError([syntax_error(error, where)]) from error
    if data is None:
        return header, {}
    if not isinstance(data, dict):
        raise fail(
            "broken_yaml", f"expected a mapping of keys, found a {type(data).__name__}", where=Location(where, 1)
        )
    bad = [*_bad_interpolations(text, where, dialect)] if "${" in text else []
    if bad:
        raise DiagnosticError(bad)
    return header, data


def _bad_interpolations(text: str, where: str, dialect: Dialect) -> Iterator[Diagnostic]:
    for path, node in leaves(parse(text)):
        problem = dialect.problem(node.value) if "${" in node.value else ""
        if problem:
            message = f"broken interpolation in '{'.'.join(path)}': {problem}"
            line = Location(where, node.start_mark.line + 1)
            yield Diagnostic("bad_interpolation", message, where=line, key=".".join(path), found=node.value)
