"""The habit of the Lightning + Hydra template: a DataModule over TensorDataset and DataLoader, torchmetrics in the steps."""

import itertools
import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

warnings.filterwarnings("ignore")
logging.getLogger("lightning").setLevel(logging.ERROR)
CONFIG = "source: ???\nlr: 0.001\nbatch: 1024\nepochs: 1\nlayers: [64, 32]\nseed: 0\n"


class Data(LightningDataModule):
    def __init__(self, source, batch):
        super().__init__()
        self.source, self.batch = source, batch

    def setup(self, stage=None):
        if hasattr(self, "fit_set"):
            return
        frame = pl.read_parquet(self.source)
        assert not any(frame.null_count().row(0)) and set(frame["label"].unique()) <= {0, 1}
        train = np.random.default_rng(0).random(frame.height) < 0.8
        x = frame.select(pl.selectors.float()).to_numpy().astype(np.float32, copy=False)
        assert np.isfinite(x).all()
        x = (x - x[train].mean(0)) / x[train].std(0)
        hot = frame.select(pl.selectors.string()).to_dummies().to_numpy().astype(np.float32)
        x = np.concatenate([x, hot], 1).astype(np.float32)
        y = frame["label"].to_numpy().astype(np.float32)
        self.width = x.shape[1]
        self.fit_set = TensorDataset(torch.from_numpy(x[train]), torch.from_numpy(y[train]))
        self.test_set = TensorDataset(torch.from_numpy(x[~train]), torch.from_numpy(y[~train]))

    def train_dataloader(self):
        return DataLoader(self.fit_set, self.batch, shuffle=True)

    def test_dataloader(self):
        return DataLoader(self.test_set, self.batch)


class Net(LightningModule):
    def __init__(self, width, layers, lr):
        super().__init__()
        sizes = [width, *layers]
        body = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
        self.body, self.lr = nn.Sequential(*body, nn.Linear(sizes[-1], 1)), lr
        self.auroc, self.accuracy = BinaryAUROC(), BinaryAccuracy()

    def training_step(self, batch, number):
        x, y = batch
        loss = nn.functional.binary_cross_entropy_with_logits(self.body(x).squeeze(1), y)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch, number):
        x, y = batch
        scores = self.body(x).squeeze(1).sigmoid()
        self.auroc(scores, y.int())
        self.accuracy(scores, y.int())
        self.log_dict({"auroc": self.auroc, "accuracy": self.accuracy}, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def main(source, out):
    out.mkdir(parents=True, exist_ok=True)
    (out / "conf").mkdir(exist_ok=True)
    (out / "conf" / "config.yaml").write_text(CONFIG)
    with initialize_config_dir(str(out / "conf"), version_base="1.3"):
        cfg = compose("config", [f"source={source}"])
    seed_everything(cfg.seed, verbose=False)
    torch.set_num_threads(2)
    data = Data(cfg.source, cfg.batch)
    data.setup()
    net = Net(data.width, list(cfg.layers), cfg.lr)
    trainer = Trainer(
        max_epochs=cfg.epochs, accelerator="cpu", devices=1, logger=False, default_root_dir=out,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(net, data)
    (metrics,) = trainer.test(net, data, verbose=False)
    print(json.dumps({name: float(value) for name, value in metrics.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
