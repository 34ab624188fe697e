"""The bare floor: Polars and a torch loop, no profile, no page."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn


def auroc(scores, labels):
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    positives = labels.sum()
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


def main(source, out):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    out.mkdir(parents=True, exist_ok=True)
    frame = pl.read_parquet(source)
    assert not any(frame.null_count().row(0)) and set(frame["label"].unique()) <= {0, 1}
    train = np.random.default_rng(0).random(frame.height) < 0.8
    x = frame.select(pl.selectors.float()).to_numpy().astype(np.float32, copy=False)
    assert np.isfinite(x).all()
    x = (x - x[train].mean(0)) / x[train].std(0)
    hot = frame.select(pl.selectors.string()).to_dummies().to_numpy().astype(np.float32)
    x = torch.from_numpy(np.concatenate([x, hot], 1).astype(np.float32))
    y = torch.from_numpy(frame["label"].to_numpy().astype(np.float32))
    fit, test = torch.from_numpy(np.flatnonzero(train)), torch.from_numpy(np.flatnonzero(~train))
    net = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for chosen in fit[torch.randperm(len(fit))].split(1024):
        loss = nn.functional.binary_cross_entropy_with_logits(net(x.index_select(0, chosen)).squeeze(1), y[chosen])
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.inference_mode():
        scores = torch.cat([net(x[part]).squeeze(1) for part in test.split(65536)]).numpy()
    labels = y[test].numpy()
    torch.save(net.state_dict(), out / "model.pt")
    print(json.dumps({"auroc": auroc(scores, labels), "accuracy": float(((scores > 0) == labels).mean())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
