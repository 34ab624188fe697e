"""What one rank of a strategy holds in memory, part by part, from what was measured of the model. Light.

States follow Rajbhandari, Rasley, Ruwase, He, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models"
(2020), Figure 1: of Psi parameters on N devices ZeRO-1 holds 2 Psi + 2 Psi + K Psi / N bytes, ZeRO-2
2 Psi + (2 + K) Psi / N and ZeRO-3 (2 + 2 + K) Psi / N. The 2 bytes of a weight and of a gradient become those of the
precision here, and K those of the optimizer: two numbers a weight for Adam, one for momentum, and 4 bytes more for the
copy of the weights that DeepSpeed updates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

PARTS = ("weights", "gradients", "states", "activations", "working", "copies")


@dataclass(frozen=True)
class Need:
    """Bytes of a rank at the worst moment of its training. why: the strategy is no candidate; "" if it is.

    working: buffers, gathered weights, results on their way. copies: of the weights, the best so far and averages.
    """

    strategy: str
    weights: int = 0
    gradients: int = 0
    states: int = 0
    activations: int = 0
    working: int = 0
    copies: int = 0
    why: str = ""

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(getattr(self, part) for part in PARTS)


@dataclass(frozen=True)
class Load:
    """A model under the settings of a trainer, for N = `devices`. footprint: see `mldlc.training.footprint.measure`.

    host: ranks are on CPUs, where gloo gathers into a copy of the result and reduce-scatters by reducing a copy of the
    whole (`ProcessGroupGloo.cpp`). kept: copies of the weights beside the training ones, on the device. written: the
    same while the model is written. beside: bytes on the device all the time that are none of the model's.
    """

    devices: int
    footprint: Mapping[str, Any]
    step: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    accumulates: bool
    host: bool
    kept: int
    written: int
    beside: int = 0

    @cached_property
    def weights(self) -> int:
        return int(self.footprint["weights"])

    @cached_property
    def gradients(self) -> int:
        return int(self.footprint["trainable"])

    @cached_property
    def master(self) -> int:
        """The fp32 copy of trainable weights that DeepSpeed updates."""
        return int(self.footprint["trained"]) * 4

    def states(self, weights: int) -> int:
        """Bytes of the optimizer's numbers for weights of so many bytes."""
        if self.optimizer["kind"] == "sgd":
            return weights if self.optimizer["momentum"] > 0 else 0
        return 2 * weights

    @cached_property
    def layer(self) -> int:
        """Weights of the largest part that is gathered by itself."""
        return max((*self.footprint["blocks"], 0)) or self.weights

    @cached_property
    def rest(self) -> int:
        """Weights outside of such parts, which stay gathered during a step."""
        return self.weights - sum(self.footprint["blocks"])

    @property
    def copied(self) -> int:
        """Copies of a collective's result, or of what it takes."""
        return int(self.host)

    @cached_property
    def width(self) -> int:
        """Bytes of one weight."""
        return self.weights // max(1, int(self.footprint["parameters"]))

    @cached_property
    def bucket(self) -> int:
        """Gradients that DeepSpeed copies into one buffer and reduces together; a larger one is reduced by itself."""
        return int(self.footprint["bucket"]) * self.width

    @cached_property
    def largest(self) -> int:
        """The largest gradient."""
        return max((*self.footprint["sizes"], 0)) * self.width

    @cached_property
    def held(self) -> int:
        """Gradients of which a rank of DeepSpeed's stages 1 and 2 updates a part: it keeps each of them whole."""
        sizes, total = self.footprint["sizes"], sum(self.footprint["sizes"])
        part, spans = -(-total // self.devices), list(zip(sizes, accumulate(sizes), strict=True))
        kept = [
            sum(size for size, end in spans if end > first and end - size < first + part)
            for first in range(0, total, max(1, part))
        ]
        return max((*kept, 0)) * self.width


def need(strategy: str, load: Load) -> Need:
    """The worst moment of a rank: at its start, forward, backward, at an update, in a validation, writing the model."""
    moments = _MOMENTS[strategy](strategy, load)
    worst = max(moments, key=lambda moment: moment.total)
    return replace(worst, working=worst.working + load.beside)


def _forward(base: Need, load: Load, gradients: int, working: int = 0) -> Need:
    step = load.step
    beside = step["forward"] - step["activations"] + working
    return replace(base, gradients=gradients, activations=step["activations"], working=beside)


def _backward(base: Need, load: Load, kept: Callable[[int], int], working: int = 0) -> Need:
    """kept: bytes that a rank has of so many bytes of gradients."""
    owned, rest = max(load.step["backward"], key=lambda moment: kept(moment[0]) + moment[1])
    activations = min(rest, load.step["activations"])
    return replace(base, gradients=kept(owned), activations=activations, working=rest - activations + working)


def _beyond(base: Need, load: Load, gathered: int = 0) -> list[Need]:
    """A validation, and the writing of the model; gradients are gone by then."""
    looked = replace(base, working=base.working + int(load.footprint["validation"]) + gathered)
    return [looked, replace(base, copies=base.copies + load.written * load.weights)]


def _base(strategy: str, load: Load, weights: int, states: int) -> Need:
    extra = load.kept * load.weights
    return Need(strategy, weights=weights + int(load.footprint["buffers"]), states=states, copies=extra)


def _whole(strategy: str, load: Load) -> list[Need]:
    """All on every rank. Several have their gradients in buckets from the start, which torch lays anew after a step."""
    several = load.devices > 1
    base = _base(strategy, load, load.weights, load.states(load.gradients))
    stays = several or load.accumulates
    return [
        replace(base, gradients=load.gradients, working=load.gradients if several else 0, copies=0),
        _forward(base, load, load.gradients),
        _backward(base, load, lambda owned: load.gradients if stays else owned),
        *_beyond(base, load, load.gradients if several else 0),
    ]


def _zero(strategy: str, load: Load) -> list[Need]:
    """DeepSpeed's stages 1 and 2: gradients are reduced bucket by bucket, what a rank updates is kept, and copied flat.

    A gradient that two ranks share is copied once more before it is reduced. After an update all weights are gathered,
    while the flat gradients and the bucket still wait for Python's collector. Stage 1 reduces behind the backward pass:
    what it keeps replaces gradients there, but takes its place on a device at once, on a host as it is written.
    """
    n, own = load.devices, load.master // load.devices
    base = _base(strategy, load, load.weights, own + load.states(own))
    reduced = load.bucket + max(load.bucket, load.largest)
    moments = [
        Need(strategy, weights=2 * load.weights, states=own),
        replace(base, gradients=load.held, working=own),
        replace(base, gradients=load.gradients // n, working=load.bucket + load.copied * load.weights),
        *_beyond(base, load),
    ]
    if strategy == "deepspeed_zero1":
        held = load.gradients
        learns = _backward(base, load, lambda owned: owned, load.bucket)
        moments.append(replace(base, gradients=held, working=reduced + (0 if load.host else load.held)))
    else:
        held = load.held
        spared = reduced - load.bucket
        learns = _backward(base, load, lambda owned: min(owned, held) + min(owned, spared), load.bucket)
    return [*moments, learns, _forward(base, load, held if load.accumulates else 0)]


def _zero3(strategy: str, load: Load) -> list[Need]:
    """Gradients have a place of their own all the time, and so has a bucket; weights are gathered part by part.

    Before a bucket is reduced it is copied in another order, a gradient that is larger as it is.
    """
    n, own = load.devices, load.master // load.devices
    base = _base(strategy, load, load.weights // n, own + load.states(own))
    part, gathered = load.gradients // n, 2 * load.layer
    base = replace(base, gradients=part, working=load.bucket)
    reduced = max((1 + load.copied) * load.bucket, load.copied * load.largest)
    return [
        Need(strategy, weights=load.weights, working=load.largest),
        _forward(base, load, part, gathered + load.bucket),
        _backward(base, load, lambda owned: part + min(owned, reduced), gathered + load.bucket),
        replace(base, gradients=part + own),
        *_beyond(base, load, gathered),
    ]


def _offload(strategy: str, load: Load) -> list[Need]:
    """ZeRO-3 whose weights, gradients and states lie with the host: only what is gathered is on the device.

    At its start DeepSpeed moves the whole network there, and shards it then (`engine._configure_distributed_model`).
    """
    base = _base(strategy, load, 0, 0)
    gathered = 2 * load.layer + load.bucket
    return [
        Need(strategy, weights=load.weights, working=load.largest),
        _forward(base, load, 0, gathered),
        _backward(base, load, lambda _: 0, gathered + load.bucket),
    ]


def _fsdp2(strategy: str, load: Load) -> list[Need]:
    """torch's `fully_shard`: a block is gathered, copied out, and its gradients are copied before they are reduced."""
    n = load.devices
    base = _base(strategy, load, load.weights // n, load.states(load.gradients) // n)
    gathered = load.rest + 3 * load.layer
    start = load.weights if load.host else load.weights // n
    return [
        Need(strategy, weights=start, working=load.layer),
        _forward(base, load, load.gradients // n, gathered),
        _backward(base, load, lambda owned: owned // n, gathered),
        *_beyond(base, load, gathered),
    ]


def _tensor(strategy: str, load: Load) -> list[Need]:
    """Linear layers are cut within a group of ranks, all else is whole; activations count as if nothing were cut."""
    size = load.devices if strategy == "tensor_parallel" else 2
    cut = int(load.footprint["cut"][str(size)])
    share = (load.weights - cut + cut / size) / max(1, load.weights)
    if strategy == "tp_fsdp2":
        share /= load.devices // size
    weights, gradients = int(load.weights * share), int(load.gradients * share)
    base = _base(strategy, load, weights, load.states(gradients))
    gathered = 3 * load.layer // size if strategy == "tp_fsdp2" else 0
    return [
        Need(strategy, weights=load.weights if load.host else weights, working=load.largest),
        _forward(base, load, gradients, gathered),
        _backward(base, load, lambda _: gradients, gathered),
        *_beyond(base, load, gathered),
    ]


_MOMENTS: dict[str, Callable[[str, Load], list[Need]]] = {
    "single": _whole,
    "ddp": _whole,
    "deepspeed_zero1": _zero,
    "deepspeed_zero2": _zero,
    "fsdp2": _fsdp2,
    "deepspeed_zero3": _zero3,
    "deepspeed_offload": _offload,
    "tensor_parallel": _tensor,
    "tp_fsdp2": _tensor,
}
