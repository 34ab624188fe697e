"""Averages of the weights along the training (EMA, SWA): what is validated, kept as best, and becomes the model."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from mldlc.training.loop_config import Ema, Swa


class Averaging(pl.Callback):
    """Carries the average of weights and of floating buffers; puts it in place of them while one looks at the model.

    Stands behind what keeps the best weights: that must see the average, so the weights come back after it.
    """

    def __init__(self, cfg: Ema | Swa) -> None:
        self.cfg = cfg
        self.count = 0
        self.average: dict[str, Tensor] = {}
        self._held: dict[str, Tensor] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if isinstance(self.cfg, Ema) and trainer.fit_loop.epoch_loop._should_accumulate() is False:
            self._update(pl_module, get_ema_multi_avg_fn(self.cfg.decay))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(self.cfg, Swa) and trainer.current_epoch + 1 >= self.cfg.start_epoch:
            self._update(pl_module, get_swa_multi_avg_fn())

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.average and not trainer.sanity_checking:
            self._held = {name: tensor.clone() for name, tensor in _floats(pl_module).items()}
            _fill(pl_module, self.average)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._held:
            _fill(pl_module, self._held)
            self._held = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.settle(pl_module)

    def settle(self, module: pl.LightningModule) -> None:
        """Put the average in place of the weights for good."""
        if self.average:
            _fill(module, self.average)

    @torch.no_grad()
    def _update(self, module: pl.LightningModule, merge: Any) -> None:
        now = _floats(module)
        if not self.average:
            self.average = {name: tensor.clone() for name, tensor in now.items()}
        else:
            merge(list(self.average.values()), [now[name] for name in self.average], torch.tensor(self.count))
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count, self.average = state_dict["count"], state_dict["average"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = _floats(pl_module)
        self.average = {name: tensor.to(now[name].device) for name, tensor in self.average.items()}


def _floats(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: t.detach() for name, t in module.state_dict().items() if t.is_floating_point()}


@torch.no_grad()
def _fill(module: pl.LightningModule, values: dict[str, Tensor]) -> None:
    for name, tensor in _floats(module).items():
        tensor.copy_(values[name])
