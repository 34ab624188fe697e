"""Tab completion: what it offers, that it is never stale, that it is light when warm, and that real shells take it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.cli import init
from mldlc.cli.completion.answer import answer
from mldlc.cli.completion.line import parse
from tests.cli.terminal import typed
from tests.projects import Repository, repository
from tests.thorough import ALL

BASH_BREAKS = " \t\n\"'><=;|&(:"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion") / "demo"
    init.write(folder, "demo", "demo")
    (folder / "data").mkdir()
    (folder / "data/churn.csv").write_text("a\n")
    (folder / "plan.json").write_text("{}")
    for name in ("20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb"):
        (folder / "outputs/runs" / name).mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def _in_demo(demo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(demo)
    monkeypatch.delenv("MLDLC_OUTPUTS", raising=False)
    yield


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mldlc pl", ["plan"]),
        ("mldlc --v", ["--version"]),
        ("mldlc plan experiment=in", ["experiment=income"]),
        ("mldlc plan model=ga", ["model=gated"]),
        ("mldlc plan model@other=ga", ["model@other=gated"]),
        ("mldlc plan -m model=linear,ga", ["model=linear,gated"]),
        ("mldlc plan 'model=ga", ["model=gated"]),
        ("mldlc plan optim", ["optimizer=", "optimizer."]),
        ("mldlc plan trainer.max_ep", ["trainer.max_epochs="]),
        ("mldlc plan experiment=income model.args.", ["model.args.width=", "model.args.depth=", "model.args.dropout="]),
        ("mldlc plan -m model=gated,mlp model.args.w", ["model.args.width="]),
        ("mldlc plan experiment=nope model.drop", ["model.dropout="]),
        ("mldlc plan prepare.categorical.encode=", [f"prepare.categorical.encode={v}" for v in ("codes", "one_hot")]),
        ("mldlc run trainer.fast_dev_run=t", ["trainer.fast_dev_run=true"]),
        ("mldlc run experiment=income optimizer.lr=", ["optimizer.lr=0.003"]),
        ("mldlc run source=csv source.path=data/", ["source.path=data/churn.csv"]),
        ("mldlc run ~callb", ["~callbacks", "~callbacks."]),
        ("mldlc run +paths.", []),
        ("mldlc run ++paths.", ["++paths.outputs="]),
        ("mldlc run pl", ["plan.json"]),
        ("mldlc run --un", ["--until"]),
        ("mldlc run --until pre", ["prepare"]),
        ("mldlc run --until prepare exp", ["experiment=", "expect=", "expect."]),
        ("mldlc run --force=eva", ["--force=evaluate"]),
        ("mldlc run --config-name ", ["config"]),
        ("mldlc run --config-dir da", ["data/"]),
        ("mldlc plan -o pl", ["plan.json"]),
        ("mldlc why tr", ["train"]),
        ("mldlc why train model=ga", ["model=gated"]),
        ("mldlc explain trainer.max_e", ["trainer.max_epochs"]),
        ("mldlc show ", ["latest", "20260102T000000Z-bbbbbb", "20260101T000000Z-aaaaaa"]),
        ("mldlc diff latest 2026", ["20260102T000000Z-bbbbbb", "20260101T000000Z-aaaaaa"]),
        ("mldlc diff pl", ["plan.json"]),
        ("mldlc ls ki", ["kinds"]),
        ("mldlc data ver", ["verify"]),
        ("mldlc data put da", ["data/"]),
        ("mldlc data merge x --strategy s", ["source-wins"]),
        ("mldlc completion f", ["fish"]),
        ("mldlc nope ", []),
    ],
)
def test_what_it_offers(line: str, words: list[str], demo: Path) -> None:
    assert sorted(answer("zsh", line, demo)) == sorted(words)


def test_a_folder_below_knows_the_same_project(demo: Path) -> None:
    assert answer("zsh", "mldlc plan model=ga", demo / "src") == ["model=gated"]
    assert answer("zsh", "mldlc show late", demo / "src") == ["latest"]


def test_each_shell_gets_its_own_form(demo: Path) -> None:
    line = "mldlc plan experiment=inc"
    assert answer("bash", line, demo, BASH_BREAKS) == ["income"]
    assert answer("bash", line, demo, "") == ["experiment=income"]
    assert answer("bash", "mldlc plan 'experiment=inc", demo, BASH_BREAKS) == ["experiment=income"]
    assert answer("fish", "mldlc reje", demo) == ["reject\tanswer a waiting gate: no"]
    (demo / "a (1)").mkdir(exist_ok=True)
    assert answer("bash", "mldlc data put a", demo, BASH_BREAKS) == ["a\\ \\(1\\)/"]
    assert answer("bash", "mldlc data put 'a (", demo, BASH_BREAKS) == ["a (1)/"]


@given(st.text(st.sampled_from("ab =:'\"\\"), max_size=12))
def test_a_line_is_split_as_a_shell_splits_it(text: str) -> None:
    try:
        expected = shlex.split(text)
    except ValueError:  # a quote or an escape that is still open
        return
    assert list(parse(f"{text} ").words) == expected
    assert parse(text, BASH_BREAKS).own <= len(parse(text).current)


LINES = (
    "mldlc plan ", "mldlc plan tally=", "mldlc plan tally.", "mldlc plan tally=big tally.", "mldlc plan new",
    "mldlc plan late.", "mldlc why ", "mldlc plan noop.value=", "mldlc plan second=", "mldlc plan second.v",
)  # fmt: skip
EDITS = {
    "an option": ("conf/tally/big.yaml", "size: 9\nlabel: x\nonly_{n}: 1\n"),
    "a key": ("conf/tally/default.yaml", "size: 3\nlabel: x\nkey{n}: 1\n"),
    "a group": ("conf/new{n}/default.yaml", "a: 1\n"),
    "a stage": ("conf/lifecycle/chain.yaml", "stages:\n  a: {{kind: scope.noop}}\n  b{n}: {{kind: scope.noop}}\n"),
    "a default": ("conf/second/default.yaml", "value: {n}\n"),
    "broken": ("conf/second/default.yaml", "value: [{n}\n"),
    "extended": ("team/mldlc.yaml", "conf: c{n}\n"),
    "manifest": ("mldlc.yaml", "name: chain\nconf: conf\nextends: [team]\n# {n}\n"),
    "local": ("conf/local/default.yaml", "# @package _global_\nlate: {{value{n}: 1}}\n"),
}


def told(root: Path, outputs: Path) -> list[list[str]]:
    """All answers, with the cache under `outputs`."""
    os.environ["MLDLC_OUTPUTS"] = str(outputs)
    try:
        return [answer("zsh", line, root) for line in LINES]
    finally:
        del os.environ["MLDLC_OUTPUTS"]


@settings(max_examples=20 if ALL else 3, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(EDITS)), st.integers(1, 3), st.booleans()), min_size=1, max_size=4))
def test_no_edit_goes_unseen(edits: list[tuple[str, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "repo")
        team = {f"team/c{n}/second/team{n}.yaml": "value: 1\n" for n in (1, 2, 3)}
        repo = repository(root, {"team/mldlc.yaml": "conf: c1\n", **team})
        told(root, root / "outputs")
        for number, (edit, n, gone) in enumerate(edits):
            name, text = EDITS[edit]
            path = root / name.format(n=n)
            if gone and path.exists() and "mldlc.yaml" not in name:
                path.unlink()
            else:
                repo.write(name.format(n=n), text.format(n=n))
            assert told(root, root / "outputs") == told(root, Path(folder, f"fresh{number}")), edit


def test_a_new_option_a_new_key_and_a_new_value_show_at_once(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    assert answer("zsh", "mldlc plan tally=b", tmp_path) == []
    repo.write("conf/tally/big.yaml", "size: 9\nextra_key: 1\n")
    assert answer("zsh", "mldlc plan tally=b", tmp_path) == ["tally=big"]
    assert answer("zsh", "mldlc plan tally=big tally.e", tmp_path) == ["tally.extra_key="]
    repo.write("conf/tally/big.yaml", "size: 9\nextra_word: 1\n")
    assert answer("zsh", "mldlc plan tally=big tally.e", tmp_path) == ["tally.extra_word="]
    assert answer("zsh", "mldlc plan tally=big tally.size=", tmp_path) == ["tally.size=9"]


def test_a_warm_answer_imports_neither_hydra_nor_pydantic(demo: Path) -> None:
    program = (
        "import sys\nfrom mldlc.cli.main import main\n"
        "code = main(['completion', '--answer', 'zsh', 'mldlc plan experiment=income trainer.max_ep'])\n"
        "print(code, *[n for n in ('hydra', 'omegaconf', 'pydantic', 'yaml', 'argparse') if n in sys.modules])\n"
    )
    outs = [
        subprocess.run([sys.executable, "-c", program], cwd=demo, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert outs[1].splitlines() == ["trainer.max_epochs=", "0"]


def test_a_tab_writes_nothing_where_there_is_no_project(tmp_path: Path) -> None:
    assert answer("zsh", "mldlc plan trainer.max_e", tmp_path) == ["trainer.max_epochs="]
    assert list(tmp_path.iterdir()) == []


def test_a_broken_project_still_has_its_groups(tmp_path: Path) -> None:
    repo = repository(tmp_path, {"conf/second/default.yaml": "value: [\n"})
    assert answer("zsh", "mldlc plan second=", tmp_path) == ["second=default"]
    assert answer("zsh", "mldlc plan second.", tmp_path) == []
    repo.write("mldlc.yaml", "conf: [nope\n")
    done = repo.mldlc("completion", "--answer", "zsh", "mldlc plan second.")
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            "mldlc pl\texperi\tinc\ttrainer.max_e\t7 model.args.w\t8",
            ["plan", "experiment=income", "trainer.max_epochs=7", "model.args.width=8"],
        ),
        ("mldlc run --until prep\tsource=csv source.pa\tdat\tch\t", ["run", "--until", "prepare", "source=csv", "source.path=data/churn.csv"]),
        ("mldlc plan 'experiment=inc\t", ["plan", "experiment=income"]),
    ],
)  # fmt: skip
def test_a_real_shell_completes(shell: str, keys: str, words: list[str], demo: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    assert typed(shell, keys, demo) == words


def test_fish_completes(demo: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed here")
    tools = demo / ".fish"
    tools.mkdir(exist_ok=True)
    (tools / "mldlc").write_text(f'#!/bin/sh\nexec {sys.executable} -m mldlc "$@"\n')
    (tools / "mldlc").chmod(0o755)
    program = (
        "mldlc completion fish | source; complete -C 'mldlc plan experiment=inc'; complete -C 'mldlc run --until pre'"
    )
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tools)}
    done = subprocess.run([fish, "-c", program], cwd=demo, env=env, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["experiment=income", "prepare"], done.stderr


def test_hydras_own_grammar_is_answered_too(demo: Path) -> None:
    repo = Repository(demo)
    for shell in ("bash", "zsh", "fish"):
        script = repo.mldlc("completion", shell).stdout
        assert repo.mldlc("-sc", f"install={shell}").stdout == script and "completion --answer" in script
    env = {"COMP_LINE": "mldlc run model=li", "COMP_POINT": "18"}
    assert repo.mldlc("-sc", "query=bash", env=env).stdout.split() == ["model=linear"]
    assert "complete -r mldlc" in repo.mldlc("-sc", "uninstall=bash").stdout
    done = repo.mldlc("-sc", "bash=install")
    told = "'-sc bash=install' asks for no completion; write mldlc -sc install=bash"
    assert done.returncode == 2 and told in done.stderr
    done = repo.mldlc("completion", "tcsh")
    assert done.returncode == 2 and "bash, zsh, fish" in done.stderr
