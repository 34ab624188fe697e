"""Jobs of a Hydra app as a plan: one step a job, known by its config and by the code of its function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mldlc.compiler.code import CodeHasher
from mldlc.compiler.draft import CompileRequest, Draft, DraftPoint, Node, Selection, Typed
from mldlc.compiler.observe import ambient
from mldlc.compiler.pipeline import BACK
from mldlc.plan.diagnostic import Location
from mldlc.plan.plan import Plan
from mldlc.plan.spec import Resources
from mldlc_hydra.spec import JOB
from mldlc_hydra.task import Task, packages_of

STAGE = "job"


@dataclass(frozen=True)
class Planned:
    """One job to plan. overrides: its own. config: what it is known by. chdir, env_set: of `hydra.job`."""

    overrides: tuple[str, ...]
    config: Any
    chdir: bool | None
    env_set: Mapping[str, str]
    order: str


@dataclass(frozen=True)
class Code:
    """The code of a task. modules: name -> digest of each first-party module. packages: what else it imports."""

    modules: Mapping[str, str]
    paths: Mapping[str, Path]
    packages: tuple[str, ...]


def code_of(task: Task, outputs: Path, more: Sequence[str] = ()) -> Code:
    """Find and hash what the function of a task imports. more: modules that imports do not show."""
    hasher = _hasher(task, outputs)
    names = [item for item in more if "/" not in item and not item.endswith(".py")]
    modules = hasher.closure([task.module, *names])
    hasher.save()
    imports = {name for module in modules for name in (hasher.modules[module] or ("", ()))[1]}
    paths = {module: path for module in modules if (path := hasher.locate(module)) is not None}
    return Code(modules, paths, packages_of(name for name in imports if hasher.locate(name.partition(".")[0]) is None))


def _hasher(task: Task, outputs: Path) -> CodeHasher:
    return CodeHasher(map(Path, task.roots), outputs / "cache" / "code.json")


def freeze(code: Code, outputs: Path) -> dict[str, tuple[str, str]]:
    """Copies of the files as they are now, by content: module -> (live path, copy)."""
    folder = outputs / "cache" / "hydra"
    folder.mkdir(parents=True, exist_ok=True)
    copies = {}
    for module, path in code.paths.items():
        data = path.read_bytes()
        copy = folder / f"{hashlib.blake2b(data, digest_size=16).hexdigest()}.py"
        if not copy.exists():
            fresh = copy.with_suffix(f".{id(data):x}")
            fresh.write_bytes(data)
            fresh.replace(copy)
        copies[module] = (str(path), str(copy))
    return copies


def plan_jobs(
    name: str, jobs: Sequence[Planned], task: Task, code: Code, root: Path, outputs: Path, needs: Resources,
    *, files: Sequence[str] = (), force: bool = False, settings: Mapping[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """The plan of a batch. Equal jobs are one step; what is in the store is reused unless `force`."""
    ask = CompileRequest(root, multirun=True, selection=Selection(force=(STAGE,) if force else ()))
    draft = _Jobs(ask, ambient((), root), root, tuple(map(Path, task.roots)), outputs=outputs, name=name)
    draft.settings = {"executor": {"kind": "local"}, "approvals": [], **(settings or {})}
    draft.points = tuple(DraftPoint(number, job.overrides, {"job": job.config}) for number, job in enumerate(jobs))
    for number, job in enumerate(jobs):
        typed = _typed(job, task, code, needs, files)
        id = f"{STAGE}@{number}"
        draft.nodes[id] = Node(id, STAGE, typed, "point", (number,), {"job": "job"}, {})
    for step in BACK:
        step.run(draft)
    assert draft.plan is not None
    return draft.plan


class _Jobs(Draft):
    """A draft without config files of ours: no value has a line that could be named."""

    def locate(self, key: str, point: int = 0) -> Location | None:
        return None


def _typed(job: Planned, task: Task, code: Code, needs: Resources, files: Sequence[str]) -> Typed:
    known = {
        "config": job.config, "task": f"{task.module}.{task.name}", "chdir": job.chdir, "env_set": dict(job.env_set),
    }  # fmt: skip
    return Typed(
        kind=JOB.kind, version=JOB.version, impl=JOB.impl, purity=JOB.purity, ports={},
        outputs={port: kind.name for port, kind in JOB.outputs.items()},
        params={"job": {**known, "order": job.order}}, identity={"job": known}, needs=needs,
        packages=("hydra-core", *code.packages), modules=(task.module,), files=tuple(files),
        nondeterministic=JOB.nondeterministic,
    )  # fmt: skip


def normalised(value: Any, own: Callable[[str], str]) -> Any:
    """A config as JSON values; `own` takes the job's own folders out of its texts."""
    if isinstance(value, str):
        return own(value)
    if isinstance(value, Mapping):
        return {str(key): normalised(item, own) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalised(item, own) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return repr(value)
    return value if value is None or isinstance(value, bool | int | float) else f"{type(value).__name__}:{value!r}"
