"""How a checkpoint gets into its file. Lightning's own way makes a copy of all of it in memory first."""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO


class Straight(TorchCheckpointIO):
    """Writes as it goes; whole or not at all is seen to by `mldlc.training.checkpoint.save`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        torch.save(checkpoint, path)
