"""The model by itself: shapes, gradients, and that it can learn."""

from __future__ import annotations

import torch
from torch import nn

from PACKAGE.nets import GatedNet


def test_it_gives_one_row_of_logits_a_row_and_trains_every_weight() -> None:
    net = GatedNet(n_numeric=3, cardinalities=[5, 2], out_features=2, width=8)
    categorical = torch.stack([torch.arange(10) % 5, torch.arange(10) % 2], dim=1)
    out = net(torch.randn(10, 3), categorical)
    assert out.shape == (10, 2)
    out.square().sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_it_learns_an_interaction() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = GatedNet(n_numeric=2, cardinalities=[], out_features=1, width=16, dropout=0.0)
    x = torch.randn(256, 2)
    y = (x[:, 0] * x[:, 1] > 0).float()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(120):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net(x, torch.empty(256, 0).int()).squeeze(1), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
