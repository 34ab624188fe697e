"""What users of Lightning and Hydra type gets its translation, as a new key and as one that should exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("trainer.logger=true", "callbacks.loggers="),
        ("+trainer.callbacks=[]", "callbacks.extra="),
        ("trainer.gpus=1", "trainer=gpu"),
        ("trainer.epochs=3", "'max_epochs'"),
        ("trainer.num_nodes=2", "one machine"),
        ("trainer.strategy=ddp_spawn", "trainer=ddp"),
        ("model._target_=torch.nn.Linear", "model=custom model.target=torch.nn:Linear"),
    ],
)
def test_a_name_from_elsewhere_is_translated(override: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError) as caught:
        compile_plan(CompileRequest(tmp_path, ("experiment=adult", override)))
    (told,) = caught.value.diagnostics
    assert hint in told.hint
    assert str(told.where) == "command line"
