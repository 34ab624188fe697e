"""Differential tests: our composition, plain and swept, against Hydra's own, over random lists of overrides."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mldlc.config.compose import Request, compose
from mldlc.config.project import Project, find_project
from mldlc.plan.diagnostic import DiagnosticError
from tests.config.conftest import FILES, write
from tests.thorough import ALL

LIGHT = FILES["conf/config.yaml"] + (
    "ref: ${model}\ntext: '${name}/${.seed}-${optimizer.kind}'\nhome: ${oc.env:HOME}\nwhere: ${home}/x\n"
    "list:\n  - ${seed}\ndeep: {a: {b: {c: 1, up: '${..x}'}, x: 5}}\nflag: true\nalias: ${optimizer}\nnothing: null\n"
)
REPLAYED = (
    LIGHT + "picked: ${oc.select:model.filters,none}\nescaped: 'a\\${b}'\nthrough: ${alias.kind}\nitem: ${list.0}\n"
)
WHOLE = REPLAYED + "chosen: ${hydra:runtime.choices.model}\n"
CONFIGS = {"light": LIGHT, "replayed": REPLAYED, "whole": WHOLE}  # how points of a sweep are made: see compose.py
EXTRA = {
    "conf/callbacks/stop.yaml": "stop: {patience: 3}\n",
    "conf/callbacks/save.yaml": "save:\n  top: ${seed}\n",
}  # fmt: skip
POOL = [
    "model=cnn", "model=mlp", "model=nope", "optimizer=sgd", "experiment=small", "seed=3", "seed='a b'", "seed=null",
    "model.lr=0.5", "model.width=7", "model.filters=1", "optimizer.lr=2", "optimizer.betas=[1,2]", "name=x",
    "name=${seed}", "+new=1", "+new.sub=2", "++seed=9", "+seed=4", "~seed", "~model.kind", "~model", "~nope",
    "+callbacks=stop", "+callbacks=[stop,save]", "callbacks=stop", "model.head={dropout:0.5}", "+model.head={x:1}",
    "model.head=1", "trainer@other=cpu", "+trainer@other=cpu", "other.epochs=2", "trainer.epochs=3", "deep.a.x=6",
    "deep.a.b.c=[1,{x:2}]", "list.0=8", "list=[]", "flag=false", "flag=1.0", "ref=3", "alias=null", "nothing={a:1}",
    "hydra.job.name=z", "seed=1e-3", "text='${model.kind}+${deep.a.b.up}'", "deep.a.b.up=${oc.env:HOME}",
    "model.kind=other", "alias.lr=1", "where=???",
]  # fmt: skip
SWEEPS = [
    "model=mlp,cnn", "optimizer=sgd,adam", "seed=1,2,3", "seed=range(3)", "model.lr=choice(0.1,0.2)",
    "optimizer.lr=1,${seed}", "name=a,b", "optimizer.betas=[1],[2,3]", "model=glob(*)", "seed=sort(3,1,2)",
    "+new=1,2", "+callbacks=stop,save", "flag=true,1", "deep.a.x=1,1.0", "text=a,'${name}'",
    "model.head={dropout:1},{dropout:2}", "list.0=1,2", "alias=null,1",
]  # fmt: skip


def reference(project: Project, overrides: list[str]) -> Any:
    """Hydra's own answer, or the exception's name."""
    try:
        with initialize_config_dir(project.conf[0], version_base="1.3"):
            config = hydra_compose("config", list(overrides), return_hydra_config=True)
            from hydra.core.hydra_config import HydraConfig

            HydraConfig.instance().set_config(config)
            found: Any = OmegaConf.to_container(config, resolve=False)
            return {
                key: OmegaConf.to_container(config[key], resolve=True)
                if OmegaConf.is_config(config[key])
                else config[key]
                for key in found
                if key != "hydra"
            }
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def ours(project: Project, overrides: list[str]) -> Any:
    """Our answer, or the mistakes."""
    try:
        return compose(project, Request(overrides=tuple(overrides))).points[0].config
    except DiagnosticError as error:
        return str(error)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    """The demo repository with a primary config for each way to make the points of a sweep."""
    made = {}
    for name, text in CONFIGS.items():
        found = find_project(write(tmp_path_factory.mktemp(name), {**FILES, **EXTRA, "conf/config.yaml": text}))
        made[name] = Project(found.root, found.conf[:1], (), found.manifest, found.name)
    return made


def same(left: Any, right: Any) -> bool:
    """Equality that tells 1, 1.0 and True apart and minds the order of keys."""
    return repr(left) == repr(right)


def check_run(project: Project, overrides: list[str]) -> None:
    """One run, ours against Hydra's."""
    expected, found = reference(project, overrides), ours(project, overrides)
    if isinstance(expected, str) or "???" in str(expected):
        assert isinstance(found, str), (overrides, expected)
    elif isinstance(found, str):  # what we refuse beyond Hydra: a kind changed under the keys of another option
        assert "changes the kind" in found, (overrides, found)
    else:
        assert same(found, expected), overrides


def hydra_points(project: Project, overrides: list[str]) -> list[list[str]]:
    """The product of the sweeps, written independently of the sweeper: the first key varies slowest."""
    parser = OverridesParser.create()
    axes: dict[str, list[str]] = {}
    for line in overrides:
        override = parser.parse_override(line)
        key = override.get_key_element()
        if "glob(" in line:
            values = sorted(path.stem for path in Path(project.conf[0], override.key_or_group).glob("*.yaml"))
        elif override.is_sweep_override():
            values = list(override.sweep_string_iterator())
        else:
            values = [line.partition("=")[2]]
        axes[key] = [f"{key}={value}" for value in values]
    return [list(point) for point in itertools.product(*axes.values())]


def check_sweep(project: Project, overrides: list[str]) -> None:
    """Every point of a sweep, ours against Hydra's composition of that point."""
    expected = [reference(project, job) for job in hydra_points(project, overrides)]
    try:
        found = compose(project, Request(overrides=tuple(overrides), multirun=True)).points
    except DiagnosticError as error:
        refused = any(isinstance(e, str) or "???" in str(e) for e in expected)
        assert refused or "changes the kind" in str(error), overrides
        return
    assert not any(isinstance(e, str) for e in expected), (overrides, expected)
    assert len(found) == len(expected)
    for point, answer in zip(found, expected, strict=True):
        assert same(point.config, answer), (overrides, point.overrides)


QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture], "derandomize": True}
KINDS = st.sampled_from(sorted(CONFIGS))
LISTS = st.lists(st.sampled_from(POOL), max_size=5)
SWEPT = st.tuples(
    st.lists(st.sampled_from(SWEEPS), min_size=1, max_size=2, unique_by=lambda line: line.split("=")[0]),
    st.lists(st.sampled_from([line for line in POOL if not line.startswith("~")]), max_size=2),
).flatmap(lambda parts: st.permutations([*parts[0], *parts[1]]))


SCALARS = st.one_of(
    st.integers(-3, 99).map(str), st.floats(-1e3, 1e3, width=32).map(repr), st.sampled_from(
        ["true", "false", "null", "x", "'a b'", "'1'", "''", "1e-3", "nan", "'a,b'", "'${seed}'", "${seed}", "${model.kind}",
         "'${name}/${optimizer.lr}'", "${oc.env:HOME}", "'a\\${b}'", "${nope}", "${deep.a.b}", "???", "yes", "1_000"]
    ),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(st.sampled_from(["a", "b", "lr", "kind"]), inner, max_size=2).map(
            lambda items: "{" + ",".join(f"{key}:{value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=4,
)
SET = st.sampled_from([
    "seed", "name", "ref", "text", "home", "list", "list.0", "list.1", "flag", "alias", "alias.lr", "nothing", "deep.a.x",
    "deep.a.b", "deep.a.b.c", "deep.a", "model.lr", "model.kind", "model.width", "model.head", "model.head.x", "optimizer",
    "optimizer.lr", "optimizer.betas", "optimizer.betas.0", "trainer.epochs", "new", "new.sub", "model.new", "hydra.job.name",
])  # fmt: skip
CHOSEN = st.sampled_from([
    "model=cnn", "model=mlp", "model=nope", "optimizer=sgd", "optimizer=adam", "optimizer=null", "experiment=small",
    "+callbacks=stop", "+callbacks=[save,stop]", "callbacks=save", "trainer@other=cpu", "+trainer@other=cpu",
    "+optimizer@second.deep=sgd", "model@_global_=cnn", "~optimizer", "~model=mlp", "~model=cnn", "~experiment", "++model=cnn",
])  # fmt: skip
LINE = st.one_of(
    st.builds("{}{}={}".format, st.sampled_from(["", "", "", "+", "++"]), SET, VALUES),
    SET.map("~{}".format),
    CHOSEN,
)
SWEPT_LINE = st.builds(
    lambda sign, key, values: f"{sign}{key}={','.join(values)}",
    st.sampled_from(["", "", "+", "++"]), SET, st.lists(VALUES, min_size=2, max_size=3),
)  # fmt: skip


@example(kind="light", overrides=["deep.a.x=${deep.a.b}"])  # its `up` is ${..x}: found by the 3,000
@example(kind="light", overrides=["seed=${name}", "model.kind=${nope}"])
@settings(max_examples=3000 if ALL else 12, **QUIET)
@given(kind=KINDS, overrides=st.lists(LINE, max_size=5))
def test_overrides_of_any_form_compose_as_hydra_does(
    projects: dict[str, Project], kind: str, overrides: list[str]
) -> None:
    check_run(projects[kind], overrides)


@settings(max_examples=1500 if ALL else 6, **QUIET)
@given(
    kind=KINDS,
    swept=st.lists(SWEPT_LINE, min_size=1, max_size=2, unique_by=lambda line: line.split("=")[0].lstrip("+")),
    fixed=st.lists(LINE.filter(lambda line: not line.startswith("~")), max_size=2),
    order=st.randoms(use_true_random=False),
)
def test_sweeps_of_any_form_are_what_hydra_composes(
    projects: dict[str, Project], kind: str, swept: list[str], fixed: list[str], order: random.Random
) -> None:
    overrides = [*swept, *fixed]
    order.shuffle(overrides)
    check_sweep(projects[kind], overrides)


@settings(max_examples=12, **QUIET)
@given(kind=KINDS, overrides=LISTS)
def test_a_run_composes_as_hydra_does(projects: dict[str, Project], kind: str, overrides: list[str]) -> None:
    check_run(projects[kind], overrides)


@settings(max_examples=6, **QUIET)
@given(kind=KINDS, overrides=SWEPT)
def test_points_of_a_sweep_are_what_hydra_composes(
    projects: dict[str, Project], kind: str, overrides: list[str]
) -> None:
    check_sweep(projects[kind], overrides)


@pytest.mark.slow
@settings(max_examples=1000 if ALL else 30, **QUIET)
@given(kind=KINDS, overrides=LISTS)
def test_many_runs(projects: dict[str, Project], kind: str, overrides: list[str]) -> None:
    check_run(projects[kind], overrides)


@pytest.mark.slow
@settings(max_examples=400 if ALL else 10, **QUIET)
@given(kind=KINDS, overrides=SWEPT)
def test_many_sweeps(projects: dict[str, Project], kind: str, overrides: list[str]) -> None:
    check_sweep(projects[kind], overrides)


@pytest.mark.parametrize("kind", ["light", *(pytest.param(k, marks=pytest.mark.slow) for k in ("replayed", "whole"))])
@pytest.mark.parametrize("line", SWEEPS)
def test_each_kind_of_sweep(projects: dict[str, Project], kind: str, line: str) -> None:
    check_sweep(projects[kind], [line] if line.startswith("seed") else [line, "seed=5"])


def test_the_order_and_the_names_of_points_are_hydras(projects: dict[str, Project]) -> None:
    found = compose(projects["light"], Request(overrides=("model=mlp,cnn", "seed=1", "name=a,b"), multirun=True)).points
    swept = [point.overrides for point in found]
    assert swept == [("model=mlp", "name=a"), ("model=mlp", "name=b"), ("model=cnn", "name=a"), ("model=cnn", "name=b")]
    assert [point.id for point in found] == [0, 1, 2, 3]


def test_untouched_groups_are_shared_between_points(projects: dict[str, Project]) -> None:
    first, second = compose(projects["light"], Request(overrides=("trainer.epochs=1,2",), multirun=True)).points
    assert (first.config["trainer"]["epochs"], second.config["trainer"]["epochs"]) == (1, 2)
    assert first.config["model"] is second.config["model"]
    assert first.config["deep"] is second.config["deep"]
