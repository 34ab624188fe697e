"""Numbers of several stages on one part of the data: none stands under another's name, and none is lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mldlc.engine.measured import by_part
from mldlc.loop.objective import measured

UPDATE = ("update", "training.update", {"stream": {"accuracy": 0.8, "n": 9}, "frozen": {"accuracy": 0.5}})
PERIODIC = ("periodic", "training.update", {"stream": {"accuracy": 0.7, "n": 9}, "frozen": {"accuracy": 0.5}})
OTHER = ("yearly", "training.update", {"stream": {"accuracy": 0.6, "n": 9}})
MORE = ("diagnose", "evaluation.diagnose", {"stream": {"bias": 0.1}})


def steps(*stages: tuple[str, str, Any]) -> Any:
    return [(SimpleNamespace(stage=stage, kind=kind), {"metrics": found}) for stage, kind, found in stages]


@pytest.mark.parametrize("stages", [(UPDATE, PERIODIC), (PERIODIC, UPDATE)])
def test_the_stage_named_after_its_kind_has_the_plain_name(stages: Any) -> None:
    assert by_part(steps(*stages)) == {
        "stream": {"accuracy": 0.8, "n": 9}, "frozen": {"accuracy": 0.5}, "periodic.stream": {"accuracy": 0.7, "n": 9},
    }  # fmt: skip


def test_else_the_last_one_has_it() -> None:
    told = by_part(steps(PERIODIC, OTHER))
    assert told["stream"]["accuracy"] == 0.6 and told["periodic.stream"]["accuracy"] == 0.7 and "frozen" in told


def test_other_metrics_of_a_part_join_it() -> None:
    assert by_part(steps(UPDATE, MORE))["stream"] == {"accuracy": 0.8, "n": 9, "bias": 0.1}


def test_of_one_stage_at_several_points_the_last_counts() -> None:
    again = ("update", "training.update", {"stream": {"accuracy": 0.9, "n": 9}})
    assert by_part(steps(UPDATE, again))["stream"] == {"accuracy": 0.9, "n": 9}


def test_a_search_can_look_at_either_but_at_no_test_rows() -> None:
    hidden = ("evaluate", "evaluation.evaluate", {"test": {"accuracy": 1.0}})
    more = ("second", "evaluation.evaluate", {"test": {"accuracy": 0.9}})
    found = measured(steps(UPDATE, PERIODIC, hidden, more))
    assert found == {
        "stream.accuracy": 0.8, "stream.n": 9.0, "frozen.accuracy": 0.5, "periodic.stream.accuracy": 0.7,
        "periodic.stream.n": 9.0,
    }  # fmt: skip
