"""The walk as a pure state machine, also on random graphs."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.engine.dag import Dag, Slots, begun, capacity, priorities
from mldlc.plan.spec import Resources
from mldlc.plan.step import Cost, Step
from tests.engine.plans import Builder

ROOMY = Slots(100, 100, 100, 1 << 40)


def _steps(edges: dict[str, list[str]], **needs: Resources) -> list[Step]:
    built = Builder()
    for name, above in edges.items():
        built.add(name, "noop", {"after": [f"{a}.done" for a in above]}, value=name)
    return [replace(step, needs=needs.get(step.id, Resources())) for step in built.steps.values()]


def _start_all(dag: Dag) -> list[str]:
    while (ready := dag.ready()) is not None:
        dag.queue(ready)
    out = []
    while (taken := dag.take()) is not None:
        out.append(taken)
    return out


def test_priority_is_the_critical_path_by_cost() -> None:
    steps = _steps({"a": [], "b": [], "c": ["a"], "d": ["b"]})
    steps[3] = replace(steps[3], cost=Cost(seconds=10.0))
    assert priorities(steps) == {"a": 2.0, "b": 11.0, "c": 1.0, "d": 10.0}
    assert _start_all(Dag(steps, ROOMY)) == ["b", "a"]


def test_points_that_began_are_ended_before_others_begin() -> None:
    names = {"data": [], **{f"train{n}": ["data"] for n in range(3)}, **{f"score{n}": [f"train{n}"] for n in range(3)}}
    steps = [
        replace(step, points=(int(step.id[-1]),) if step.id != "data" else (0, 1, 2), needs=Resources(cpu=1))
        for step in _steps(names | {"best": ["score0", "score1", "score2"]})[:-1]
    ]
    assert begun(steps) == {"score0", "score1", "score2"}
    assert begun([replace(step, points=(0,)) for step in steps]) == set()
    dag = Dag(steps, Slots(1, 1, 0, 0))
    order = []
    while dag.open:
        order += _start_all(dag)
        dag.release(order[-1])
        dag.done(order[-1])
    assert order == ["data", "train0", "score0", "train1", "score1", "train2", "score2"]


def test_slots_bound_what_runs_and_large_steps_are_not_starved() -> None:
    names = [f"s{n:02}" for n in range(40)]
    steps = _steps({name: [] for name in ["big", *names]}, big=Resources(cpu=2))
    steps[0] = replace(steps[0], cost=Cost(seconds=9.0))
    dag = Dag(steps, Slots(2, 2, 0, 0))
    for step in steps[1:3]:
        dag.queue(step.id)
    assert [dag.take(), dag.take()] == ["s00", "s01"]
    while (ready := dag.ready()) is not None:
        if ready not in ("s00", "s01"):
            dag.queue(ready)
    order: list[str] = []
    running = ["s00", "s01"]
    while "big" not in order:
        done = running.pop(0)
        dag.release(done)
        dag.done(done)
        while (taken := dag.take()) is not None:
            running.append(taken)
            order.append(taken)
    assert 5 < len(order) < 25


def test_a_step_that_wants_more_than_there_is_gets_all() -> None:
    steps = _steps({"a": [], "b": []}, a=Resources(cpu=64, gpu=2, memory=1 << 50))
    dag = Dag(steps, Slots(2, 2, 0, 1000))
    assert _start_all(dag)[0] == "a"


def test_failure_skips_exactly_what_hangs_on_it() -> None:
    dag = Dag(_steps({"a": [], "b": ["a"], "c": ["b"], "x": [], "d": ["c", "x"], "y": ["x"]}), ROOMY)
    assert dag.fail("a") == ["b", "c", "d"]
    assert sorted(dag.left()) == ["x", "y"]
    dag.done("x")
    assert dag.drain() == ["y"] and dag.open == 0


def test_capacity_from_options_settings_and_machine() -> None:
    assert capacity(None, {}, 2, 10) == Slots(2, 2, 0, 10)
    assert capacity(8, {}, 2, 10) == Slots(8, 8, 0, 10)
    assert capacity(1, {"cpus": 4, "gpus": 1, "memory": 5, "jobs": None}, 2, 10) == Slots(1, 4, 1, 5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 25), st.integers(1, 3), st.randoms(use_true_random=False))
def test_random_graphs_end_in_order_within_the_slots(count: int, jobs: int, rng: random.Random) -> None:
    edges = {f"n{n}": [f"n{a}" for a in range(n) if rng.random() < 0.3] for n in range(count)}
    bad = {name for name in edges if rng.random() < 0.1}
    dag = Dag(_steps(edges), Slots(jobs, jobs, 0, 0))
    done: set[str] = set()
    lost: set[str] = set()
    while dag.open:
        _start_all(dag)
        assert 0 < len(dag.running) <= jobs
        name = rng.choice(sorted(dag.running))
        assert set(edges[name]) <= done
        dag.release(name)
        if name in bad:
            lost |= {name, *dag.fail(name)}
        else:
            dag.done(name)
            done.add(name)
    assert done | lost == set(edges) and not done & lost
    assert all(any(parent in lost for parent in edges[name]) or name in bad for name in lost)


def _fan_in(**fields: object) -> Dag:
    steps = _steps({"a": [], "b": [], "all": ["a", "b"], "after": ["all"]})
    return Dag([replace(step, **fields) if step.id == "all" else step for step in steps], ROOMY)  # type: ignore[arg-type]


def test_a_partial_step_does_without_what_failed() -> None:
    for order in ("ab", "ba"):
        dag = _fan_in(partial=True)
        assert sorted(_start_all(dag)) == ["a", "b"]
        for name in order:
            dag.release(name)
            if name == "a":
                assert dag.fail("a") == []
            else:
                dag.done("b")
        assert _start_all(dag) == ["all"]
    strict = _fan_in()
    _start_all(strict)
    assert strict.fail("a") == ["all", "after"]


def test_a_partial_step_without_any_input_is_skipped() -> None:
    dag = _fan_in(partial=True)
    _start_all(dag)
    assert dag.fail("a") == [] and dag.fail("b") == ["all", "after"]
