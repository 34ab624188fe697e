"""The LightningModule around a plain network: one objective, one optimizer, metrics once a validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn

from mldlc.artifacts.model import joined, squeezed, takes_columns
from mldlc.plan.context import StepError
from mldlc.training.config import Adam, Sgd
from mldlc.training.objective import Objective
from mldlc.training.optimizer import build_optimizer, configure, decayed
from mldlc.training.ranks import Ranks
from mldlc.training.rows import WEIGHED
from mldlc.training.sharding import by_mesh, clip_norm, is_shard, meshes, squared_norm

# set up to thirty times a step, the first by Lightning around each hook: torch would always look for a tensor in them
PLAIN = ("_current_fx_name", "moves")


class TabularModule(pl.LightningModule):
    """Trains `net` on batches (numeric, categorical, target[, weight])."""

    def __init__(
        self, net: nn.Module, objective: Objective, optimizer: Adam | Sgd, epoch_steps: int, total_steps: int | None
    ) -> None:
        super().__init__()
        self.net, self.objective, self.optimizer_cfg = net, objective, optimizer
        self.epoch_steps, self.total_steps = epoch_steps, total_steps
        self.columns, self.two_logits = takes_columns(net), objective.kind == "binary"
        self._outputs: list[tuple[Tensor, ...]] = []
        self.ranks = Ranks()
        self.share: Callable[[], float] = lambda: 1.0
        self.empty: Callable[[], bool] = lambda: False
        self.moves = True  # whether a batch since the last step of the optimizer has rows that weigh something
        self.parallelize: Callable[[TabularModule], None] | None = None
        self.clip: Callable[[float], None] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in PLAIN:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def configure_model(self) -> None:
        """Lightning's place to shard a network over a device mesh."""
        if self.parallelize is not None:
            self.parallelize(self)
            self.parallelize = None

    def inputs(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What the network is given of a batch."""
        numeric, categorical = batch[:2]
        return (numeric, categorical) if self.columns else (joined(numeric, categorical),)

    def shaped(self, out: Tensor) -> Tensor:
        """Outputs of the network as (B,) or (B, k); two logits of a binary model become their difference."""
        out = squeezed(out)
        return out[:, 1] - out[:, 0] if self.two_logits and out.ndim == 2 and out.shape[1] == 2 else out

    def raw(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Raw outputs of the network, see `shaped`."""
        if self.columns:
            return self.shaped(self.net(numeric=numeric, categorical=categorical))
        return self.shaped(self.net(joined(numeric, categorical)))

    def weight(self, batch: tuple[Tensor, ...]) -> Tensor | None:
        """Weights of the rows of a batch, (B,), where they have some."""
        return batch[3] if len(batch) > 3 else None

    def scored(self, raw: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        """The loss of a batch by its raw outputs, a scalar."""
        _, _, target, *weight = batch
        share = self.share()
        if share == 0.0:
            return self.objective.loss(raw, target) * 0.0  # weights that sum to nothing give a mean of no number
        loss = self.objective.loss(raw, target, *weight)
        return loss if share == 1.0 else loss * share

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        """The loss of a batch, a scalar."""
        return self.scored(self.raw(batch[0], batch[1]), batch)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        begun = batch_idx % self.trainer.accumulate_grad_batches > 0
        self.moves = not self.empty() or (begun and self.moves)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Rows that weigh nothing move no weight: not by the momentum of earlier ones, nor by decay."""
        if self.moves:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        elif optimizer_closure is not None:
            optimizer_closure()

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        return self.loss(batch)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        self.keep(self.raw(batch[0], batch[1]), batch)

    def keep(self, raw: Tensor, batch: tuple[Tensor, ...]) -> None:
        """Keep of a validation batch what its scores need."""
        self._outputs.append((raw, *batch[2:]))

    def on_validation_epoch_end(self) -> None:
        own = tuple(torch.cat(parts).detach().float().cpu() for parts in zip(*self._outputs, strict=True))
        self._outputs.clear()
        outputs = tuple(torch.cat(parts) for parts in zip(*self.ranks.parts(own), strict=True))
        self.log_dict({f"val_{name}": value for name, value in self.validated(outputs).items()})

    def validated(self, outputs: tuple[Tensor, ...]) -> dict[str, float]:
        """Scores of all that `validation_step` kept, on all ranks, by name."""
        raw, target, *weight = outputs
        if weight and not float(weight[0].sum()):
            raise StepError("the rows of 'val' have weights that sum to 0", where="source.roles", hint=WEIGHED)
        target = target if self.objective.kind != "multiclass" else target.long()
        return {"loss": float(self.objective.loss(raw, target, *weight)), **self.objective.scores(raw, target)}

    def trained(self) -> list[Any]:
        """What the optimizer moves: parameters, or groups of them."""
        return decayed(self.optimizer_cfg, self.net)

    def configure_optimizers(self) -> dict[str, Any]:
        # the gradient scaler of 16-mixed unscales outside the optimizer, which a fused one does not allow with clipping
        fused = self.device.type in ("cpu", "cuda") and self.trainer.precision != "16-mixed"
        if isinstance(self.optimizer_cfg, Sgd) and any(is_shard(p) for p in self.net.parameters()):
            fused = False  # torch has no such kernel for shards
        optimizer = build_optimizer(self.optimizer_cfg, by_mesh(self.trained()), fused)
        return configure(self.optimizer_cfg, optimizer, self.epoch_steps, self.total_steps)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        plugin = self.trainer.precision_plugin
        if gradient_clip_val and gradient_clip_algorithm == "norm" and self.clip is not None:
            self.clip(gradient_clip_val)
        elif gradient_clip_val and gradient_clip_algorithm == "norm" and len(meshes(self.net)) > 1:
            parameters = list(self.parameters())
            clip_norm(parameters, squared_norm(parameters), gradient_clip_val)
        elif gradient_clip_val and isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            # Lightning refuses fused optimizers here for the gradient scaler's sake, which bfloat16 does without
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val, algorithm)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        # walking through the batch to move nothing costs more than a small step
        there = device.type == "cpu" or batch[0].device == device
        return batch if there else super().transfer_batch_to_device(batch, device, dataloader_idx)


@torch.no_grad()
def check_network(module: TabularModule, batch: tuple[Tensor, ...]) -> None:
    """One forward pass of a few rows: StepError when it fails or its output has the wrong shape."""
    numeric, categorical, *_ = batch
    shapes = f"numeric {tuple(numeric.shape)}, categorical {tuple(categorical.shape)}"
    name, modes = type(module.net).__name__, [(m, m.training) for m in module.modules()]
    if not module.columns:
        shapes = f"x {tuple(joined(numeric, categorical).shape)}"
    module.eval()
    try:
        out = module.raw(numeric, categorical)
    except Exception as error:
        raise StepError(
            f"{name}.forward failed on a first batch ({shapes}): {type(error).__name__}: {error}", where="model"
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    rows, outputs = len(numeric), module.objective.out_features
    wanted = (rows,) if outputs == 1 else (rows, outputs)
    if not isinstance(out, Tensor) or tuple(out.shape) != wanted:
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise StepError(
            f"{name}.forward gave {found} for {rows} rows, but objective '{module.objective.kind}' needs {wanted}",
            where="model", hint="`out_features` in the constructor gets the right number",
        )  # fmt: skip
