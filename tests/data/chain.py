"""The data stages over a real store, one after another in this process: what a run of them gives and works on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.load import typed
from mldlc.data.spec import CLEAN, COLLECT, PREPARE, SPLIT
from mldlc.engine.objects import LocalObjects
from mldlc.engine.perform import Outcome, Surroundings, perform
from mldlc.engine.step_file import BoundInput, BoundItem, Setting, StepFile, stamp
from mldlc.plan.codec import digest
from mldlc.plan.spec import StepSpec
from mldlc.plan.step import Source
from mldlc.profile.spec import PROFILE
from mldlc.store.hashing import hash_file
from mldlc.store.layout import open_store
from mldlc.store.records import iter_records
from tests.data.steps import option

ORDER = (COLLECT, CLEAN, SPLIT, PROFILE, PREPARE)
WIRES: dict[str, dict[str, tuple[str, str]]] = {
    "data.collect": {},
    "data.clean": {"table": ("data.collect", "table")},
    "data.split": {"table": ("data.clean", "table")},
    "profile.profile": {"table": ("data.clean", "table"), "split": ("data.split", "split")},
    "data.prepare": {"table": ("data.clean", "table"), "split": ("data.split", "split")},
}


@dataclass
class Chain:
    """A store and the config of the stages. `worked`: kind -> items worked on in the last run."""

    outputs: Path
    config: dict[str, dict[str, Any]]
    stages: Sequence[StepSpec] = ORDER
    worked: Counter[str] = field(default_factory=Counter)
    runs: int = 0

    def run(self, paths: Sequence[Path]) -> dict[str, str]:
        """Digest of every output, "kind.port" -> digest."""
        store = open_store(self.outputs)
        self.runs += 1
        before = {record.key for record in iter_records(store)}
        made: dict[str, str] = {}
        for spec in self.stages:
            outcome = self._perform(spec, paths, made)
            assert outcome.status in ("ran", "reused"), outcome.error
            made |= {f"{spec.kind}.{port}": out.digest for port, out in outcome.outputs.items()}
        new = [record for record in iter_records(store) if record.key not in before and "[" in record.stage]
        self.worked = Counter(record.kind for record in new)
        return made

    def read(self, name: str, digest: str) -> Any:
        """The typed reader of an output."""
        port = LocalObjects(open_store(self.outputs), {})
        return typed(Artifact(name, digest, port.fetch(digest), None))

    def _perform(self, spec: StepSpec, paths: Sequence[Path], made: Mapping[str, str]) -> Outcome:
        store = open_store(self.outputs)
        params = {group: self.config[group] for group in spec.reads}
        wired = {port: made[f"{kind}.{out}"] for port, (kind, out) in WIRES[spec.kind].items()}
        names = tuple(str(path) for path in paths) if spec is COLLECT else ()
        contents = {name: hash_file(Path(name)) for name in names}
        identity = digest({group: {k: v for k, v in item.items() if k != "path"} for group, item in params.items()})
        file = StepFile(
            spec.kind, spec.kind, spec.kind, spec.version, spec.impl,
            digest([spec.kind, identity, wired, sorted(contents.items())]), "recipe", identity, "code",
            Setting(str(self.runs), "plan", str(self.outputs), 2), params=params,
            inputs={
                port: BoundInput(spec.inputs[port].arity, (BoundItem("", spec.inputs[port].type.name, found),))
                for port, found in wired.items()
            },
            outputs={port: kind.name for port, kind in spec.outputs.items()},
            sources=(Source("file:x", "x", names, "content", "t"),) if names else (),
            stamps=tuple(stamp(name) for name in names), contents=contents,
        )  # fmt: skip
        work = store.work / f"{self.runs}-{spec.kind}"
        work.mkdir(exist_ok=True)
        port = LocalObjects(store, {"run": str(self.runs), "pid": "1"})
        around = Surroundings(work, lambda t, d: None, lambda: False, logging.getLogger("chain"), False)
        return perform(file, port, around)


def config(kind: str = "csv", split: str = "random", **changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The shipped options of the stages, with changes by group."""
    chosen = {
        "source": option("source", kind, path="/nowhere"), "clean": option("clean", "rules"),
        "split": option("split", split), "profile": option("profile", "whylogs"),
        "prepare": option("prepare", "tabular"),
    }  # fmt: skip
    return {group: {**item, **changes.get(group, {})} for group, item in chosen.items()}
