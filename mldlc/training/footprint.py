"""What a training would hold in memory, measured without data: parameters as meta tensors, a step of fake ones.

A question is plain data (see `mldlc.training.placing.question`), so that a plan can ask it in another process and keep
the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mldlc.artifacts.target import construct
from mldlc.plan.context import StepError
from mldlc.training.config import Sgd
from mldlc.training.job import component
from mldlc.training.language import LanguageModule
from mldlc.training.live import Live, Saved
from mldlc.training.module import TabularModule
from mldlc.training.parts import blocks, bucket_of, cuts
from mldlc.training.recompute import recompute
from mldlc.training.resident import size_of
from mldlc.training.spec import TRAIN

DTYPES = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class _Groups:
    """The groups of a question as a step finds them: validated, `cfg.model` and so on."""

    def __init__(self, question: Mapping[str, Any]) -> None:
        for name in ("model", "objective"):
            setattr(self, name, TypeAdapter(TRAIN.reads[name]).validate_python(question[name]))


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """The footprint, or {"failed": why}, for a plan."""
    try:
        return measure(question)
    except StepError as error:
        return {"failed": error.message, "where": error.where, "hint": error.hint}


def measure(question: Mapping[str, Any]) -> dict[str, Any]:
    """The footprint that a question asks for, in bytes; StepError for a network that cannot be measured.

    parameters, trained: how many there are, and get gradients; weights, trainable: their bytes; sizes: elements of each
    that gets gradients, in their order. buffers. blocks:
    weights of each part that `fully_shard` takes by itself. cut: of the weights that tensor parallelism shares out, by
    number of ranks. bucket: elements of a bucket of DeepSpeed's. steps: by number of rows, {activations: kept for the
    backward pass; forward: most that lives beside weights then; backward: (gradients, all else beside weights) of the
    moments that could be the worst}. validation: most that lives in one beside weights. known, rows: how many rows the
    data has, and their bytes. device: bytes of the smallest GPU, None on CPUs. libraries: bytes that cuBLAS has there.
    """
    cfg = _Groups(question)
    device = "cuda" if question["gpu"] and torch.cuda.is_available() else "cpu"
    counted = _counted(cfg, question)
    try:
        with FakeTensorMode():
            module = _module(cfg, question, device)
            steps = {str(rows): _step(module, question, rows, device) for rows in question["rows"]}
            looked = _validation(module, question, device)
    except StepError:
        raise
    except Exception as error:
        raise _unmeasured(cfg, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    found = counted | {"steps": steps, "validation": looked, "known": question["known"], "rows": size_of(question)}
    devices = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count() if device == "cuda" else 0)]
    found["device"] = min((each.total_memory for each in devices), default=None)
    found["libraries"] = 2 * max((workspace(each.major) for each in devices), default=0)
    return found


def workspace(major: int) -> int:
    """Bytes that torch gives cuBLAS for each thread that multiplies, of which a training has two.

    By the device's compute capability; `parseChosenWorkspaceSize` of torch's `aten/src/ATen/cuda/CublasHandlePool.cpp`.
    """
    return 2**25 if major >= 9 else 2**23 + 2**17


def _unmeasured(cfg: Any, why: str) -> StepError:
    name = getattr(cfg.model, "target", cfg.model.kind)
    return StepError(
        f"trainer=auto cannot measure model '{name}' without data: {why}", where="trainer.strategy",
        hint="name a strategy: trainer=ddp",
    )  # fmt: skip


def _counted(cfg: Any, question: Mapping[str, Any]) -> dict[str, Any]:
    """What parameters alone tell, on the meta device: nothing is allocated."""
    try:
        with _made("meta", question):
            net, _ = _built(cfg, question)
    except StepError as error:
        raise _unmeasured(cfg, error.message) from error
    _cast_buffers(net, question)
    if isinstance(net, pl.LightningModule):
        raise _unmeasured(cfg, "a LightningModule has steps and an optimizer of its own")
    count = sum(p.numel() for p in net.parameters())
    return {
        "parameters": count,
        "trained": sum(p.numel() for p in net.parameters() if p.requires_grad),
        "sizes": [p.numel() for p in net.parameters() if p.requires_grad],
        "bucket": bucket_of(count),
        "weights": _bytes(net.parameters()),
        "trainable": _bytes(p for p in net.parameters() if p.requires_grad),
        "buffers": _bytes(net.buffers()),
        "blocks": [_bytes(block.parameters()) for block in blocks(net)],
        "cut": {str(size): _cut(net, size) for size in question["sizes"]},
    }


def _cut(net: nn.Module, size: int) -> int:
    """Bytes of the weights that `size` ranks share out."""
    parts = [(net.get_submodule(name), kind) for name, kind in cuts(net, size).items()]
    found: list[Tensor] = [part.weight for part, _ in parts]
    return _bytes([*found, *(part.bias for part, kind in parts if kind != "inputs" and part.bias is not None)])


def _built(cfg: Any, question: Mapping[str, Any]) -> tuple[nn.Module, Any]:
    """The network and its objective, for labels that stand for those of the data."""
    if "tokens" in question:
        sizes = {"vocabulary": question["tokens"]["vocabulary"]}
        label, labels = {"kind": "token", "name": "token", **sizes}, np.zeros(1, np.int64)
    else:
        table = question["table"]
        label = table["label"]
        labels = np.arange(len(label["classes"])) if label["kind"] == "class" else np.array([0.0, 1.0])
    objective = component("objective", cfg).build(cfg.objective, label, labels)
    if "tokens" not in question:
        sizes = {name: table[name] for name in ("n_numeric", "cardinalities")}
        sizes |= {
            "in_features": table["n_numeric"] + len(table["cardinalities"]),
            "out_features": objective.out_features,
        }
    target, args = component("model", cfg).describe(cfg.model, sizes)
    return construct(target, args, "model"), objective


def _module(cfg: Any, question: Mapping[str, Any], device: str) -> TabularModule:
    """The network as it is trained, of fake tensors on the device."""
    with _made(device, question):
        net, objective = _built(cfg, question)
    _cast_buffers(net, question)
    if question["checkpointing"]:
        recompute(net)
    kind = LanguageModule if "tokens" in question else TabularModule
    return kind(net, objective, Sgd(kind="sgd"), 1, None)


def _cast_buffers(net: nn.Module, question: Mapping[str, Any]) -> None:
    """To the precision's type, as the weights: a network may have made them in one of their own."""
    dtype = DTYPES.get(question["precision"])
    for part in net.modules() if dtype is not None else ():
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(part, name, buffer.to(dtype))


@contextmanager
def _made(device: str, question: Mapping[str, Any]) -> Iterator[None]:
    """Tensors that are made get this device and the precision's type, which fake ones cannot change afterwards."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES.get(question["precision"], torch.float32))
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def _batch(module: TabularModule, question: Mapping[str, Any], rows: int, device: str) -> tuple[Tensor, ...]:
    """A batch of so many rows, as the loaders give it and the precision casts it."""
    if "tokens" in question:
        return (torch.zeros(rows, module.net.context + 1, dtype=torch.int32, device=device),)  # type: ignore[operator]
    table = question["table"]
    dtype = DTYPES.get(question["precision"], torch.float32)
    target = module.objective.encode(np.zeros(1, np.float32 if table["label"]["kind"] == "value" else np.int64))
    batch = [
        torch.empty(rows, table["n_numeric"], dtype=dtype, device=device),
        torch.zeros(rows, len(table["cardinalities"]), dtype=torch.int32, device=device),
        torch.empty(rows, dtype=dtype if target.is_floating_point() else target.dtype, device=device),
    ]
    return (*batch, torch.empty(rows, dtype=dtype, device=device)) if table["weight"] else tuple(batch)


def _cast(question: Mapping[str, Any], device: str) -> AbstractContextManager[Any]:
    mixed = MIXED.get(question["precision"])
    return nullcontext() if mixed is None else torch.autocast(device, dtype=mixed)


def _step(module: TabularModule, question: Mapping[str, Any], rows: int, device: str) -> dict[str, Any]:
    """Forward and backward of one batch."""
    module.train()
    known = [*module.parameters(), *module.buffers()]
    live, saved = Live(known), Saved(known)
    hooks = [
        p.register_post_accumulate_grad_hook(lambda p: live.own(p.grad)) for p in module.parameters() if p.requires_grad
    ]
    with live:
        batch = _batch(module, question, rows, device)
        with saved, _cast(question, device):
            loss = module.loss(batch)
        forward = live.peak
        live.restart()
        loss.backward()
    for hook in hooks:
        hook.remove()
    module.zero_grad()
    return {"activations": saved.bytes, "forward": forward, "backward": live.worst()}


@torch.no_grad()
def _validation(module: TabularModule, question: Mapping[str, Any], device: str) -> int:
    module.eval()
    live = Live([*module.parameters(), *module.buffers()])
    with live:
        batch = _batch(module, question, question["eval_rows"], device)
        with _cast(question, device):
            module.loss(batch)
    return live.peak


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
