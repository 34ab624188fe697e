"""A network that goes on learning: tells rows, learns from rows, and can be put back to what it was."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mldlc.artifacts.model import predictions
from mldlc.training.loader import timed
from mldlc.training.module import TabularModule
from mldlc.training.optimizer import build_optimizer

TOLD = 8192  # rows of one forward pass


class Learner:
    """Wraps a module and the columns of a table; `rate` is a factor on the optimizer's own, which stays constant.

    tensors: (numeric, categorical, target[, weight]) of all rows of the table. seconds: it learnt for so long, of which
    it `waited` for batches. Its random draws depend on the seed and the number of the update alone, so that an
    interrupted stream goes on as if it never stopped.
    """

    def __init__(self, module: TabularModule, tensors: tuple[Tensor, ...], rate: float, seed: int) -> None:
        self.module, self.tensors, self.seed = module, tensors, seed
        self.seconds = self.waited = 0.0
        cfg = module.optimizer_cfg
        self.optimizer = build_optimizer(cfg.model_copy(update={"lr": cfg.lr * rate}), module.trained(), fused=True)

    @torch.inference_mode()
    def tell(self, rows: Tensor) -> np.ndarray:
        """Predictions of rows, as `mldlc.artifacts.model.predictions` gives them."""
        self.module.eval()
        parts = [predictions(self._raw(part), self.module.objective.card) for part in rows.split(TOLD)]
        return torch.cat(parts).numpy()

    def learn(self, rows: Tensor, batch_size: int, epochs: int, update: int) -> None:
        """Passes over rows in batches, newly ordered each time (one batch: as they are)."""
        torch.manual_seed(self.seed * 1_000_003 + update)
        draw = np.random.default_rng([self.seed, update, 1])
        self.module.train()
        began = time.perf_counter()
        for _ in range(epochs):
            order = rows if len(rows) <= batch_size else rows[torch.from_numpy(draw.permutation(len(rows)))]
            batches = (tuple(t.index_select(0, part) for t in self.tensors) for part in order.split(batch_size))
            for batch in timed(self, batches):
                weight = self.module.weight(batch)
                if weight is not None and not float(weight.sum()):
                    continue  # rows that weigh nothing teach nothing
                self.optimizer.zero_grad()
                loss = self.module.loss(batch)
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
        self.seconds += time.perf_counter() - began

    def state(self) -> dict[str, Any]:
        """A copy of weights and optimizer."""
        return copy.deepcopy({"net": self.module.net.state_dict(), "optimizer": self.optimizer.state_dict()})

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state, which stays as it is."""
        self.module.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    @torch.no_grad()
    def told_by(self, state: dict[str, Any], rows: Tensor) -> np.ndarray:
        """What the network of another state says of rows; the present one stays."""
        now = {name: value.clone() for name, value in self.module.net.state_dict().items()}
        self.module.net.load_state_dict(state["net"])
        said = self.tell(rows)
        self.module.net.load_state_dict(now)
        return said

    def _raw(self, rows: Tensor) -> Tensor:
        return self.module.raw(self.tensors[0].index_select(0, rows), self.tensors[1].index_select(0, rows))


def replayed(past: Tensor, fresh: int, share: float, seed: int, update: int) -> Tensor:
    """Old rows to learn from beside `fresh` new ones, so that they are `share` of all: drawn without replacement."""
    wanted = min(len(past), round(fresh * share / (1 - share)))
    if not wanted:
        return past[:0]
    draw = np.random.default_rng([seed, update, 0])
    return past[torch.from_numpy(np.sort(draw.choice(len(past), wanted, replace=False)))]
