"""The function of a Hydra app: named by its file, found again in another process, hashed with all it imports."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra

from mldlc.plan.context import StepError

MAIN = "__mp_main__"  # what multiprocessing calls the script of the parent process


class TaskError(StepError):
    """An app whose function cannot be run in another process."""


TOP = "define it at the top of its module"


@dataclass(frozen=True)
class Task:
    """Where the function lies. module: as it is imported; script: its file where it is the program itself, else "".

    roots: folders that first-party code is imported from.
    """

    module: str
    name: str
    script: str
    roots: tuple[str, ...]


def task_of(function: Callable[..., Any]) -> Task:
    """Name a task function. TaskError where no other process could find it."""
    module, name = function.__module__, function.__qualname__
    script = ""
    main = sys.modules["__main__"]
    if module == "__main__":
        spec = getattr(main, "__spec__", None)
        file = getattr(main, "__file__", None)
        if spec is None and not file:
            raise TaskError("the app is no file: mldlc starts its jobs from one")
        module = spec.name if spec is not None else Path(str(file)).stem
        script = str(Path(str(file)).resolve())
    found = _find(sys.modules[function.__module__], name) if "<locals>" not in name else None
    if found is not function:
        raise TaskError(f"{function.__module__}.{name} is not found by its name: {TOP}")
    return Task(module, name, script, tuple(_roots(script, module)))


def _find(module: ModuleType, name: str) -> Any:
    """The function of that name, without the decorator of Hydra."""
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    while getattr(getattr(found, "__code__", None), "co_filename", None) == hydra.main.__code__.co_filename:
        found = found.__wrapped__
    return found


def _roots(script: str, module: str) -> Iterable[str]:
    """Folders of the Python path that hold code of the user's own: no installed packages, no standard library."""
    own = [str(Path(script).parents[module.count(".")])] if script else []
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for entry in dict.fromkeys([*own, *(str(Path(item or ".").resolve()) for item in sys.path)]):
        path = Path(entry)
        if entry in own or (path.is_dir() and entry not in installed and not any(path.glob("*.dist-info"))):
            yield entry


class Frozen(SourceFileLoader):
    """Imports a module from the bytes that it had when the jobs were planned; its `__file__` stays the live one."""

    def __init__(self, fullname: str, path: str, copy: Path) -> None:
        super().__init__(fullname, path)
        self.copy = copy

    def get_data(self, path: str) -> bytes:
        return self.copy.read_bytes() if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError("no bytecode is read or written")


class FrozenFinder:
    """Finds modules among frozen files: name -> (live path, copy)."""

    def __init__(self, files: Mapping[str, tuple[str, str]]) -> None:
        self.files = files

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.files:
            return None
        return self.spec(fullname, fullname)

    def spec(self, module: str, name: str) -> ModuleSpec | None:
        """The spec of a frozen module, imported as `name`."""
        live, copy = self.files[module]
        package = [str(Path(live).parent)] if Path(live).name == "__init__.py" else None
        loader = Frozen(name, live, Path(copy))
        return importlib.util.spec_from_file_location(name, live, loader=loader, submodule_search_locations=package)


def load(task: Task, files: Mapping[str, tuple[str, str]]) -> Callable[..., Any]:
    """Import the function in this process, as multiprocessing would: the program itself is not run as `__main__`."""
    finder = FrozenFinder(files)
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    sys.path[:0] = [root for root in task.roots if root not in sys.path]
    found = _find(_program(task, finder) if task.script else importlib.import_module(task.module), task.name)
    if found is None:
        raise TaskError(f"{task.module}.{task.name} is not there when the app is imported: {TOP}, outside of any `if`")
    return found  # type: ignore[no-any-return]


def _program(task: Task, finder: FrozenFinder) -> ModuleType:
    spec = finder.spec(task.module, MAIN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__package__ = task.module.rpartition(".")[0]
    sys.modules[MAIN] = sys.modules["__main__"] = module
    spec.loader.exec_module(module)
    return module


def packages_of(imports: Iterable[str]) -> tuple[str, ...]:
    """Installed distributions among imported names, by the first part of each."""
    tops = {name.partition(".")[0] for name in imports} - set(sys.stdlib_module_names)
    if not tops:
        return ()
    known = importlib.metadata.packages_distributions()
    return tuple(sorted({known[top][0] for top in tops if top in known}))
