"""No edit of any input goes unseen: a plan from the cache is compared with one compiled without any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from mldlc.compiler import compose as compose_pass
from mldlc.compiler import graph_cache
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError
from tests.config.conftest import commit, git, write
from tests.projects import TALLY, repository
from tests.thorough import ALL

MANIFEST = "name: chain\nconf: conf\ncode: [src]\nextends: [../shared, 'git://main:conf@../team']\n"
ROOT = """\
defaults: [_self_, {paths: default}, {executor: local}, {project: default}, {lifecycle: chain}, {tally: default},
  {second: default}, {third: default}, {fourth: default}, {fifth: default}, {source: csv}, {optional local: default}]
seed: 1
noop: {value: %d}
tally: {label: "${oc.env:MLDLC_TEST_WHO,nobody}"}
source: {path: %s}
"""
CHAIN = """\
stages:
  a: {kind: scope.noop}
  b: {kind: scope.noop, config: {noop: second}}
  c: {kind: scope.noop, config: {noop: third}}
  d: {kind: scope.noop, config: {noop: fourth}}
  e: {kind: scope.noop, config: {noop: fifth}}
  collect: {kind: data.collect}
"""
FILES = {
    "mldlc.yaml": MANIFEST,
    "conf/config.yaml": ROOT % (1, "data/*.csv"),
    "conf/lifecycle/chain.yaml": CHAIN,
    "conf/tally/default.yaml": "size: 3\n",
    "conf/fifth/default.yaml": "value: 5\n",
    "data/a.csv": "a,b\n1,2\n",
    "../one/second/default.yaml": "value: 1\n",
    "../two/second/default.yaml": "value: 2\n",
    "../thirds/a/default.yaml": "value: 10\n",
    "../thirds/b/default.yaml": "value: 20\n",
}
BACK = ("local", "group", "manifest", "revision", "extended link", "lock")  # edit 3 leaves what can be planned
ASKED = (TALLY, "seed=3")
Edit = Callable[[Path, int], Any]


def link(path: Path, target: Path) -> None:
    """Point a link elsewhere, as `ln -sfn` does."""
    path.unlink(missing_ok=True)
    path.symlink_to(target, target_is_directory=True)


def same_time(root: Path, number: int) -> None:
    """Another folder under the same name and with the same time, as a copy that keeps times leaves it."""
    was = (root / "data").stat()
    shutil.rmtree(root / "data")
    write(root, {"data/a.csv": f"a,b\n{number}0,2\n", f"data/more{number}.csv": "a,b\n5,6\n"})
    os.utime(root / "data", ns=(was.st_atime_ns, was.st_mtime_ns))


def moved(root: Path, number: int) -> None:
    """One commit more on the team's branch."""
    commits = len(git(root.parent / "team", "rev-list", "main").split())
    commit(root.parent / "team", {"conf/fourth/default.yaml": f"value: {number}\n", "count": f"{commits}\n"})


def locked(root: Path, number: int) -> None:
    """Pin the team's branch to one of its commits, or to none."""
    revisions = git(root.parent / "team", "rev-list", "main").split()
    if number % 3 == 0:
        (root / "mldlc.lock").unlink(missing_ok=True)
        return
    pin = revisions[number % len(revisions)]
    write(root, {"mldlc.lock": f"format: mldlc.lockfile/1\nrefs:\n  main@../team: {pin}\n"})


def toggled(root: Path, name: str, text: str) -> None:
    """Write a file, or take away its folder."""
    if (root / name).parent.exists():
        shutil.rmtree((root / name).parent)
    else:
        write(root, {name: text})


EDITS: dict[str, Edit] = {
    "value": lambda root, n: write(root, {"conf/second/default.yaml": f"value: {n}\n"}),
    "removed file": lambda root, n: (root / "conf/second/default.yaml").unlink(missing_ok=True),
    "own": lambda root, n: write(root, {"conf/tally/default.yaml": f"size: {n}\n"}),
    "code": lambda root, n: write(root, {"src/tallying/counting.py": f"def total(size):\n    return size + {n}\n"}),
    "schema": lambda root, n: write(root, {"src/tallying/schema.py": f"BOUND = {n}\n"}),
    "wiring": lambda root, n: write(root, {"conf/lifecycle/chain.yaml": f"{CHAIN}  x{n}: {{kind: scope.noop}}\n"}),
    "root": lambda root, n: write(root, {"conf/config.yaml": ROOT % (n, "data/*.csv")}),
    "data path": lambda root, n: write(root, {"conf/config.yaml": ROOT % (1, ["data/?.csv", "data/a.csv"][n % 2])}),
    "local": lambda root, n: toggled(root, "conf/local/default.yaml", f"# @package _global_\nnoop: {{value: {n}}}\n"),
    "group": lambda root, n: toggled(root, f"conf/seed/{n}.yaml", "{}\n"),
    "option": lambda root, n: write(root, {f"../one/second/other{n}.yaml": "value: 7\n"}),
    "branch": moved,
    "rewound": lambda root, n: git(root.parent / "team", "reset", "-q", "--hard", "v1"),
    "lock": locked,
    "manifest": lambda root, n: write(
        root, {"mldlc.yaml": MANIFEST.replace("../shared", f"../{['one', 'two', 'gone'][n % 3]}")}
    ),
    "revision": lambda root, n: write(root, {"mldlc.yaml": MANIFEST.replace("main", ["v1", "HEAD", "nope"][n % 3])}),
    "code root": lambda root, n: write(
        root, {"mldlc.yaml": MANIFEST.replace("[src]", f"[src, more{n}]"), f"more{n}/extra.py": ""}
    ),
    "folder link": lambda root, n: link(root / "conf/third", root.parent / "thirds" / "ba"[n % 2]),
    "extended link": lambda root, n: link(root.parent / "shared", root.parent / ["one", "two", "gone"][n % 3]),
    "environment": lambda root, n: os.environ.__setitem__("MLDLC_TEST_WHO", f"user{n}"),
    "row": lambda root, n: write(root, {"data/a.csv": f"a,b\n{n},2\n"}),
    "new data": lambda root, n: write(root, {f"data/{n}.csv": "a,b\n3,4\n"}),
    "data folder": same_time,
}


@contextmanager
def world() -> Iterator[Path]:
    """A project that extends a folder behind a link and a branch in git, and reads files by a pattern."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.path.realpath(folder)) / "project"
        commit(write(root.parent / "team", {"conf/fourth/default.yaml": "value: 4\n"}), {})
        git(root.parent / "team", "tag", "v1")
        repository(root, FILES)
        (root / "conf/second/default.yaml").unlink()
        link(root / "conf/third", root.parent / "thirds" / "a")
        link(root.parent / "shared", root.parent / "one")
        before = dict(os.environ)
        try:
            yield root
        finally:
            os.environ.clear()
            os.environ.update(before)


COMPOSED: list[Any] = []
"""What the last plan composed; empty where it came from the cache or failed. Hydra is most of what a plan costs."""


def outcome(root: Path, trace: Callable[[str, str], None] | None = None) -> Any:
    """What a plan says, or what is wrong. With a trace it is compiled without the caches; what a plan has composed of
    the same files just before is taken over then.
    """

    def compose(*args: Any) -> Any:
        if trace is None or not COMPOSED:
            COMPOSED[:] = [composing(*args)]
        return COMPOSED[0]

    composing = compose_pass.compose
    if trace is None:
        COMPOSED.clear()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compose_pass, "compose", compose)
            plan = compile_plan(CompileRequest(root, ASKED), trace)
    except DiagnosticError as error:
        COMPOSED.clear()
        return str(error)
    told = [str(item) for item in plan.diagnostics]
    return (
        told,
        plan.snapshot.refs,
        plan.snapshot.code,
        [(s.id, s.recipe, s.params, s.sources, s.inputs) for s in plan.steps],
    )


def fresh(root: Path) -> Any:
    return outcome(root, lambda name, text: None)


def test_each_edit_is_seen() -> None:
    with world() as root:
        before = outcome(root)
        assert graph_cache.load(CompileRequest(root, ASKED)) is not None and outcome(root) == before == fresh(root)
        unseen = set()
        for edit in EDITS:
            changed = False
            for number in (2, 3) if edit in BACK else (2,):
                EDITS[edit](root, number)
                found = outcome(root)
                assert found == fresh(root), (edit, number)
                changed, before = changed or found != before, found
            unseen |= set() if changed else {edit}
        assert unseen == {"option"}, "edits that this plan has nothing to tell of"


@settings(max_examples=150 if ALL else 3, deadline=None, derandomize=not ALL, phases=[Phase.explicit, Phase.generate])
@example([("manifest", 3), ("data folder", 5)])  # the new folder gets the inode of the old one
@given(st.lists(st.tuples(st.sampled_from(sorted(EDITS)), st.integers(1, 5)), min_size=2, max_size=5))
def test_no_row_of_edits_goes_unseen(edits: list[tuple[str, int]]) -> None:
    with world() as root:
        outcome(root)
        for edit, number in edits:
            EDITS[edit](root, number)
            found, wanted = outcome(root), fresh(root)
            assert found == wanted, edit
            assert outcome(root) == wanted, f"{edit}, warm"


LOADED = """
import sys
from mldlc.cli.main import main
code = main(["plan", *sys.argv[1:]])
print(code, *sorted({"hydra", "omegaconf", "pydantic", "yaml", "torch", "polars", "numpy"} & set(sys.modules)), file=sys.stderr)
"""


def test_a_warm_plan_with_a_git_source_a_lock_and_a_revision_imports_no_hydra_and_no_pydantic() -> None:
    with world() as root:
        write(root, {"mldlc.yaml": MANIFEST.replace("../shared, ", ""), "conf/second/default.yaml": "value: 2\n"})
        (root / "conf/third").unlink()
        commit(root, {".gitignore": "outputs\n", "conf/third/default.yaml": "value: 3\n"})
        locked(root, 1)
        for extra in (["--locked"], ["--rev", "HEAD"]):
            command = [sys.executable, "-c", LOADED, *ASKED, *extra]
            told = [subprocess.run(command, cwd=root, capture_output=True, text=True).stderr for _ in range(3)]
            assert "hydra" in told[0].splitlines()[-1], told[0]
            assert told[-1].splitlines()[-1] == "0", (extra, told)
