"""Every data step run twice, and with one thread in another process, gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mldlc.data import spec
from tests.data.steps import collect, option, step


def digests(folder: Path, name: str) -> dict[str, str]:
    """Digest of every output of the five steps on a bundled data set."""
    made = collect(option("source", name), folder)
    rules = option("clean", "rules", clip={"age": {"low": 20, "high": 80}} if name == "adult" else {})
    clean = step(spec.CLEAN, rules, folder, table=made.outputs["table"])
    table = clean.outputs["table"]
    split = step(spec.SPLIT, option("split", "stratified"), folder, table=table)
    part = split.outputs["split"]
    select = step(spec.SELECT, option("select", "filter", min_score=0.01), folder, table=table, split=part)
    scaled = option("prepare", "tabular")
    scaled["numeric"] |= {"scale": "quantile", "quantiles": 2000, "clip": [0.001, 0.999], "log1p": "auto"}
    ready = step(spec.PREPARE, scaled, folder, table=table, split=part, selection=select.outputs["selection"])
    runs = {"collect": made, "clean": clean, "split": split, "select": select, "prepare": ready}
    return {f"{kind}.{port}": run.digest(port) for kind, run in runs.items() for port in run.outputs}


@pytest.mark.parametrize("name", ["adult", "housing"])
def test_equal_bytes_twice_and_with_one_thread(name: str, tmp_path: Path) -> None:
    first, second = digests(tmp_path / "a", name), digests(tmp_path / "b", name)
    assert first == second and len(first) == 6
    code = f"import json, pathlib\nfrom tests.data.test_determinism import digests\nprint(json.dumps(digests(pathlib.Path({str(tmp_path / 'c')!r}), {name!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "POLARS_MAX_THREADS": "1"}, capture_output=True, text=True,
        cwd=Path(__file__).resolve().parents[2], check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == first
