"""Canonical JSON, digests and the dataclass codec; the plan survives its JSON and meets its schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

import mldlc.plan
from mldlc.plan.codec import canonical, decode, digest, encode, flatten
from mldlc.plan.json_schema import plan_schema
from mldlc.plan.plan import Plan, dump, load
from mldlc.plan.reason import Reason
from tests.projects import repository

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=12,
)


@given(VALUES)
def test_canonical_survives_a_round_trip(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.dictionaries(st.text(), st.integers()))
def test_digest_does_not_see_the_order_of_keys(value: dict[str, int]) -> None:
    assert digest(value) == digest(dict(reversed(list(value.items()))))


def test_digest_tells_types_apart() -> None:
    assert len({digest(v) for v in (1, "1", True, 1.5, None, [1], {"1": 1})}) == 7


def test_golden_digest() -> None:
    """A change of this value would rerun everybody's world."""
    assert digest({"a": [1, 2.5, None, "x"], "b": {"c": True}}) == (
        "6832579f1c363db3e852a1cc4f8682e74f3fdd82be66294362bf7579acdf8db6"
    )


@given(st.builds(Reason, st.just("param_changed"), st.text(), VALUES, VALUES, st.text()))
def test_dataclasses_survive(reason: Reason) -> None:
    assert decode(Reason, json.loads(json.dumps(encode(reason)))) == reason


def test_flatten() -> None:
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_a_plan_survives_and_meets_the_published_schema(tmp_path: Path) -> None:
    plan = repository(tmp_path).plan("second.value=2,3", multirun=True)
    text = dump(plan)
    assert dump(load(text)) == text
    assert isinstance(load(text), Plan)
    jsonschema.validate(json.loads(text), plan_schema())


def test_the_schema_file_is_the_derived_one() -> None:
    file = Path(mldlc.plan.__file__).with_name("plan.schema.json")
    assert json.loads(file.read_text()) == plan_schema(), (
        "python -m mldlc.plan.json_schema > mldlc/plan/plan.schema.json"
    )
