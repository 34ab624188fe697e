"""What a careful person writes by hand with Polars and Lightning for the same work: checks, profile, training, page."""

import html
import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from safetensors.torch import save_file
from torch import nn
from torchmetrics.functional.classification import binary_accuracy, binary_auroc

warnings.filterwarnings("ignore")
logging.getLogger("lightning").setLevel(logging.ERROR)


class Batches:
    """Whole batches of permuted rows."""

    def __init__(self, tensors, size, shuffle):
        self.tensors, self.size, self.shuffle = tensors, size, shuffle

    def __len__(self):
        return -(-len(self.tensors[0]) // self.size)

    def __iter__(self):
        count = len(self.tensors[0])
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for start in range(0, count, self.size):
            chosen = order[start : start + self.size]
            yield tuple(tensor.index_select(0, chosen) for tensor in self.tensors)


class Net(LightningModule):
    def __init__(self, numbers, levels):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(n, 8) for n in levels)
        self.body = nn.Sequential(
            nn.Linear(numbers + 8 * len(levels), 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, x, codes):
        parts = [x, *(e(codes[:, i]) for i, e in enumerate(self.embeddings))]
        return self.body(torch.cat(parts, 1)).squeeze(1)

    def training_step(self, batch, number):
        x, codes, y = batch
        return nn.functional.binary_cross_entropy_with_logits(self(x, codes), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)


def check(frame):
    """The rules: no nulls, labels 0 and 1, finite numbers."""
    nulls = frame.null_count().row(0)
    assert not any(nulls), nulls
    assert set(frame["label"].unique()) <= {0, 1}
    numbers = frame.select(pl.selectors.float())
    assert numbers.select(pl.all().is_finite().all()).row(0) == (True,) * numbers.width


def profile(frame):
    """Per column: describe, distinct values, histogram."""
    described = frame.describe()
    histograms = {}
    for name in frame.columns:
        series = frame[name]
        if series.dtype.is_numeric():
            counts, edges = np.histogram(series.to_numpy(), 40)
            histograms[name] = (counts.tolist(), edges.tolist(), series.n_unique())
        else:
            histograms[name] = (series.value_counts(sort=True).head(20).rows(), None, series.n_unique())
    return described, histograms


def encode(frame, train):
    numbers = [n for n, t in frame.schema.items() if t.is_float()]
    texts = [n for n, t in frame.schema.items() if t == pl.String]
    x = frame.select(numbers).to_numpy().astype(np.float32, copy=False)
    mean, deviation = x[train].mean(0), x[train].std(0)
    x = (x - mean) / deviation
    codes, levels = [], []
    for name in texts:
        known = {value: i + 1 for i, value in enumerate(frame[name].filter(train).unique().sort())}
        codes.append(frame[name].replace_strict(known, default=0, return_dtype=pl.Int64).to_numpy())
        levels.append(len(known) + 1)
    return np.ascontiguousarray(x, np.float32), np.stack(codes, 1), levels


def main(source, out):
    seed_everything(0, verbose=False)
    torch.set_num_threads(2)
    out.mkdir(parents=True, exist_ok=True)
    frame = pl.read_parquet(source)
    check(frame)
    train = np.random.default_rng(0).random(frame.height) < 0.8
    described, histograms = profile(frame)
    x, codes, levels = encode(frame, train)
    y = frame["label"].to_numpy().astype(np.float32)
    fit = [torch.from_numpy(np.ascontiguousarray(a[train])) for a in (x, codes, y)]
    test = [torch.from_numpy(np.ascontiguousarray(a[~train])) for a in (x, codes, y)]
    net = Net(x.shape[1], levels)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(net, Batches(fit, 1024, True))
    net.eval()
    with torch.inference_mode():
        scores = torch.cat([net(a, b) for a, b, _ in Batches(test, 65536, False)]).sigmoid()
    metrics = {
        "auroc": float(binary_auroc(scores, test[2].int())),
        "accuracy": float(binary_accuracy(scores, test[2].int())),
    }
    save_file(net.state_dict(), out / "model.safetensors")
    pl.DataFrame({"score": scores.numpy(), "label": test[2].numpy()}).write_parquet(out / "predictions.parquet")
    page = f"<h1>{html.escape(str(metrics))}</h1><pre>{html.escape(str(described))}</pre><pre>{html.escape(str(histograms))}</pre>"
    (out / "report.html").write_text(page)
    print(json.dumps(metrics))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
