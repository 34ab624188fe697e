"""Finding a project, its search path and its mistakes; what a composition depended on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mldlc.config.groups import describe_groups
from mldlc.config.project import Project, find_project, plugin_conf, shipped_conf
from mldlc.config.tree import fingerprint
from mldlc.plan.diagnostic import DiagnosticError
from tests.config.conftest import FILES, run, write

Repo = Callable[..., Project]


def test_the_nearest_manifest_upward_is_the_project(repo: Repo) -> None:
    project = repo()
    below = find_project(project.root / "conf" / "model")
    assert below == project
    assert (project.name, project.manifest) == ("demo", project.root / "mldlc.yaml")


def test_without_a_manifest_only_the_shipped_configs_are_there(tmp_path: Path) -> None:
    project = find_project(tmp_path)
    assert project.manifest is None
    assert project.root == tmp_path
    assert project.conf[-1] == str(shipped_conf())
    assert project.code == ()


def test_every_mistake_of_a_manifest_has_its_line(tmp_path: Path) -> None:
    text = "nmae: x\nconf: [conf, gone]\nextends: {a: 1}\ncode: nowhere\n"
    write(tmp_path, {"mldlc.yaml": text, "conf/config.yaml": "a: 1\n"})
    with pytest.raises(DiagnosticError) as caught:
        find_project(tmp_path)
    assert [str(item) for item in caught.value.diagnostics] == [
        "mldlc.yaml:1: unknown key 'nmae'; did you mean 'name'?",
        "mldlc.yaml:2: conf: no folder 'gone'",
        "mldlc.yaml:3: extends: expected a text or a list of texts",
        "mldlc.yaml:4: code: no folder 'nowhere'",
    ]


def test_a_broken_manifest_has_its_line(tmp_path: Path) -> None:
    write(tmp_path, {"mldlc.yaml": "name: x\nconf: [a\n"})
    with pytest.raises(DiagnosticError, match=r"^mldlc\.yaml:3: broken YAML: expected ',' or ']'"):
        find_project(tmp_path)


def test_extending_another_repository_takes_its_configs_but_not_its_code(tmp_path: Path) -> None:
    write(tmp_path / "base", {"mldlc.yaml": "conf: [settings]\ncode: [src]\nextends: ../top\n", "src/a.py": ""})
    write(tmp_path / "base", {"settings/model/base.yaml": "kind: base\n"})
    write(tmp_path / "top", {"model/top.yaml": "kind: top\n"})
    files = {**FILES, "mldlc.yaml": "conf: conf\nextends: [../base]\ncode: [lib]\n", "lib/b.py": ""}
    project = find_project(write(tmp_path / "mine", files))
    names = [Path(conf).relative_to(tmp_path).as_posix() for conf in project.conf if conf.startswith(str(tmp_path))]
    assert names == ["mine/conf", "base/settings", "top"]
    assert project.code == (tmp_path / "mine" / "lib",)
    assert run(project, "model=top").points[0].config["model"] == {"kind": "top"}
    write(tmp_path / "top", {"mldlc.yaml": "extends: [../base]\nconf: ['.']\n"})
    with pytest.raises(DiagnosticError, match="extends this repository again"):
        find_project(tmp_path / "mine")


def test_installed_packages_add_configs_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = write(
        tmp_path / "site",
        {
            "demo_plugin/__init__.py": "raise RuntimeError('imported')\n",
            "demo_plugin/conf/model/plugged.yaml": "kind: plugged\n",
            "demo_plugin-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: demo-plugin\nVersion: 1.0\n",
            "demo_plugin-1.0.dist-info/entry_points.txt": "[mldlc.conf]\ndemo = demo_plugin.conf\n",
        },
    )
    monkeypatch.syspath_prepend(str(site))
    plugin_conf.cache_clear()
    try:
        project = find_project(write(tmp_path / "mine", FILES))
    finally:
        plugin_conf.cache_clear()
    assert [Path(conf) for conf in project.conf] == [
        tmp_path / "mine" / "conf",
        site / "demo_plugin" / "conf",
        shipped_conf(),
    ]
    assert run(project, "model=plugged").points[0].config["model"] == {"kind": "plugged"}


def test_the_command_lines_folder_comes_first(repo: Repo, tmp_path: Path) -> None:
    write(tmp_path / "extra", {"model/mlp.yaml": "kind: other\n"})
    assert run(repo(), config_dir=str(tmp_path / "extra")).points[0].config["model"] == {"kind": "other"}


def test_a_composition_names_all_that_it_depends_on(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = repo({"conf/trainer/cpu.yaml": "home: ${oc.env:MLDLC_A,x}\nother: ${oc.env:MLDLC_B}\n"})
    monkeypatch.setenv("MLDLC_B", "here")
    monkeypatch.delenv("MLDLC_A", raising=False)
    composition = run(project)
    assert composition.inputs == {"MLDLC_A": None, "MLDLC_B": "here"}
    assert composition.cacheable
    assert all(fingerprint(path) == digest for path, digest in composition.files.items())
    read = {Path(path).relative_to(project.root).as_posix() for path in composition.files}
    expected = {
        "mldlc.yaml",
        *(f"conf/{name}.yaml" for name in ("config", "model/mlp", "optimizer/adam", "trainer/cpu")),
    }
    assert read == expected
    assert str(project.root / "conf/local/default.yaml") in composition.missing
    write(
        project.root, {"conf/local/default.yaml": "# @package _global_\nseed: 8\n", "conf/trainer/cpu.yaml": "a: 1\n"}
    )
    assert [Path(path).name for path, digest in composition.files.items() if fingerprint(path) != digest] == [
        "cpu.yaml"
    ]
    assert run(project).points[0].config["seed"] == 8


def test_a_globbed_folder_is_a_dependency(repo: Repo) -> None:
    project = repo()
    composition = run(project, "model=glob(*)", multirun=True)
    assert [point.overrides for point in composition.points] == [("model=cnn",), ("model=mlp",)]
    folder = f"{project.root}/conf/model/"
    assert fingerprint(folder) == composition.files[folder]
    write(project.root, {"conf/model/new.yaml": "a: 1\n"})
    assert fingerprint(folder) != composition.files[folder]


@pytest.mark.parametrize(("line", "cacheable"), [("+x=${now:%H}", False), ("+x=${hydra:job.name}", False),
                                                 ("+x=${seed}", True)])  # fmt: skip
def test_what_more_than_files_decides_is_not_cacheable(repo: Repo, line: str, cacheable: bool) -> None:
    assert run(repo(), line).cacheable is cacheable


def test_groups_and_their_options(repo: Repo) -> None:
    assert describe_groups(repo({"conf/model/deep/x.yaml": "a: 1\n"})) == {
        "experiment": ["small"],
        "model": ["cnn", "mlp"],
        "model/deep": ["x"],
        "optimizer": ["adam", "sgd"],
        "trainer": ["cpu"],
    }


def test_sweeps_that_a_config_asks_for(repo: Repo) -> None:
    config = FILES["conf/config.yaml"] + "hydra:\n  sweeper:\n    params:\n      seed: 1,2\n"
    composition = run(repo({"conf/config.yaml": config}), "name=a,b", multirun=True)
    expected = [("seed=1", "name=a"), ("seed=1", "name=b"), ("seed=2", "name=a"), ("seed=2", "name=b")]
    assert [point.overrides for point in composition.points] == expected
