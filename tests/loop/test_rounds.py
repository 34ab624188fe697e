"""What is noticed while a round runs: an objective that nobody logs, as early as it can be known."""

from __future__ import annotations

import threading

import pytest

from mldlc.engine.result import Event
from mldlc.loop.rounds import Goal, Watcher
from mldlc.plan.plan import ConfigSources, Plan, Snapshot
from mldlc.plan.step import Step

EPOCH = ["train_loss", "val_loss", "val_auroc"]


def watcher(goal: str, *expected: str) -> Watcher:
    steps = tuple(Step(id, id, "training.train", 1, "", "", "", "", "", points=(n,)) for n, id in enumerate("ab"))
    plan = Plan("p", "", Snapshot(""), ConfigSources("", ""), (), steps)
    return Watcher(plan, [Goal(goal, "min")], lambda event: None, threading.Event(), None, set(), expected)


def tell(heard: Watcher, step: str, at: int, *names: str) -> None:
    for name in names:
        heard(Event("metric", 0.0, step, {"name": name, "value": 1.0, "at": at}))


def test_an_unknown_name_is_missed_after_the_first_validation() -> None:
    heard = watcher("val_auc")
    tell(heard, "a", 4, *EPOCH)
    assert not heard.stop.is_set()
    tell(heard, "a", 8, "train_loss")
    assert heard.stop.is_set() and heard.lacking == "val_auc"


@pytest.mark.parametrize("goal", ["val_loss", "val.auroc"])
def test_what_is_logged_or_measured_later_is_not_missed(goal: str) -> None:
    heard = watcher(goal)
    for at in (4, 8):
        tell(heard, "a", at, *EPOCH)
    heard(Event("step_finished", 0.0, "a", {}))
    assert not heard.stop.is_set()


def test_what_the_config_promises_is_missed_at_the_end_only_and_of_all_points() -> None:
    heard = watcher("val_r2", "val_r2")
    for at in (4, 8):  # it may be no finite number in the first epochs
        tell(heard, "a", at, *EPOCH)
    assert not heard.stop.is_set()
    heard(Event("step_finished", 0.0, "a", {}))
    assert heard.stop.is_set()
    other = watcher("val_r2", "val_r2")
    tell(other, "b", 4, *EPOCH, "val_r2")
    tell(other, "a", 4, *EPOCH)
    other(Event("step_finished", 0.0, "a", {}))
    assert not other.stop.is_set()
