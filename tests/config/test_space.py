"""The space of a search: what is read, what is refused, and that values survive Hydra's grammar."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldlc.config.project import find_project, shipped_conf
from mldlc.config.seam import Composer
from mldlc.config.space import Choices, Interval, line_of, plain, read_param, shown
from mldlc.config.tree import Ledger

COMPOSER = Composer(find_project(shipped_conf()), "config", None, Ledger())


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ({"low": 1, "high": 8}, Interval(1, 8, integer=True)),
        ({"low": 1, "high": 8.0}, Interval(1.0, 8.0)),
        ({"low": 1e-4, "high": 1e-2, "log": True}, Interval(1e-4, 1e-2, log=True)),
        ({"low": 0.0, "high": 1.0, "step": 0.25}, Interval(0.0, 1.0, step=0.25)),
        ({"choices": [[64], [128, 64]]}, Choices(([64], [128, 64]))),
        ([1, "a", None], Choices((1, "a", None))),
        ("interval(1e-4, 1e-2)", Interval(1e-4, 1e-2)),
        ("tag(log, interval(0.5, 2))", Interval(0.5, 2.0, log=True)),
        ("int(interval(1, 9))", Interval(1, 9, integer=True)),
        ("range(2, 9, 3)", Interval(2, 8, step=3, integer=True)),
        ("a,b", Choices(("a", "b"))),
        ("choice(1, 2.5, 'x y')", Choices((1, 2.5, "x y"))),
    ],
)  # fmt: skip
def test_what_is_read(written: Any, wanted: object) -> None:
    found = read_param(written, COMPOSER.parse)
    assert found == wanted and read_param(plain(found)) == found and shown(found)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"low": 2, "high": 1}, "low 2 is above high 1"),
        ({"low": 2, "high": 2}, "there is nothing to search"),
        ({"low": 0, "high": 1.0, "log": True}, "log needs low above 0"),
        ({"low": 1, "hihg": 2}, "unknown key 'hihg'; did you mean 'high'?"),
        ({"low": 1}, "it needs low and high, or choices"),
        ({"low": "1", "high": 2}, "low must be a number (found '1')"),
        ({"low": 1, "high": 2, "step": 0}, "step must be above 0"),
        ({"low": 0.5, "high": 2, "integer": True}, "integer needs whole numbers"),
        ({"low": 1, "high": float("inf")}, "must be finite"),
        ({"choices": []}, "at least one value"),
        ({"choices": [1], "low": 1}, "choices stand alone"),
        (3, "3 is no space"),
        ("adam", "one value, no space"),
    ],
)  # fmt: skip
def test_what_is_refused(written: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        read_param(written, COMPOSER.parse)
    assert words in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    lambda items: st.lists(items, max_size=3),
    max_leaves=4,
)  # fmt: skip


@given(VALUES)
def test_a_value_survives_the_override_that_sets_it(value: Any) -> None:
    assert COMPOSER.parse(line_of("key", value)).value() == value
