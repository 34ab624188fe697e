"""Who wrote a value: chains through defaults lists, packages, interpolations, lists and the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mldlc.config.project import Project, find_project
from mldlc.plan.diagnostic import Location
from tests.config.conftest import FILES, run, write

Repo = Callable[..., Project]


def chain(project: Project, key: str, *overrides: str) -> list[tuple[str, object, str]]:
    """(place, value, source) of every writer of a key."""
    provenance = run(project, *overrides).points[0].provenance
    return [(str(w.where), w.value, w.source) for w in provenance.writers(key)]


def test_experiment_over_option_over_shipped_and_the_command_line_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = write(tmp_path / "wheel", {name.removeprefix("conf/"): text for name, text in FILES.items()})
    monkeypatch.setattr("mldlc.config.project.shipped_conf", lambda: shipped)
    monkeypatch.setattr("mldlc.config.session.shipped_conf", lambda: shipped)
    mine = "# @package _global_\ndefaults:\n  - override /optimizer: mine\noptimizer:\n  lr: 0.5\n"
    own = "defaults:\n  - sgd\n\nlr: 0.2\n"
    files = {"mldlc.yaml": "name: d\n", "conf/experiment/x.yaml": mine, "conf/optimizer/mine.yaml": own}
    project = find_project(write(tmp_path / "repository", files))
    assert chain(project, "optimizer.lr", "experiment=x", "optimizer.lr=0.9") == [
        ("mldlc:conf/optimizer/sgd.yaml:2", 0.1, "file"),
        ("conf/optimizer/mine.yaml:4", 0.2, "file"),
        ("conf/experiment/x.yaml:5", 0.5, "file"),
        ("command line", 0.9, "command line"),
    ]
    assert chain(project, "seed") == [("mldlc:conf/config.yaml:9", 7, "file")]


def test_an_overridden_option_does_not_write(repo: Repo) -> None:
    assert chain(repo(), "model.kind", "experiment=small") == [("conf/model/cnn.yaml:1", "cnn", "file")]
    assert chain(repo(), "model.filters", "experiment=small") == [
        ("conf/model/cnn.yaml:2", 8, "file"),
        ("conf/experiment/small.yaml:7", 2, "file"),
    ]


def test_interpolated_values_are_blamed_on_their_own_line(repo: Repo) -> None:
    project = repo({"conf/trainer/cpu.yaml": "devices: 1\ncopy: ${optimizer}\nepochs: 5\nfolder: out\n"})
    provenance = run(project, "optimizer.lr=2").points[0].provenance
    assert chain(project, "model.lr") == [("conf/model/mlp.yaml:4", "${optimizer.lr}", "interpolation")]
    assert provenance.locate("model.lr") == Location("conf/model/mlp.yaml", 4)
    assert provenance.locate("trainer.copy.betas") == Location("conf/trainer/cpu.yaml", 2)
    assert provenance.raw("trainer.copy.betas") == "${optimizer}"
    assert provenance.raw("name") == "run-${seed}"
    assert provenance.raw("seed") is None
    assert provenance.locate("optimizer.lr") == Location("command line")


def test_lists_and_their_items(repo: Repo) -> None:
    shorter = "# @package _global_\nmodel:\n  layers:\n    - 8\n    - {a: 1}\n"
    project = repo({"conf/experiment/short.yaml": shorter})
    assert [w[0] for w in chain(project, "model.layers", "experiment=short")] == [
        "conf/model/mlp.yaml:3",
        "conf/experiment/short.yaml:3",
    ]
    assert chain(project, "model.layers.1.a", "experiment=short")[-1] == ("conf/experiment/short.yaml:5", 1, "file")
    assert chain(project, "model.layers.0", "model.layers=[4]")[-1] == ("command line", 4, "command line")
    assert chain(project, "model.layers.1", "model.layers=[4]") == []


def test_a_plain_value_ends_what_was_under_its_key(repo: Repo) -> None:
    assert chain(repo(), "model.head.dropout", "model.head=3") == []
    assert chain(repo(), "model.head", "~model.head") == []
    again = chain(repo(), "model.head.dropout", "~model.head", "+model.head.dropout=0.3")
    assert again == [("command line", 0.3, "command line")]


def test_the_nearest_parent_is_blamed_for_an_unknown_key(repo: Repo) -> None:
    provenance = run(repo(), "experiment=small").points[0].provenance
    assert provenance.locate("optimizer.learning_rate") == Location("conf/experiment/small.yaml", 8)
    assert provenance.locate("nothing.at.all") is None
    assert provenance.writers("defaults") == []


def test_keys_are_those_of_the_config(repo: Repo) -> None:
    keys = run(repo()).points[0].provenance.keys()
    assert keys[:5] == ["seed", "name", "model", "model.kind", "model.width"]
    assert "model.head.dropout" in keys
    assert not any(key.startswith(("hydra", "defaults")) for key in keys)


def test_packages_put_a_file_where_they_say(repo: Repo) -> None:
    project = repo({"conf/optimizer/deep.yaml": "# @package model.head\nnoise: 1\n"})
    assert chain(project, "model.head.noise", "optimizer=deep", "model.lr=1") == [
        ("conf/optimizer/deep.yaml:2", 1, "file")
    ]
    assert chain(project, "second.epochs", "+trainer@second=cpu") == [("conf/trainer/cpu.yaml:2", 5, "file")]


def test_what_differs_between_moments_is_followed_through_references(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLDLC_X", "1")
    project = repo({"conf/trainer/cpu.yaml": "at: ${now:%Y}\nuser: ${oc.env:MLDLC_X}\nvia: a-${.at}\nplain: ${seed}\n"})
    composition = run(project)
    assert composition.points[0].provenance.impure() == {
        "trainer.at": "${now:%Y}",
        "trainer.user": "${oc.env:MLDLC_X}",
        "trainer.via": "${now:%Y}",
    }
    assert composition.inputs == {"MLDLC_X": "1"}
    assert not composition.cacheable


def test_points_of_a_sweep_have_their_own_history(repo: Repo) -> None:
    first, second = run(repo(), "model=cnn", "model.filters=1,2", multirun=True).points
    assert [w.value for w in first.provenance.writers("model.filters")] == [8, 1]
    assert [w.value for w in second.provenance.writers("model.filters")] == [8, 2]


def test_provenance_reads_nothing_until_asked(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    import mldlc.config.provenance as module

    asked: list[object] = []
    real = module._texts_of
    monkeypatch.setattr(module, "_texts_of", lambda *args: asked.append(args) or real(*args))
    provenance = run(repo()).points[0].provenance
    assert asked == []
    assert provenance.locate("seed") == Location("conf/config.yaml", 9)
    assert len(asked) == 1


def test_places_do_not_depend_on_the_working_folder(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = repo()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    here = run(project, "experiment=small")
    monkeypatch.chdir(elsewhere)
    there = run(find_project(project.root / "conf" / "model"), "experiment=small")
    assert there.points[0].config == here.points[0].config
    assert there.files == here.files
    assert there.points[0].provenance.locate("model.filters") == Location("conf/experiment/small.yaml", 7)
    assert os.listdir(elsewhere) == []  # noqa: PTH208


def test_a_missing_value_leaves_what_an_earlier_file_wrote(repo: Repo) -> None:
    root = FILES["conf/config.yaml"] + "optimizer:\n  lr: 0.7\n"
    project = repo({"conf/config.yaml": root, "conf/optimizer/adam.yaml": "kind: adam\nlr: ???\nbetas: ???\n"})
    assert chain(project, "optimizer.lr", "optimizer.betas=[1]")[-1][:2] == ("conf/config.yaml:12", 0.7)
    assert run(project, "optimizer.betas=[1]").points[0].config["optimizer"]["lr"] == 0.7
