"""A user's own models: a module of one tensor, one of columns, wrong ones, and a LightningModule with its own steps."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import nn
from torch.nn import functional as F

from mldlc.training.models.chain import Chain


class Joined(nn.Module):
    """Takes all columns as one tensor; asks for its input width by name."""

    def __init__(self, in_features: int, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 1))

    def forward(self, x):
        return self.layers(x)


class Columns(nn.Module):
    """Takes numeric and categorical columns apart; gives two logits."""

    def __init__(self, n_numeric: int, cardinalities: list[int]) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Embedding(size, 2) for size in cardinalities)
        self.out = nn.Linear(n_numeric + 2 * len(cardinalities), 2)

    def forward(self, numeric, categorical):
        parts = [embed(categorical[:, i]) for i, embed in enumerate(self.embed)]
        return self.out(torch.cat([numeric, *parts], dim=1))


class WrongForward(nn.Module):
    """Its forward fits no table."""

    def forward(self, image, mask):
        return image * mask


class WrongWidth(nn.Module):
    """Gives three outputs, whatever the objective needs."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out = nn.Linear(in_features, 3)

    def forward(self, x):
        return self.out(x)


class Stack(Chain):
    """A sequence of blocks that says where it can be cut."""

    entry, sequence, exit = ("first",), "blocks", ("last",)

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(in_features, 8), nn.Linear(8, 1)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(2)))

    def forward(self, x):
        return self.leave(self.through(self.enter(x), self.blocks))

    def enter(self, x):
        return self.first(x)

    def leave(self, x):
        return self.last(x)


class Own(pl.LightningModule):
    """A LightningModule as users write them: nothing in it knows of mldlc."""

    def __init__(self, in_features: int, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(in_features, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))

    def forward(self, x):
        return self.layers(x).squeeze(1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.binary_cross_entropy_with_logits(self(x), y.float())

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.binary_cross_entropy_with_logits(self(x), y.float()))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, int(steps))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Looks(nn.Module):
    """Takes a branch by the values of its batch, as no shape tells."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out = nn.Linear(in_features, 1)

    def forward(self, x):
        return self.out(x) if bool((x > 0).any()) else self.out(-x)
