"""The text of every config mistake: its place, what stood there, and what would do. All of a call's mistakes at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mldlc.config.compose import Request, compose
from mldlc.config.project import Project
from mldlc.plan.diagnostic import DiagnosticError
from tests.config.conftest import FILES, errors, run

Repo = Callable[..., Project]

COMMAND_LINE = [
    (["model=cn"], "no option 'cn' in group 'model'; did you mean 'cnn'? (options: cnn, mlp; asked for by 'model=cn')"),
    (["model=sub/cnn"],
     "no option 'cnn' in group 'model/sub'; there is no such group (asked for by 'model=sub/cnn')"),
    (["modle=cnn"], "no config group or key 'modle'; did you mean 'model'? (to add a new key: +modle=cnn)"),
    (["model.wdth=3"], "unknown key 'model.wdth'; did you mean 'model.width'? (to add a new key: +model.wdth=3)"),
    (["+model.width=2"], "'model.width' exists already, '+' only adds new keys; to change it: model.width=2"),
    (["~model.nope"], "unknown key 'model.nope'; did you mean 'model.kind'?"),
    (["~model=cnn"], "'~model=cnn' deletes nothing: the defaults list has no such choice"),
    (["+model=cnn"], "'+model=cnn' adds a second 'model': the defaults list has one already; to change it: model=cnn"),
    (["model=3"], "group 'model' wants the name of an option, found 3; options: cnn, mlp"),
    (["experiment=null"], "group 'experiment' wants the name of an option, found None; options: small; to leave it out: "
     "~experiment"),
    (["debug=fast"], "'debug=fast': group 'debug' is not in the defaults list; to add it: +debug=fast"),
    (["model.name=cnn"], "unknown key 'model.name'; to choose the option 'cnn': model=cnn"),
    (["model.kind=cnn"], "'model.kind=cnn' changes the kind but keeps the other keys of 'mlp'; "
     "to choose the option: model=cnn"),
    (["optimizer={lrr: 2}"], "'optimizer={lrr: 2}' adds 'optimizer.lrr'; did you mean 'optimizer.lr'? "
     "(to add: ++optimizer={lrr: 2})"),
    (["model={head: {x: 1}}"], "'model={head: {x: 1}}' adds 'model.head.x'; to add: ++model={head: {x: 1}}"),
    (["model.layers.7=3"], "'model.layers.7=3' cannot be applied: list index out of range"),
    (["seed=???"], "'seed' has no value yet (???); give it one: seed=..."),
    (["seed=${sed}"], "'seed': ${sed} names no key ('sed'); did you mean 'seed'?"),
    (["model=mlp,cnn"], "'model=mlp,cnn' gives several values to one run; add -m to sweep; for a list: model=[mlp,cnn]; "
     "for a text, quote it"),
    (["model.lr"], "'model.lr' is not an override; write key=value, +key=value to add, ~key to delete"),
    (["a b=c"], "'a b=c' cannot be read: unexpected ' ' at character 2; quote the value: \"a b='c'\""),
    (["seed={a"], "'seed={a' cannot be read: no viable alternative at input '{a'; quote the value if it is a text: "
     "\"seed='{a'\""),
    (["seed=1,"], "'seed=1,' cannot be read: it ends too early; quote the value if it is a text: \"seed='1,'\""),
    (["hydra/launcher=joblib"], "'hydra/launcher=joblib' has no effect: mldlc runs and sweeps by itself; "
     "choose where steps run with executor=local"),
    (["hydra/sweeper=optuna"], "'hydra/sweeper=optuna' has no effect: mldlc runs and sweeps by itself; "
     "choose a search with sweep=, or sweep with -m"),
    (["hydra.run.dir=x"], "'hydra.run.dir=x' has no effect: runs have folders of their own; choose where with "
     "paths.outputs="),
    (["hydra.sweeper.params={seed: '1,2'}"], "'hydra.sweeper.params={seed: '1,2'}' cannot be applied: "
     "'NoneType' object has no attribute 'get'; write the sweep itself: -m key=a,b; hydra.sweeper.params belongs in a file"),
    (["hydra.searchpath=[nope]"], "hydra.searchpath: no folder 'nope'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "text"), COMMAND_LINE, ids=lambda value: value[0] if isinstance(value, list) else ""
)
def test_an_override_is_blamed_on_the_command_line(repo: Repo, overrides: list[str], text: str) -> None:
    assert errors(repo({"conf/debug/fast.yaml": "a: 1\n"}), *overrides) == [f"command line: {text}"]


CPU = "conf/trainer/cpu.yaml"
IN_FILES = [
    ({"conf/model/mlp.yaml": "kind: mlp\nlayers: [1, 2\nwidth: 3\n"},
     "conf/model/mlp.yaml:3: broken YAML: expected ',' or ']' here (while parsing a flow sequence that began on line 2)"),
    ({CPU: "a: 1\nb: 2\na: 3\n"}, f"{CPU}:3: broken YAML: duplicate key 'a' (first on line 1)"),
    ({CPU: "- a\n"}, f"{CPU}:1: expected a mapping of keys, found a list"),
    ({CPU: "a: 1\nb: ${c.d\n"}, f"{CPU}:2: broken interpolation in 'b': no viable alternative at input '${{c.d'"),
    ({CPU: "a: 1\nb: ${optimzer.lr}\n"},
     f"{CPU}:2: 'trainer.b': ${{optimzer.lr}} names no key ('optimzer.lr'); did you mean 'optimizer.lr'?"),
    ({CPU: "b: ${oc.envv:X}\n"}, f"{CPU}:1: 'trainer.b': ${{oc.envv:X}} names no resolver ('oc.envv'); did you mean 'oc.env'?"),
    ({CPU: "b: ${oc.env:MLDLC_NO_SUCH}\n"},
     f"{CPU}:1: 'trainer.b': ${{oc.env:MLDLC_NO_SUCH}} needs the environment variable MLDLC_NO_SUCH, which is not set; "
     "set it, or give a default: ${oc.env:MLDLC_NO_SUCH,default}"),
    ({CPU: "a: ${trainer.b}\nb: x\nc: ${.c}\n"}, f"{CPU}:3: 'trainer.c': ${{.c}} refers to itself"),
    ({CPU: "_target_: my.nets.Net\nwidth: 3\n"},
     f"{CPU}:1: 'trainer._target_' is not followed: a config is data and names code by 'target'; "
     "write 'target: my.nets:Net' with 'args: {width: 3}' instead"),
    ({"conf/config.yaml": "defaults:\n  - model: mlp\n  - model: cnn\n"},
     "conf/config.yaml:3: group 'model' is chosen twice; write 'override /model: ...' to change the choice of another config"),
    ({"conf/config.yaml": "defaults:\n  - _self_\n  - override model: mlp\n"},
     "conf/config.yaml:3: 'override model' matches nothing: the defaults list does not choose 'model' before; "
     "drop the word 'override'"),
    ({"conf/config.yaml": "defaults:\n  - model: ???\n"},
     "conf/config.yaml:2: group 'model' has no option yet (???); choose one: model=cnn|mlp"),
    ({"conf/config.yaml": "defaults:\n  - {model: mlp, b: c}\n"},
     "conf/config.yaml:1: Too many keys in default item {'model': 'mlp', 'b': 'c'}"),
    ({"conf/config.yaml": "defaults:\n  - _self_\n  - modle: mlp\n"},
     "conf/config.yaml:3: no option 'mlp' in group 'modle'; there is no such group (asked for by 'config')"),
    ({"conf/config.yaml": "a: 1\nhydra:\n  searchpath:\n    - git://v1:conf@gone\n"},
     "conf/config.yaml:3: no git repository at {root}/gone"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "text"), IN_FILES, ids=range(len(IN_FILES)))
def test_a_mistake_in_a_file_has_its_line(repo: Repo, files: dict[str, str], text: str) -> None:
    project = repo(files)
    assert errors(project) == [text.replace("{root}", str(project.root))]


def test_all_of_a_circle_are_told_and_what_hangs_on_another_mistake_is_not(repo: Repo) -> None:
    told = errors(repo({CPU: "a: ${.b}\nb: ${.a}\nc: ${nope}\nd: ${.c}\n"}))
    assert told == [
        f"{CPU}:1: 'trainer.a': ${{.b}} refers to itself",
        f"{CPU}:2: 'trainer.b': ${{.a}} refers to itself",
        f"{CPU}:3: 'trainer.c': ${{nope}} names no key ('nope')",
    ]


def test_all_mistakes_come_at_once(repo: Repo) -> None:
    bad = "# @package _global_\ndefaults:\n  - override /model: cn\n  - override /optimizer: adm\n"
    project = repo({"conf/experiment/bad.yaml": bad, CPU: "epochs: [1\n"})
    found = errors(project, "experiment=bad", "sed=2", "model.width=9", "hydra/launcher=ray", "x y=1")
    assert [text.split(";")[0] for text in found] == [
        "command line: 'hydra/launcher=ray' has no effect: mldlc runs and sweeps by itself",
        "command line: 'x y=1' cannot be read: unexpected ' ' at character 2",
        "command line: no config group or key 'sed'",
        "conf/experiment/bad.yaml:3: no option 'cn' in group 'model'",
        "conf/experiment/bad.yaml:4: no option 'adm' in group 'optimizer'",
        "conf/trainer/cpu.yaml:2: broken YAML: expected ',' or ']' here (while parsing a flow sequence that began on line 1)",
    ]


def test_every_missing_value_is_told(repo: Repo) -> None:
    project = repo({CPU: "a: ???\nb:\n  - 1\n  - ???\nc: ${trainer.a}\n"})
    assert [text.split(" has")[0] for text in errors(project)] == [
        "conf/trainer/cpu.yaml:1: 'trainer.a'",
        "conf/trainer/cpu.yaml:4: 'trainer.b.1'",
    ]
    assert run(project, "trainer.a=1", "trainer.b=[1]").points[0].config["trainer"]["c"] == 1


def test_a_sweep_tells_the_mistakes_of_all_points_once(repo: Repo) -> None:
    found = errors(repo(), "model=mlp,cn,nn", "seed=1,2", "seed2=1", multirun=True)
    assert [text.split(";")[0] for text in found] == [
        "command line: no config group or key 'seed2'",
        "command line: no option 'cn' in group 'model'",
        "command line: no option 'nn' in group 'model'",
    ] or sorted(found) == sorted(set(found))
    assert errors(repo(), "seed=range(0)", multirun=True) == [
        "command line: the sweep has no points; one of its ranges or globs is empty"
    ]
    interval = errors(repo(), "seed=interval(0,1)", multirun=True)
    assert interval[0].startswith(
        "command line: 'seed=interval(0,1)': an interval has no list of points; a search can try it"
    )


def test_an_unknown_primary_config(repo: Repo) -> None:
    expected = ["command line: no config 'confg' on the config search path; did you mean 'config'?"]
    assert errors(repo(), config_name="confg") == expected
    assert errors(repo(), config_name="xyz") == [
        "command line: no config 'xyz' on the config search path; there are: config"
    ]
    assert errors(repo(), config_dir="nope") == ["command line: --config-dir: no folder 'nope'"]


def test_a_group_that_was_not_found_says_what_is_allowed(repo: Repo) -> None:
    with pytest.raises(DiagnosticError) as caught:
        run(repo(), "optimizer=adm")
    [found] = caught.value.diagnostics
    assert (found.code, found.key, found.found, found.allowed) == (
        "unknown_option",
        "optimizer",
        "adm",
        ("adam", "sgd"),
    )


def test_files_from_elsewhere_are_named(repo: Repo, tmp_path: Path) -> None:
    broken = tmp_path / "extra"
    broken.mkdir()
    (broken / "config.yaml").write_bytes(b"a: 1\nb: \xff\n")
    found = errors(repo(), config_dir=str(broken))
    assert found == ["../extra/config.yaml:2: not UTF-8 text (byte 0xff)"]


def test_neither_success_nor_failure_imports_anything_heavy(repo: Repo) -> None:
    project = repo()
    program = (
        "import sys\nfrom pathlib import Path\nimport mldlc.config.compose as c\nimport mldlc.config.project as p\n"
        "assert not {'hydra', 'omegaconf'} & set(sys.modules)\n"
        f"project = p.find_project(Path({str(project.root)!r}))\n"
        "c.compose(project, c.Request())\n"
        "try:\n    c.compose(project, c.Request(overrides=('model=cn', 'x.y=1', 'a b')))\n"
        "except Exception as error:\n    assert len(error.diagnostics) == 3, error\n"
        "heavy = {'torch', 'lightning', 'polars', 'numpy', 'whylogs', 'pydantic', 'pandas', 'mlflow', 'lakefs_client'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_failed_call_leaves_behind_does_not_reach_the_next(repo: Repo) -> None:
    project = repo()
    errors(project, "model=cn")
    assert compose(project, Request(overrides=("model=cnn",))).points[0].config["model"]["kind"] == "cnn"
    assert FILES["conf/model/cnn.yaml"] == (project.root / "conf/model/cnn.yaml").read_text()


def test_wrong_overrides_do_not_hide_what_files_lack(repo: Repo) -> None:
    found = errors(repo({CPU: "a: ???\nb: ${nope}\nepochs: 1\n"}), "trainer.epoch=2", "+seed=1")
    assert [text.split(";")[0] for text in found] == [
        "command line: unknown key 'trainer.epoch'",
        "command line: 'seed' exists already, '+' only adds new keys",
        "conf/trainer/cpu.yaml:1: 'trainer.a' has no value yet (???)",
        "conf/trainer/cpu.yaml:2: 'trainer.b': ${nope} names no key ('nope')",
    ]
