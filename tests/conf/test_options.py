"""Every option of every shipped group composes, type-checks and wires; the catalogue agrees with the specs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mldlc import catalog
from mldlc.catalog import SCALARS
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.groups import GROUPS
from mldlc.compiler.pipeline import compile_plan
from mldlc.config.compose import Request, compose
from mldlc.config.groups import describe_groups
from mldlc.config.project import Project, find_project, shipped_conf
from mldlc.plan.diagnostic import DiagnosticError

SHIPPED = Project(Path("/nonexistent"), (str(shipped_conf()),), (), None, "shipped")
CSV = "age,income\n1,a\n2,b\n"
# What an option cannot know by itself.
GIVEN = {
    ("source", "csv"): ["source.path={csv}", "+source.roles.income=label"],
    ("source", "parquet"): ["source.path={csv}"],
    ("source", "adult_csv"): ["source.path={adult}"],
    ("source", "housing_csv"): ["source.path={housing}"],
    ("source", "python"): ["source.target=own.nets:frame"],
    ("model", "custom"): ["model.target=own.nets:Net"],
    ("split", "column"): ["split.by=part"],
    ("prepare", "char"): ["experiment=shakespeare"],
    ("prepare", "bpe"): ["experiment=shakespeare"],
    ("evaluate", "language"): ["experiment=shakespeare"],
    ("lifecycle", "text"): ["experiment=shakespeare"],
    ("versions", "lakefs"): ["versions.repository=own"],
    ("distill", "logits"): ["teacher=trained"],
    ("distill", "features"): ["teacher=trained"],
    ("distill", "ensemble"): ["teacher=three"],
    ("sweep", "halving"): ["optimizer.lr=interval(1e-4,1e-2)"],
    ("sweep", "optuna"): ["optimizer.lr=interval(1e-4,1e-2)"],
}


def options() -> list[tuple[str, str]]:
    groups = describe_groups(find_project(shipped_conf()))
    return [(group, option) for group, names in groups.items() for option in names if group not in ("", "hydra")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one's own with a code root, so that `target:` options have something to name."""
    root = tmp_path_factory.mktemp("own")
    (root / "mldlc.yaml").write_text("name: own\ncode: [src]\n")
    (root / "src" / "own").mkdir(parents=True)
    (root / "src" / "own" / "nets.py").write_text("class Net:\n    pass\n\n\ndef frame():\n    pass\n")
    (root / "data.csv").write_text(CSV)
    (root / "adult.csv").write_text(", ".join("x" * 15) + "\n")  # the plan counts the columns and reads the header
    housing = yaml.safe_load((shipped_conf() / "source" / "housing_csv.yaml").read_text())["columns"]
    (root / "housing.csv").write_text(",".join(housing) + "\n")
    return root


@pytest.mark.parametrize(("group", "option"), options(), ids=lambda value: str(value))
def test_every_option_compiles(project: Path, group: str, option: str) -> None:
    files = {name: project / f"{name}.csv" for name in ("adult", "housing")} | {"csv": project / "data.csv"}
    given = [item.format(**files) for item in GIVEN.get((group, option), [])]
    prefix = "+" if group == "local" else ""
    plan = compile_plan(CompileRequest(project, (f"{prefix}{group}={option}", *given)))
    assert plan.steps and all(item.severity == "warning" for item in plan.diagnostics)


@pytest.mark.parametrize(("group", "option"), sorted(GIVEN), ids=lambda value: str(value))
def test_an_option_lacks_nothing_but_values_of_the_users(group: str, option: str) -> None:
    """Composed alone: nothing is wrong but that something is missing."""
    try:
        compose(SHIPPED, Request(overrides=(f"{group}={option}",)))
    except DiagnosticError as error:
        assert {item.code for item in error.diagnostics} == {"missing_value"}, str(error)


def test_every_group_of_the_defaults_list_has_options() -> None:
    entries = yaml.safe_load((shipped_conf() / "config.yaml").read_text())["defaults"]
    assert entries[0] == "_self_"
    groups = {name for entry in entries if isinstance(entry, dict) for name in entry}
    found = {group for group, _ in options()}
    assert {name for name in groups if not name.startswith("optional ")} <= found | {"experiment", "focus", "debug"}


def test_every_option_starts_with_a_comment_that_says_what_it_is() -> None:
    silent = [str(path) for path in shipped_conf().rglob("*.yaml") if not path.read_text().lstrip().startswith("# ")]
    assert silent == []


def test_owners_agree_with_the_specs() -> None:
    reads = {kind: set(catalog.load_spec(kind).reads) for kind in catalog.KINDS}
    for group, kind in catalog.OWNERS.items():
        assert group in reads[kind]
    assert {name for names in reads.values() for name in names} <= set(catalog.OWNERS)


def test_every_config_group_has_a_schema() -> None:
    entries = yaml.safe_load((shipped_conf() / "config.yaml").read_text())["defaults"]
    groups = {name for entry in entries if isinstance(entry, dict) for name in entry}
    packages = {"experiment", "focus", "debug", "optional local"}
    assert groups - packages <= {*catalog.OWNERS, *GROUPS, *SCALARS}


@pytest.mark.parametrize("kind", sorted(catalog.KINDS))
def test_specs_name_real_implementations_and_components(kind: str) -> None:
    spec = catalog.load_spec(kind)
    root = Path(catalog.__file__).parent.parent
    modules = [spec.impl.partition(":")[0], *(m for table in spec.components.values() for m in table.values())]
    for module in modules:
        path = root.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module
    assert spec.kind == kind
