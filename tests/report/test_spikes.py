"""The training section names the losses that jumped, with the rows of their batches."""

from __future__ import annotations

import json
from pathlib import Path

from mldlc.report.sections.training import training
from tests.step_harness import artifact


def test_spikes_are_told_with_their_rows(tmp_path: Path) -> None:
    spike = {"epoch": 1, "step": 7, "loss": 2040.8, "usual": 0.55, "action": "rollback", "rows": list(range(186, 250))}
    broken = {"epoch": 1, "step": 9, "loss": "nan", "usual": None, "action": "rollback", "rows": [3]}
    folder = tmp_path / "history"
    folder.mkdir()
    history = {"epochs": [{"epoch": 1, "train_loss": 0.5}], "spikes": [spike, broken, *[spike] * 5]}
    (folder / "history.json").write_text(json.dumps(history))
    shown = training(artifact("Metrics", folder))
    assert shown is not None
    facts = dict(shown["facts"])
    assert facts["spike at step 7"].endswith("usual 0.5500; rollback; rows of its batch: 186, 187, 188, 189, 190, 191, 192, 193 and 56 more")  # fmt: skip
    assert facts["spike at step 9"] == "loss nan; rollback; rows of its batch: 3"
    assert facts["more spikes"] == "2"


def test_batches_that_taught_nothing_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    history = {"epochs": [{"epoch": 1, "train_loss": 0.5}], "empty_batches": 3}
    (tmp_path / "in/history.json").write_text(json.dumps(history))
    view = training(artifact("Metrics", tmp_path / "in"))
    assert view is not None
    assert dict(view["facts"])["batches whose weights sum to 0"] == "3: nothing was learnt from them"
