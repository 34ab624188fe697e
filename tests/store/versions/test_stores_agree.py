"""Random histories on the embedded store and on lakeFS at once: every answer that can be compared is the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.plan.versions import Conflict, Versions
from tests.lakefs_double.running import running
from tests.store.versions.contract.making import contents, paths, publish
from tests.store.versions.making import versions_in

PATHS = ["a", "d/x", "d/y", "e/f/z"]
BRANCHES = ["main", "side"]
FILES = st.dictionaries(
    st.sampled_from(PATHS), st.sampled_from([None, b"1", b"22", b"333"]), min_size=1, max_size=len(PATHS)
)
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(BRANCHES), FILES),
    st.tuples(st.just("merge"), st.sampled_from(BRANCHES), st.sampled_from(["none", "source-wins", "dest-wins"])),
    st.tuples(st.just("revert"), st.sampled_from(BRANCHES), st.integers(0, 2)),
)


def do(versions: Versions, step: tuple[Any, ...], number: int) -> object:
    """One step; what is the same on every store: how it ended."""
    kind, branch, detail = step
    other = BRANCHES[1 - BRANCHES.index(branch)]
    try:
        if kind == "publish":
            publish(versions, {**detail, f"n/{number}": b"new"}, branch)
        elif kind == "merge":
            versions.merge(other, branch, strategy=detail)
        else:
            chain = list(versions.log(branch, first_parent=True))[
                :-2
            ]  # not the first commits, which both branches have
            if detail < len(chain):
                versions.revert(branch, chain[detail].id)
    except Conflict as conflict:
        return conflict.paths
    return None


def answers(versions: Versions) -> dict[str, object]:
    """What a history says of itself, without ids and times."""
    found: dict[str, object] = {}
    questions: dict[str, Callable[[], object]] = {
        "two dots": lambda: paths(versions.diff("main", "side")),
        "three dots": lambda: paths(versions.diff("main", "side", three_dot=True)),
        "folders": lambda: paths(versions.diff("side", "main", depth=1)),
        "under d": lambda: paths(versions.diff("side", "main", "d/")),
    }
    for branch in BRANCHES:
        questions |= {
            f"{branch} files": lambda branch=branch: contents(versions, branch),
            f"{branch} digest": lambda branch=branch: versions.digest(branch),
            f"{branch} partitions": lambda branch=branch: versions.partitions(branch, "d/"),
        }
    for name, ask in questions.items():
        found[name] = ask()
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=1, max_size=6))
def test_stores_agree(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), page=3) as (_, lake):
        both: tuple[Versions, Versions] = (versions_in(Path(folder) / "embedded"), lake)
        for versions in both:
            publish(versions, dict.fromkeys(PATHS, b"0"))
            versions.branch("side", "main")
        for number, step in enumerate(steps):
            ends = [do(versions, step, number) for versions in both]
            assert ends[0] == ends[1], step
            one, two = map(answers, both)
            assert one == two, step
