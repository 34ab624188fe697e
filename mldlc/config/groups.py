"""Which config groups a project has, and their options: for help, doctor and completion. Imports no Hydra."""

from __future__ import annotations

from pathlib import Path

from mldlc.config.project import Project
from mldlc.config.tree import FolderTree, Ledger, Tree


def describe_groups(project: Project, ledger: Ledger | None = None) -> dict[str, list[str]]:
    """Group -> options over the whole search path, both sorted; a nested group is named by its path ("a/b").

    `ledger` learns which folders were listed.
    """
    found: dict[str, set[str]] = {}
    for conf in project.conf:
        _collect(_tree(conf, project, ledger or Ledger()), "", found)
    return {group: sorted(options) for group, options in sorted(found.items())}


def primary_configs(project: Project, ledger: Ledger) -> list[str]:
    """What `--config-name` may name."""
    names = {name for conf in project.conf for name in _tree(conf, project, ledger).names("")}
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def _tree(conf: str, project: Project, ledger: Ledger) -> Tree:
    if conf.startswith("git://"):
        return project.repositories(ledger).open(conf, project.root)
    return FolderTree(Path(conf), "", ledger)


def _collect(tree: Tree, folder: str, found: dict[str, set[str]]) -> None:
    for name in tree.names(folder):
        path = f"{folder}/{name}" if folder else name
        if name.startswith((".", "__")):
            continue
        if tree.is_dir(path):
            found.setdefault(path, set())
            _collect(tree, path, found)
        elif folder and name.endswith(".yaml"):
            found[folder].add(name.removesuffix(".yaml"))
