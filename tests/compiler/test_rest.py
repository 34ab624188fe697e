"""Mistakes of values are told together with overrides that do not compose; nothing is told that only follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError

KEY, OPTION, RATE, SEED = "unknown key 'trainer.max_epoch'", "no option 'mpl'", "optimizer.lr: ", "split.seed: "


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (("trainer.max_epoch=3", "optimizer.lr=x"), (KEY, RATE)),
        (("trainer.max_epoch=3",), (KEY,)),
        (("split.seed=[1", "optimizer.lr=x"), ("'split.seed=[1' cannot be read", RATE)),
        # what is wrong with a value of a group hangs on the option, so it waits until there is one
        (("model=mpl", "model.dropout=x", "split.seed=x"), (OPTION, SEED)),
        (("model=mpl", "trainer.max_epoch=3", "split.seed=x", "optimizer.lr=x"), (OPTION, KEY, SEED, RATE)),
        # a value that is missing because its override cannot be read is no mistake of its own
        (("source=csv", "source.path=[1"), ("'source.path=[1' cannot be read",)),
    ],
)
def test_all_are_told_at_once(overrides: tuple[str, ...], messages: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError) as caught:
        compile_plan(CompileRequest(tmp_path, ("experiment=adult", *overrides)))
    told = [str(item) for item in caught.value.diagnostics]
    assert all(text.startswith("command line: ") for text in told)
    assert len(told) == len(messages)
    assert all(message in text for message, text in zip(messages, told, strict=True)), told


def test_each_point_of_a_sweep_is_looked_at(tmp_path: Path) -> None:
    overrides = ("experiment=adult", "trainer.max_epoch=3", "optimizer.lr=0.1,x")
    with pytest.raises(DiagnosticError) as caught:
        compile_plan(CompileRequest(tmp_path, overrides, multirun=True))
    assert [item.key for item in caught.value.diagnostics] == ["trainer.max_epoch", "optimizer.lr"]
