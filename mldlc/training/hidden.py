"""Finds a hidden layer of a network and catches what it gives."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Tap:
    """Catches a hidden layer of `net` at each forward pass: `value`, (B, width).

    path: of a module, whose output is taken, or `auto`: what the last linear layer (in the order of definition) gets.
    StepError where there is no such module, and for `auto` where the last layer is the only one.
    """

    def __init__(self, net: nn.Module, path: str, where: str, whose: str) -> None:
        self.value: Tensor | None = None
        name, modules = type(net).__name__, dict(net.named_modules())
        if path != "auto":
            if path not in modules or not path:
                known = [key for key in modules if key]
                hint = did_you_mean(path, known) or f"modules: {', '.join(known[:20])}"
                raise StepError(f"{whose}, a {name}, has no module '{path}'", where=where, hint=hint)
            self._handle = modules[path].register_forward_hook(lambda _m, _args, out: self._keep(out))
            return
        layers = [module for module in modules.values() if isinstance(module, _WEIGHTED)]
        linear = [module for module in layers if isinstance(module, nn.Linear)]
        if len(layers) < 2 or not linear:
            raise StepError(
                f"{whose}, a {name}, has no hidden layer", where=where,
                hint="use distill=logits, a deeper model, or name a module by its path",
            )  # fmt: skip
        self._handle = linear[-1].register_forward_pre_hook(lambda _m, args: self._keep(args[0]))

    def _keep(self, value: Any) -> None:
        self.value = value.flatten(1) if isinstance(value, Tensor) and value.ndim > 1 else None

    def take(self, where: str) -> Tensor:
        """What the last forward pass gave; StepError when that was no array with a row a row."""
        value, self.value = self.value, None
        if value is None:
            raise StepError("the hidden layer gives no (B, ...) tensor", where=where, hint="name another module")
        return value

    def close(self) -> None:
        """Catch no more."""
        self._handle.remove()
