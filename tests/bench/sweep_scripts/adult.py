"""A stock Hydra + Lightning application on Adult, as templates do it: every job reads, splits, prepares, trains and tests.

It appends one JSON line a job to $SWEEP_OUT. Same rows, network, epochs and batch as the mldlc sweep that it stands beside.
"""

import itertools
import json
import logging
import os
import warnings
from pathlib import Path

import hydra
import numpy as np
import polars as pl
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

warnings.filterwarnings("ignore")
logging.getLogger("lightning").setLevel(logging.ERROR)


def load(source, seed):
    """Train, validation and test sets of (numbers, codes, label), and the number of values of each category."""
    frame = pl.read_parquet(source)
    part = np.random.default_rng(seed).choice(3, frame.height, p=[0.7, 0.1, 0.2])
    y = (frame["income"].cast(pl.String).str.contains(">50K")).to_numpy().astype(np.float32)
    x = frame.drop("income")
    numbers = x.select(pl.selectors.numeric()).to_numpy().astype(np.float32)
    train = part == 0
    numbers = (numbers - numbers[train].mean(0)) / numbers[train].std(0)
    names = x.select(~pl.selectors.numeric()).columns
    codes = np.stack(
        [x[name].cast(pl.String).fill_null("?").cast(pl.Categorical).to_physical().to_numpy() for name in names], 1
    )
    codes = np.stack([np.unique(column, return_inverse=True)[1] for column in codes.T], 1)
    sizes = [int(column.max()) + 1 for column in codes.T]
    sets = [
        TensorDataset(*(torch.from_numpy(np.ascontiguousarray(a[part == number])) for a in (numbers, codes, y)))
        for number in range(3)
    ]
    return sets, numbers.shape[1], sizes


class Net(LightningModule):
    def __init__(self, numbers, sizes, layers, lr, dropout):
        super().__init__()
        self.embed = nn.ModuleList(nn.Embedding(size, 8) for size in sizes)
        widths, body = [numbers + 8 * len(sizes), *layers], []
        for a, b in itertools.pairwise(widths):
            body += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)]
        self.body, self.lr = nn.Sequential(*body, nn.Linear(widths[-1], 1)), lr
        self.auroc, self.accuracy = BinaryAUROC(), BinaryAccuracy()

    def forward(self, numbers, codes):
        parts = [embed(codes[:, i]) for i, embed in enumerate(self.embed)]
        return self.body(torch.cat([numbers, *parts], 1)).squeeze(1)

    def training_step(self, batch, number):
        numbers, codes, y = batch
        loss = nn.functional.binary_cross_entropy_with_logits(self(numbers, codes), y)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, number):
        numbers, codes, y = batch
        self.log("val_loss", nn.functional.binary_cross_entropy_with_logits(self(numbers, codes), y))

    def test_step(self, batch, number):
        numbers, codes, y = batch
        scores = self(numbers, codes).sigmoid()
        self.auroc(scores, y.int())
        self.accuracy(scores, y.int())
        self.log_dict({"auroc": self.auroc, "accuracy": self.accuracy}, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


@hydra.main(version_base="1.3", config_path=os.environ["SWEEP_CONF"], config_name="config")
def main(cfg):
    seed_everything(cfg.seed, verbose=False)
    torch.set_num_threads(cfg.trainer.threads)
    (train, val, test), numbers, sizes = load(os.environ["SWEEP_DATA"], cfg.split.seed)
    net = Net(numbers, sizes, list(cfg.model.layers), cfg.optimizer.lr, cfg.model.dropout)
    folder = hydra.core.hydra_config.HydraConfig.get().runtime.output_dir
    best = ModelCheckpoint(folder, monitor="val_loss")
    trainer = Trainer(
        max_epochs=cfg.trainer.max_epochs, accelerator="cpu", devices=1, logger=False, callbacks=[best],
        default_root_dir=folder, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    size = cfg.ingest.batch_size
    trainer.fit(net, DataLoader(train, size, shuffle=True), DataLoader(val, size))
    (metrics,) = trainer.test(net, DataLoader(test, size), ckpt_path="best", weights_only=False, verbose=False)
    with Path(os.environ["SWEEP_OUT"]).open("a") as out:
        out.write(json.dumps({name: float(value) for name, value in metrics.items()}) + "\n")


if __name__ == "__main__":
    main()
