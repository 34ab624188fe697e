"""What a plan says moved in a step's config."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mldlc.compiler.reasons import _params

STOP = {"monitor": "val_loss", "patience": 5}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"stop": None}, {"stop": STOP}, {"stop.monitor": (None, "val_loss"), "stop.patience": (None, 5)}),
        ({"stop": STOP}, {"stop": None}, {"stop.monitor": ("val_loss", None), "stop.patience": (5, None)}),
        ({"stop": STOP}, {"stop": STOP | {"patience": 3}}, {"stop.patience": (5, 3)}),
        ({"extra": 1}, {"extra": 1, "stop": None}, {"stop": (None, None)}),
    ],
)
def test_a_null_that_became_a_mapping_is_told_by_its_keys(old: Any, new: Any, told: dict[str, Any]) -> None:
    draft: Any = SimpleNamespace(locate=lambda path, point: None)
    node: Any = SimpleNamespace(groups={}, points=[0], typed=SimpleNamespace(identity={"callbacks": new}))
    reasons = _params(draft, node, {"callbacks": old})
    assert {reason.path: (reason.old, reason.new) for reason in reasons} == {
        f"callbacks.{name}": values for name, values in told.items()
    }
