"""What a command line can say in a project: groups, options, keys, values, stages; kept on disk, as Hydra is slow.

An entry is trusted as those of the graph cache are: only while all that it was made from is unchanged.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.stamps import MANIFEST, own_stamp, path_stamp, root_of, still_there
from mldlc.config.tree import unchanged
from mldlc.plan.codec import digest
from mldlc.plan.diagnostic import DiagnosticError

if TYPE_CHECKING:
    from mldlc.config.project import Project
    from mldlc.config.tree import Ledger


class Vocabulary:
    """The words of one project under a config name and a `--config-dir`; each part is made when it is asked for."""

    def __init__(self, start: Path, config_name: str = "config", config_dir: str = "") -> None:
        self.root = root_of(start.absolute())
        self.config_name = config_name
        self.config_dir = str(Path(config_dir).absolute()) if config_dir else ""
        self.outputs = Path(os.environ.get("MLDLC_OUTPUTS") or self.root / "outputs").absolute()

    def groups(self) -> dict[str, list[str]]:
        """Group -> options."""
        found: dict[str, list[str]] = self._entry("groups", ())["groups"]
        return found

    def config_names(self) -> list[str]:
        """What `--config-name` may name."""
        found: list[str] = self._entry("groups", ())["names"]
        return found

    def keys(self, choices: tuple[str, ...] = ()) -> dict[str, Any]:
        """What the config with these group choices holds.

        values: key -> its value as text (null: none that could be typed). allowed: key -> values that the schema names.
        new: keys that the schema knows and the config has not. paths: keys that name files. stages: name -> kind.
        """
        return self._entry("keys", choices)

    def _entry(self, part: str, choices: tuple[str, ...]) -> dict[str, Any]:
        request = [part, str(self.root), self.config_name, self.config_dir, list(choices), own_stamp(), path_stamp()]
        file = self.outputs / "cache" / "completion" / f"{digest(request)[:32]}.json"
        entry = read_json(file)
        same = entry.get("request") == request and unchanged(entry["files"], entry["missing"], entry["env"])
        if same and still_there(entry["pins"], entry["links"]):
            return entry
        entry = {"request": request, **self._made(part, choices)}
        asked = (self.root / MANIFEST).is_file() or self.outputs.is_dir()  # a Tab in any folder makes none there
        if asked and entry["keyed"]:
            write_json(file, entry)
        return entry

    def _made(self, part: str, choices: tuple[str, ...]) -> dict[str, Any]:
        """A part with what it depends on. Mistakes in the config are for `plan` to tell: here they leave words out."""
        from mldlc.config.project import Project, find_project

        env: dict[str, str | None] = {}
        try:
            project = find_project(self.root)
        except DiagnosticError:
            project = Project(self.root, (), (), None, "")
        ledger = project.seen.copy()
        ledger.note(str(self.root / MANIFEST))
        if part == "groups":
            words = self._listed(project, ledger)
        else:
            from mldlc.compiler.keywords import composed, words_of

            config, env = composed(project, self.config_name, self.config_dir or None, choices, ledger)
            words = words_of(config)
        pins = [pin.held() for pin in ledger.pins.values()]
        return {
            **words, "files": ledger.files, "missing": sorted(ledger.missing), "env": env, "pins": pins,
            "links": ledger.links, "keyed": not ledger.unkeyed,
        }  # fmt: skip

    def _listed(self, project: Project, ledger: Ledger) -> dict[str, Any]:
        from mldlc.config.groups import describe_groups, primary_configs

        wide = replace(project, conf=(*([self.config_dir] if self.config_dir else []), *project.conf))
        try:
            return {"groups": describe_groups(wide, ledger), "names": primary_configs(wide, ledger)}
        except DiagnosticError:  # a git source that is gone
            return {"groups": {}, "names": []}
