"""Sweeps: Hydra's own sweeper as the reference, paired sweeps, and sweeps that the config declares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.config.project import Project
from mldlc.config.sweeping import key_of
from mldlc.plan.label import arguments_of, label_of, overrides_of, pieces
from tests.config.conftest import errors, run

Repo = Callable[..., Project]
GRID = "kind: grid\nparams: {}\nzip: []\nvary: {}\npoints: []\n"
GRAMMAR = [
    ["seed=1,2,3"],
    ["seed=choice(3,1,2)", "name=a,b"],
    ["name=b,a", "seed=range(1,8,3)"],
    ["seed=range(2)", "optimizer.lr=range(0,0.5,0.25)"],
    ["seed=sort(3,1,2)", "name=sort(b,c,a,reverse=true)"],
    ["seed=sort(range(4),reverse=true)"],
    ["model.lr=float(choice(1,2))", "seed=int(1.0,2)"],
    ["model=glob(*)", "optimizer=glob([a*,s*],exclude=sgd)"],
    ["optimizer.betas=[1,2],[3]", "model.head={dropout:1},{dropout:2}"],
    ["+new='a,b',c", "seed=1"],
]


def points(project: Project, *overrides: str, multirun: bool = True) -> list[tuple[str, ...]]:
    return [point.overrides for point in run(project, *overrides, multirun=multirun).points]


class Recorder:
    """A launcher that launches nothing: the jobs that Hydra's sweeper hands it."""

    def __init__(self) -> None:
        self.jobs: list[list[str]] = []

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[Any]:
        self.jobs += [list(job) for job in jobs]
        return []


def hydras(project: Project, overrides: list[str], tmp_path: Any) -> list[list[str]]:
    """What Hydra's BasicSweeper itself would launch."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    recorder = Recorder()
    with initialize_config_dir(project.conf[0], version_base="1.3"):
        # Hydra's scan for plugins imports the module anew
        sweeper = sys.modules["hydra._internal.core_plugins.basic_sweeper"].BasicSweeper(max_batch_size=None)
        loader = GlobalHydra.instance().config_loader()
        sweeper.hydra_context = type("Context", (), {"config_loader": loader})()
        sweeper.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
        sweeper.launcher = recorder
        sweeper.validate_batch_is_legal = lambda batch: None
        sweeper.sweep(overrides)
    return recorder.jobs


@pytest.mark.parametrize("overrides", GRAMMAR, ids=" ".join)
def test_the_points_are_those_of_hydras_sweeper(repo: Repo, overrides: list[str], tmp_path: Any) -> None:
    project = repo()
    keys = {key_of(line) for line in overrides if OverridesParser.create().parse_override(line).is_sweep_override()}
    expected = [tuple(line for line in job if key_of(line) in keys) for job in hydras(project, overrides, tmp_path)]
    assert points(project, *overrides) == expected


def test_a_shuffled_sweep_has_every_point_and_is_never_cached(repo: Repo) -> None:
    found = run(repo(), "seed=shuffle(range(20))", "name=a,b", multirun=True)
    assert sorted(p.config["seed"] for p in found.points) == sorted([*range(20)] * 2) and not found.cacheable
    assert run(repo(), "seed=range(20)", multirun=True).cacheable
    files = {"conf/sweep/s.yaml": GRID.replace("params: {}", "params: {seed: 'shuffle(range(9))'}")}
    declared = run(repo(files), "+sweep=s")
    assert len(declared.points) == 9 and not declared.cacheable


def test_an_interval_has_no_points(repo: Repo) -> None:
    [text] = errors(repo(), "seed=interval(0,1)", multirun=True)
    assert "'seed=interval(0,1)': an interval has no list of points; a search can try it" in text


def test_paired_keys_go_in_step_and_multiply_with_the_rest(repo: Repo) -> None:
    pair = "zip(optimizer.lr=choice(1,2),name=x,y)"
    assert points(repo(), pair) == [("optimizer.lr=1", "name=x"), ("optimizer.lr=2", "name=y")]
    found = run(repo(), "seed=1,2", pair, "model.width=5", multirun=True).points
    assert [point.overrides for point in found] == [
        ("seed=1", "optimizer.lr=1", "name=x"),
        ("seed=1", "optimizer.lr=2", "name=y"),
        ("seed=2", "optimizer.lr=1", "name=x"),
        ("seed=2", "optimizer.lr=2", "name=y"),
    ]
    assert [point.config["optimizer"]["lr"] for point in found] == [1, 2, 1, 2]
    assert {point.config["model"]["width"] for point in found} == {5}
    grouped = points(repo(), "zip(model=cnn,mlp,optimizer=adam,sgd)", "seed=range(2)")
    assert grouped[0] == ("model=cnn", "optimizer=adam", "seed=0") and len(grouped) == 4


PAIRS = [
    ("zip(seed=1,2,name=a,b,c)", "pairs lists of unlike lengths: seed has 2, name has 3; give each key as many values"),
    ("zip(seed=1,2)", "pairs nothing; write zip(a=choice(1,2),b=choice(3,4))"),
]


@pytest.mark.parametrize(("line", "text"), PAIRS)
def test_mistakes_of_a_pair(repo: Repo, line: str, text: str) -> None:
    assert errors(repo(), line, multirun=True) == [f"command line: '{line}' {text}"]


def test_a_pair_needs_m_and_its_keys_for_itself(repo: Repo) -> None:
    line = "zip(seed=1,2,name=a,b)"
    assert errors(repo(), line) == [f"command line: '{line}' gives several values to one run; add -m to sweep"]
    [text] = errors(repo(), line, "name=c", multirun=True)
    assert text == "command line: 'name' is swept by zip(...) and set a second time; set it in one place"


DECLARED = """\
kind: grid
params:
  optimizer.lr: [0.1, 1e-3]
  model: "mlp,cnn"
zip:
  - {seed: [1, 2], name: ["a b", "3"]}
vary: {}
points: []
"""


def test_a_declared_sweep_needs_no_m(repo: Repo) -> None:
    project = repo({"conf/sweep/s.yaml": DECLARED})
    found = run(project, "+sweep=s", "trainer.epochs=9").points
    assert len(found) == 8 and {point.config["trainer"]["epochs"] for point in found} == {9}
    assert found[1].overrides == ("optimizer.lr=0.1", "model=mlp", "seed=2", "name='3'")
    assert (found[1].config["name"], found[1].config["seed"], found[0].config["name"]) == ("3", 2, "a b")
    assert found[2].config["model"]["kind"] == "cnn" and found[4].config["optimizer"]["lr"] == 1e-3


def test_the_command_line_wins_over_a_declared_sweep(repo: Repo) -> None:
    project = repo({"conf/sweep/s.yaml": DECLARED})
    found = run(project, "+sweep=s", "model=cnn", "seed=7").points
    assert [p.overrides for p in found] == [
        (f"optimizer.lr={rate}", f"name={name}") for rate in ("0.1", "0.001") for name in ("a b", "'3'")
    ]
    assert {(p.config["model"]["kind"], p.config["seed"]) for p in found} == {("cnn", 7)}
    both = points(project, "+sweep=s", "model=mlp", "seed=1", "name=x", "trainer.epochs=1,2")
    assert both[:2] == [("trainer.epochs=1", "optimizer.lr=0.1"), ("trainer.epochs=1", "optimizer.lr=0.001")]


def test_one_key_at_a_time_and_points_written_out(repo: Repo) -> None:
    vary = GRID.replace("vary: {}", "vary: {seed: [1, 2], model: [cnn]}")
    assert points(repo({"conf/sweep/v.yaml": vary}), "+sweep=v", multirun=False) == [
        (),
        ("seed=1",),
        ("seed=2",),
        ("model=cnn",),
    ]
    listed = GRID.replace("points: []", "points: [{seed: 1, optimizer.lr: 0.5}, {model: cnn}]")
    assert points(repo({"conf/sweep/p.yaml": listed}), "+sweep=p", multirun=False) == [
        ("seed=1", "optimizer.lr=0.5"),
        ("model=cnn",),
    ]


def test_a_declared_sweep_in_an_experiment_and_its_mistakes(repo: Repo) -> None:
    experiment = (
        "# @package _global_\nsweep:\n  kind: grid\n  params: {seed: 'range(3)'}\n  zip: []\n  vary: {}\n  points: []\n"
    )
    assert len(points(repo({"conf/experiment/many.yaml": experiment}), "experiment=many", multirun=False)) == 3
    wrong = experiment.replace("range(3)", "interval(0, 1)")
    [text] = errors(repo({"conf/experiment/many.yaml": wrong}), "experiment=many")
    assert text.startswith("conf/experiment/many.yaml:2: 'seed=interval(0, 1)': an interval has no list of points")


@pytest.mark.parametrize("line", ["params: {seed: []}", "params: {seed: 'range(1, 1)'}", "vary: {seed: []}",
                                  "zip: [{seed: [], optimizer.lr: []}]"])  # fmt: skip
def test_a_declared_sweep_over_no_values_is_no_run_as_configured(repo: Repo, line: str) -> None:
    shape = {"params": "{}", "zip": "[]", "vary": "{}", "points": "[]"}
    name, _, values = line.partition(": ")
    written = "\n".join(f"{key}: {value}" for key, value in {"kind": "grid", **shape, name: values}.items())
    found = errors(repo({"conf/sweep/empty.yaml": written}), "+sweep=empty")
    assert found[0] == "conf/sweep/empty.yaml:1: 'seed' is swept over no values; list some, or drop it"


@pytest.mark.parametrize(
    ("written", "changed", "told"),
    [
        ('"mlp,cnn"', '"mlp,cnm"', "conf/sweep/s.yaml:4: no option 'cnm' in group 'model'; did you mean 'cnn'?"),
        ("optimizer.lr:", "optimizer.lrr:", "conf/sweep/s.yaml:3: unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'?"),
        ("seed: [1, 2]", "sed: [1, 2]", "conf/sweep/s.yaml:6: no config group or key 'sed'; did you mean 'seed'?"),
    ],
)  # fmt: skip
def test_what_a_declared_sweep_names_wrongly_is_told_where_it_does(
    repo: Repo, written: str, changed: str, told: str
) -> None:
    found = errors(repo({"conf/sweep/s.yaml": DECLARED.replace(written, changed)}), "+sweep=s")
    assert len(found) == 1 and found[0].startswith(told)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab12.=:/-", min_size=1), min_size=1))
def test_pieces_join_to_the_text(parts: list[str]) -> None:
    assert list(pieces(",".join(parts))) == parts
    named = {f"k{number}": part for number, part in enumerate(parts)}
    assert overrides_of(label_of(f"+{key}={value}" for key, value in named.items())) == named
    assert list(pieces("a=[1,2],b={x:1,y:'(,'},c='d,e'")) == ["a=[1,2]", "b={x:1,y:'(,'}", "c='d,e'"]
    assert arguments_of("a=[1,2],b={x:1,y:'(,'},c='d,e',f,+g=h") == "a=[1,2] b={x:1,y:'(,'} c='d,e',f +g=h"
