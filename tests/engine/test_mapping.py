"""ctx.map and ctx.adopt over a real store: what is worked on again, what survives a failure, what is not copied."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mldlc.engine import mapping
from mldlc.engine.context import StepContext
from mldlc.engine.objects import LocalObjects
from mldlc.engine.step_file import Setting, StepFile
from mldlc.plan.context import StepError
from mldlc.store.layout import Store, open_store
from mldlc.store.records import record_keys


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "outputs")


class Steps:
    """Contexts of one step over a store, one an execution; `worked` names the items that were worked on."""

    def __init__(self, store: Store) -> None:
        self.store, self.count = store, 0
        self.worked: list[str] = []

    def context(self, identity: str = "i") -> StepContext:
        self.count += 1
        work = self.store.work / str(self.count)
        work.mkdir()
        setting = Setting("run", "plan", str(self.store.root.parent), 1)
        file = StepFile("s", "s", "kind", 1, "m:f", "k", "r", identity, "c", setting, outputs={"out": "Any"})
        port = LocalObjects(self.store, {"run": "run"})
        return StepContext(file, port, work, lambda t, d: None, lambda: False, logging.getLogger("t"))

    def work(self, name: str, item: dict, out: Path) -> None:
        self.worked.append(name)
        if item.get("bad"):
            raise StepError("bad")
        (out / "value.txt").write_text(str(item["n"]))


def items(*numbers: int) -> list[tuple[str, dict]]:
    return [(f"p{n}", {"n": n, "digest": f"d{n}"}) for n in numbers]


def test_only_new_items_are_worked_on_whatever_their_order_and_name(store: Store) -> None:
    steps = Steps(store)
    first = steps.context().map(items(1, 2, 3), steps.work)
    assert {name: (path / "value.txt").read_text() for name, path in first.items()} == {"p1": "1", "p2": "2", "p3": "3"}
    steps.worked.clear()
    renamed = [("other", {"n": 2, "digest": "d2"})]
    second = steps.context().map([*items(4, 3), *renamed, *items(1)], steps.work)
    assert steps.worked == ["p4"]
    assert [(name, (path / "value.txt").read_text()) for name, path in second.items()] == [
        ("p4", "4"), ("p3", "3"), ("other", "2"), ("p1", "1"),
    ]  # fmt: skip


def test_equal_items_are_worked_on_once_and_other_configs_again(store: Store) -> None:
    steps = Steps(store)
    steps.context().map([("a", {"n": 1, "digest": "d"}), ("b", {"n": 1, "digest": "d"})], steps.work)
    assert steps.worked == ["a"]
    steps.context("other config").map([("a", {"n": 1, "digest": "d"})], steps.work)
    assert steps.worked == ["a", "a"]


def test_an_item_without_digest_is_known_by_name_and_json(store: Store) -> None:
    steps = Steps(store)
    for name, item in (("a", {"n": 1}), ("a", {"n": 1}), ("b", {"n": 1}), ("a", {"n": 2})):
        steps.context().map([(name, item)], steps.work)
    assert steps.worked == ["a", "b", "a"]
    with pytest.raises(TypeError, match="neither JSON nor"):
        steps.context().map([("a", object())], lambda name, item, out: None)


@pytest.mark.parametrize("group", [1, 2, 64])
def test_what_was_done_before_a_failure_stays(store: Store, monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    monkeypatch.setattr(mapping, "GROUP", group)
    steps = Steps(store)
    with pytest.raises(StepError):
        steps.context().map([*items(1, 2, 3), ("x", {"bad": True})], steps.work)
    assert len(list(record_keys(store))) == 3
    steps.worked.clear()
    steps.context().map(items(1, 2, 3, 4), steps.work)
    assert steps.worked == ["p4"]


def test_a_context_maps_more_than_once(store: Store) -> None:
    steps = Steps(store)
    ctx = steps.context()
    ctx.map(items(1), steps.work)
    assert list(ctx.map(items(2, 1), steps.work)) == ["p2", "p1"] and steps.worked == ["p1", "p2"]


def test_an_adopted_file_is_the_object_itself(store: Store) -> None:
    steps = Steps(store)
    ctx = steps.context()
    done = ctx.map(items(7), steps.work)
    ctx.adopt("out", "parts/7.txt", done["p7"] / "value.txt")
    (ctx.out("out") / "more.txt").write_text("more")
    assert not (ctx.out("out") / "parts").exists()
    port = LocalObjects(store, {})
    made = port.put(ctx.out("out"), "Any", ctx.adopted("out"))
    copy = steps.context().out("out")
    (copy / "parts").mkdir()
    (copy / "parts" / "7.txt").write_text("7")
    (copy / "more.txt").write_text("more")
    assert port.put(copy, "Any") == made, "an artifact does not show how its files came"
    again = steps.context()
    again.adopt("out", "more.txt", port.fetch(made.digest)["more.txt"])
    assert list(again.adopted("out")) == ["more.txt"], "a file of an input needs no copy either"


def test_a_file_from_elsewhere_is_copied_and_one_that_is_gone_is_named(store: Store, tmp_path: Path) -> None:
    steps = Steps(store)
    ctx = steps.context()
    other = tmp_path / "ab" / ("c" * 62)
    other.parent.mkdir()
    other.write_text("x")
    ctx.adopt("out", "x", other)
    assert not ctx.adopted("out") and (ctx.out("out") / "x").read_text() == "x"
    port = LocalObjects(store, {})
    with pytest.raises(StepError, match="both written and adopted"):
        port.put(ctx.out("out"), "Any", {"x": "0" * 64})
    with pytest.raises(StepError, match="no longer in the store"):
        port.put(ctx.out("out"), "Any", {"y": "0" * 64})
