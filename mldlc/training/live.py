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

    peak: most bytes so far. bare, shared: the same without what `own` was told of, and with a part of it. now: bytes at
    this moment.
    """

    def __init__(self, known: Iterable[Tensor], part: float = 1.0) -> None:
        """known: tensors that count nothing, as parameters and buffers do elsewhere."""
        super().__init__()
        self.part = part
        self.now = self.peak = self.bare = self.shared = self.owned = 0
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
        """Leave a living tensor out of `bare`: a gradient, which has a line of its own."""
        place = _place(tensor)
        if place not in self._owned and self._sizes.get(place):
            self._owned.add(place)
            self.owned += self._sizes[place]

    def restart(self) -> None:
        """Let the peaks begin at what lives now."""
        self.peak = self.bare = self.shared = 0
        self._mark()

    def _mark(self) -> None:
        self.peak = max(self.peak, self.now)
        bare = self.now - self.owned
        self.bare, self.shared = max(self.bare, bare), max(self.shared, bare + int(self.owned * self.part))

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
