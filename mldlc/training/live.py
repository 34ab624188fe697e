"""Counts the bytes of tensors that live at the same time, as they are made and freed; fake tensors will do."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """While it is entered, sees every tensor that an operation makes; a storage counts once, until it is freed.

    peak: most bytes so far. now: bytes at this moment. owned: those of them that `own` was told of. rest: for each
    number of owned bytes, the most of all others that lived meanwhile.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        """known: tensors that count nothing, as parameters and buffers do elsewhere."""
        super().__init__()
        self.now = self.peak = self.owned = 0
        self.rest: dict[int, int] = {}
        self._sizes: dict[int, int] = {_place(tensor): 0 for tensor in known}
        self._owned: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._see(tensor)
        return made

    def _see(self, tensor: Tensor) -> None:
        storage, place = tensor.untyped_storage(), _place(tensor)
        if place in self._sizes:
            return
        self._sizes[place] = storage.nbytes()
        weakref.finalize(storage, self._free, place)
        self.now += storage.nbytes()
        self._mark()

    def own(self, tensor: Tensor) -> None:
        """Count a living tensor by itself: a gradient, of which a strategy may keep a part, or a copy."""
        place = _place(tensor)
        if place not in self._owned and self._sizes.get(place):
            self._owned.add(place)
            self.owned += self._sizes[place]

    def restart(self) -> None:
        """Let peak and rest begin at what lives now."""
        self.peak, self.rest = 0, {}
        self._mark()

    def worst(self) -> list[list[int]]:
        """(owned, rest) of the moments that could be the worst: none had more of both."""
        found: list[list[int]] = []
        for owned, rest in sorted(self.rest.items(), reverse=True):
            if not found or rest > found[-1][1]:
                found.append([owned, rest])
        return found

    def _mark(self) -> None:
        self.peak = max(self.peak, self.now)
        self.rest[self.owned] = max(self.rest.get(self.owned, 0), self.now - self.owned)

    def _free(self, place: int) -> None:
        size = self._sizes.pop(place)
        self.now -= size
        if place in self._owned:
            self._owned.remove(place)
            self.owned -= size


class Saved(saved_tensors_hooks):
    """Counts what autograd keeps for the backward pass while it is entered, without `known`; a storage counts once."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        self._known = {_place(tensor) for tensor in known}
        self._sizes: dict[int, int] = {}
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        if _place(tensor) not in self._known:
            self._sizes[_place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        """Bytes kept."""
        return sum(self._sizes.values())


def _place(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
