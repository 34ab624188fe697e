"""Modules that the libraries of a step import, and hardly a step uses, are executed when first used.

Measured with torch 2.13, Lightning 2.6, torchmetrics 1.9 and whylogs 1.6: to import Lightning takes torch's compiler
(900 modules, sympy among them) for one `isinstance`, and scipy.signal for one `hasattr`; whylogs takes scikit-learn
where it is installed, for embeddings. That is half and three quarters of all that is to import. Such a module stands in
`sys.modules` from its import on, with what these ask of it; whatever else is asked executes it, in place. So nothing
differs but the time.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

UNASKED = ("__warningregistry__", "__wrapped__")  # what tools ask every module for
_executing = threading.RLock()


class Deferred(ModuleType):
    """Not executed yet. `_spec`: the real one; `_light`: the few names that do without."""

    def __getattr__(self, name: str) -> Any:
        if name in UNASKED:
            raise AttributeError(name)
        if name == "__path__":
            asks = sys._getframe(1)
            if asks.f_code.co_name != "_find_and_load_unlocked":  # `from package import name` asks as well, needlessly
                raise AttributeError(name)
            if asks.f_locals.get("name") in APART and (spec := self.__dict__.get("_spec")):
                return list(spec.submodule_search_locations)
        with _executing:
            if "_spec" in self.__dict__:
                execute(self)
                return _attribute(self, name)
        # it is being made or executed by this thread, or was executed while this one waited
        if name in self.__dict__:
            return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def execute(module: Any) -> None:
    """Make a deferred module what an import would have made it; any other one is left alone."""
    with _executing:
        if not isinstance(module, Deferred) or "_spec" not in (own := module.__dict__):
            return
        execute(sys.modules.get(module.__name__.rpartition(".")[0]))
        if "_spec" not in own:  # its package executed it
            return
        spec, light = own.pop("_spec"), own.pop("_light")
        for name in light:
            del own[name]
        module.__spec__, module.__loader__ = spec, spec.loader
        if spec.submodule_search_locations is not None:
            module.__package__, module.__path__ = spec.name, list(spec.submodule_search_locations)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(module.__name__, None)
            raise
        for name, value in light.items():
            own.setdefault(name, value)
        module.__class__ = ModuleType


def _attribute(module: ModuleType, name: str) -> Any:
    """Of a module that was executed for it: `from package import name` also means a submodule."""
    if not hasattr(module, name) and not name.startswith("__"):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"{module.__name__}.{name}")
    return getattr(module, name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for the deferred modules before anyone else."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.names or target is not None:  # a reload
            return None
        real = importlib.machinery.PathFinder.find_spec(fullname, path)
        if real is None or real.loader is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=real.origin)
        spec.loader_state = real
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        real, light = module.__spec__.loader_state, LIGHT[module.__name__](module)
        module.__file__ = real.origin  # `inspect` asks every module for it
        module.__dict__.update(light, _spec=real, _light=light)


def install(*names: str) -> None:
    """Defer these modules, by default all that can be, in this process and those forked from it."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(names or tuple(LIGHT)))


def _dynamo(module: Any) -> dict[str, Any]:
    """torch._dynamo: what optimizers and Lightning ask of it where nothing is compiled."""

    class Compiled(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return not isinstance(module, Deferred) and isinstance(instance, module.OptimizedModule)

    class OptimizedModule(metaclass=Compiled):
        """Nothing is an instance while there is no compiler."""

    def disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
        """What is called by itself as long as nothing compiles, and then kept out of it."""
        if fn is None:
            return lambda given: disable(given, recursive, **options)
        if isinstance(fn, type) or not callable(fn):
            execute(module)
            return module.disable(fn, recursive, **options)
        known: list[Any] = []

        def plain(*args: Any, **kwargs: Any) -> Any:
            if isinstance(module, Deferred):
                return fn(*args, **kwargs)
            if not known:
                known.append(module.disable(fn, recursive, **options))
            return known[0](*args, **kwargs)

        return plain

    def graph_break(*args: Any, **kwargs: Any) -> None:
        """There is no graph."""

    return {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break}


def _signal(module: Any) -> dict[str, Any]:
    """scipy.signal: torchmetrics adds a `hamming` where it has none."""

    def hamming(*args: Any, **kwargs: Any) -> Any:
        execute(module)
        return module.windows.hamming(*args, **kwargs)

    return {"hamming": hamming}


def _nothing(module: Any) -> dict[str, Any]:
    """Its being there is enough."""
    return {}


_FOR_EMBEDDINGS = ("sklearn", "sklearn.cluster", "sklearn.decomposition", "sklearn.metrics", "sklearn.metrics.pairwise")
LIGHT: dict[str, Callable[[Any], dict[str, Any]]] = {
    "torch._dynamo": _dynamo,
    "torch._inductor": _nothing,
    "scipy.signal": _signal,
    **dict.fromkeys(_FOR_EMBEDDINGS, _nothing),
}
# what does without its package; `torch.use_deterministic_algorithms` sets a value of that config
APART = ("torch._inductor.config", "torch._inductor.custom_graph_pass", *_FOR_EMBEDDINGS)
