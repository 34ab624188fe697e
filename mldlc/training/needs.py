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

    bucket: bytes of gradients that DeepSpeed reduces together. kept: copies of the weights beside the training ones,
    on the device. written: the same while the model is written.
    """

    devices: int
    footprint: Mapping[str, Any]
    step: Mapping[str, int]
    optimizer: Mapping[str, Any]
    accumulates: bool
    kept: int
    written: int

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

    @cached_property
    def bucket(self) -> int:
        count = max(1, int(self.footprint["parameters"]))
        return int(self.footprint["bucket"]) * (self.weights // count)


def need(strategy: str, load: Load) -> Need:
    """The worst moment of a rank: at its start, forward, backward, at an update, in a validation, writing the model."""
    moments = _MOMENTS[strategy](strategy, load)
    return max(moments, key=lambda moment: moment.total)


def _forward(base: Need, load: Load, gradients: int, working: int = 0) -> Need:
    step = load.step
    beside = step["forward"] - step["activations"] + working
    return replace(base, gradients=gradients, activations=step["activations"], working=beside)


def _backward(base: Need, load: Load, peak: str, working: int = 0) -> Need:
    """peak: `backward` with whole gradients, `bare` without, `shared` with a rank's part of them."""
    most, kept = load.step[peak], min(load.step["bare"], load.step["activations"])
    gradients = max(0, most - load.step["bare"])
    return replace(base, gradients=gradients, activations=kept, working=most - kept - gradients + working)


def _beyond(base: Need, load: Load, gathered: int = 0) -> list[Need]:
    """A validation, and the writing of the model; gradients are gone by then."""
    looked = replace(base, working=base.working + int(load.footprint["validation"]) + gathered)
    return [looked, replace(base, copies=base.copies + load.written * load.weights)]


def _base(strategy: str, load: Load, weights: int, states: int) -> Need:
    extra = load.kept * load.weights
    return Need(strategy, weights=weights + int(load.footprint["buffers"]), states=states, copies=extra)


def _whole(strategy: str, load: Load) -> list[Need]:
    """All on every rank; of several ranks each keeps the gradients a second time, in the buckets that are reduced."""
    buckets = load.gradients if load.devices > 1 else 0
    base = _base(strategy, load, load.weights, load.states(load.gradients))
    moments = [_forward(base, load, load.gradients, buckets), *_beyond(base, load, buckets)]
    if load.accumulates:
        return [*moments, replace(_backward(base, load, "bare", buckets), gradients=load.gradients)]
    return [*moments, _backward(base, load, "backward", buckets)]


def _zero(strategy: str, load: Load) -> list[Need]:
    """DeepSpeed's stages 1 and 2: a bucket of gradients is copied and reduced; an update makes two parts of them."""
    n, own = load.devices, load.master // load.devices
    base = _base(strategy, load, load.weights, own + load.states(own))
    peak = "backward" if strategy == "deepspeed_zero1" else "shared"
    held = load.gradients if load.accumulates and peak == "backward" else load.gradients // n if load.accumulates else 0
    return [
        Need(strategy, weights=2 * load.weights, states=own),
        _forward(base, load, held),
        _backward(base, load, peak, 2 * load.bucket),
        replace(base, gradients=load.gradients // n + own),
        *_beyond(base, load),
    ]


def _zero3(strategy: str, load: Load) -> list[Need]:
    """Gradients have a place of their own all the time, and so has a bucket; weights are gathered part by part."""
    n, own = load.devices, load.master // load.devices
    base = _base(strategy, load, load.weights // n, own + load.states(own))
    part, gathered = load.gradients // n, 2 * load.layer
    base = replace(base, gradients=part, working=load.bucket)
    return [
        Need(strategy, weights=load.weights + load.weights // n, states=own),
        _forward(base, load, part, gathered + load.bucket),
        replace(_backward(base, load, "bare", gathered + 2 * load.bucket), gradients=part),
        replace(base, gradients=part + own),
        *_beyond(base, load, gathered),
    ]


def _offload(strategy: str, load: Load) -> list[Need]:
    """ZeRO-3 whose weights, gradients and states lie with the host: only what is gathered is on the device."""
    base = _base(strategy, load, 0, 0)
    gathered = 2 * load.layer + load.bucket
    return [_forward(base, load, 0, gathered), _backward(base, load, "bare", gathered + load.bucket)]


def _fsdp2(strategy: str, load: Load) -> list[Need]:
    """torch's `fully_shard`: a block is gathered, copied out, and its gradients are copied before they are reduced."""
    n = load.devices
    base = _base(strategy, load, load.weights // n, load.states(load.gradients) // n)
    gathered = load.rest + 3 * load.layer
    return [
        Need(strategy, weights=load.weights, working=load.layer),
        _forward(base, load, load.gradients // n, gathered),
        _backward(base, load, "shared", gathered),
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
        Need(strategy, weights=load.weights),
        _forward(base, load, gradients, gathered),
        replace(_backward(base, load, "bare", gathered), gradients=gradients),
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
