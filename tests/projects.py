"""Little config repositories in a temporary folder, and the compiler run on them."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from mldlc.cli.main import main
from mldlc.compiler.draft import CompileRequest, Selection
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.plan import Plan

CONFIG = """\
defaults:
  - _self_
  - paths: default
  - executor: local
  - project: default
  - lifecycle: chain
  - tally: default
  - second: default
noop: {value: 1}
"""
CHAIN = """\
stages:
  a: {kind: scope.noop}
  b: {kind: scope.noop, inputs: {after: a}, config: {noop: second}}
  c: {kind: scope.noop, inputs: {after: [a, b]}}
"""
STEPS = '''\
"""Steps of one's own."""

from tallying.counting import total

from mldlc.config.schema import Config, meta, result, runtime
from mldlc.plan.artifact import Any, Decision
from mldlc.plan.spec import StepSpec, many, optional


class TallyConfig(Config):
    size: int = result(ge=1)
    label: str = meta("")
    verbose: bool = runtime(False)
    later: int = result(0, neutral=0)


TALLY = StepSpec(
    kind="tally", version=1, impl="tallying.steps:run", inputs={"after": many(Any), "first": optional(Decision)},
    outputs={"sum": Decision}, reads={"tally": TallyConfig},
)
OTHER = StepSpec(kind="other", version=1, impl="tallying.other:run", inputs={"after": many(Any)}, outputs={"out": Decision})


def run(ctx, cfg, inputs):
    (ctx.out("sum") / "sum.txt").write_text(str(total(cfg.tally.size)))
'''
FILES = {
    "mldlc.yaml": "name: chain\nconf: conf\ncode: [src]\n",
    "conf/config.yaml": CONFIG,
    "conf/tally/default.yaml": "size: 3\nlabel: x\n",
    "conf/second/default.yaml": "value: 2\n",
    "conf/lifecycle/chain.yaml": CHAIN,
    "src/tallying/__init__.py": "",
    "src/tallying/steps.py": STEPS,
    "src/tallying/counting.py": '"""Counting."""\n\n\ndef total(size):\n    return sum(range(size))\n',
    "src/tallying/other.py": 'def run(ctx, cfg, inputs):\n    (ctx.out("out") / "o.txt").write_text("o")\n',
}
TALLY = "+lifecycle.stages.t={kind: 'tallying.steps:TALLY', inputs: {after: a}}"
OTHER = "+lifecycle.stages.o={kind: 'tallying.steps:OTHER', inputs: {after: a}}"


@dataclass(frozen=True)
class Repository:
    """A config repository at `root`; outputs go to root/outputs."""

    root: Path

    def write(self, name: str, text: str) -> None:
        """Write one file of it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def plan(self, *overrides: str, multirun: bool = False, **selection: object) -> Plan:
        """Compile in this process."""
        chosen = Selection(**selection)  # type: ignore[arg-type]
        return compile_plan(CompileRequest(self.root, overrides, multirun=multirun, selection=chosen))

    def mldlc(
        self, *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command as a user would; never raises for the exit code."""
        return subprocess.run(
            [sys.executable, "-m", "mldlc", *args], cwd=cwd or self.root, capture_output=True, text=True, timeout=300,
            env={**os.environ, "NO_COLOR": "1", **(env or {})},
        )  # fmt: skip

    def inside(
        self, *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As `mldlc`, in this process: where starting one is not the subject, most of the CPU time goes there."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(cwd or self.root)
            for name, value in {"NO_COLOR": "1", **(env or {})}.items():
                patch.setenv(name, value)
            code = main(list(args))
        gc.enable()  # a command turns it off for its own short life
        return subprocess.CompletedProcess(["mldlc", *args], code, out.getvalue(), err.getvalue())


def repository(root: Path, files: Mapping[str, str] | None = None) -> Repository:
    """The chain repository (three no-ops and a package of steps), with `files` added or replaced."""
    made = Repository(root)
    for name, text in {**FILES, **(files or {})}.items():
        made.write(name, text)
    return made


def actions(plan: Plan) -> dict[str, str]:
    """Action by step id."""
    return {step.id: step.action for step in plan.steps}
