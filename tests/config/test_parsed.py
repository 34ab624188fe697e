"""Overrides that set numbers are parsed as Hydra parses them, though its parser reads their key alone."""

from __future__ import annotations

import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.config.parsed import Parsed

PARSER = OverridesParser.create()
KEYS = [
    "a",
    "a.b_c",
    "optimizer.lr",
    "hydra.job.num",
    "null",
    "true",
    "nan.inf",
    "e1",
    "a.1",
    "a-b",
    "a/b",
    "x@y",
    "+a",
    "~a",
]
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.from_regex(r"[-+]?[0-9_.eE+-]{1,6}", fullmatch=True),
    st.sampled_from(["-0", "0.0", "-0.0", "007", "1_000", "1e5", "1E-5", "1.e3", ".5", "5.", "1e", "+1", "1.5.2", "٣"]),
)


def told(parse: object, line: str) -> str:
    """All that the override holds, its value with the type; or the complaint."""
    try:
        found = parse(line)  # type: ignore[operator]
    except HydraException as error:
        return str(error)
    return re.sub(r" at 0x\w+", "", f"{found!r} {type(found._value).__name__}")


@settings(max_examples=60, derandomize=True)
@given(st.sampled_from(KEYS), st.lists(NUMBERS, min_size=1, max_size=3))
def test_numbers_are_read_as_hydra_reads_them(key: str, numbers: list[str]) -> None:
    parsed = Parsed(PARSER.parse_override)
    for number in numbers:
        line = f"{key}={number}"
        assert told(parsed.__getitem__, line) == told(PARSER.parse_override, line)


def test_the_parser_reads_a_key_once_for_whole_and_once_for_other_numbers() -> None:
    asked: list[str] = []

    def parse(line: str) -> object:
        asked.append(line)
        return PARSER.parse_override(line)

    parsed = Parsed(parse)
    values = [parsed[f"lr={value}"].value() for value in (3, 17, -2, 0.25, 1e-05, "[1,2]", 3)]
    assert values == [3, 17, -2, 0.25, 1e-05, [1, 2], 3] and asked == ["lr=0", "lr=0.5", "lr=[1,2]"]
    with pytest.raises(HydraException):
        parsed["lr=1]"]
