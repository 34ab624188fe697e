"""Every shipped option of the data groups says all its keys and fits its schema; the specs stay light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from mldlc.data import spec
from tests.data.steps import CONF, option

SPECS = {
    "source": spec.COLLECT,
    "clean": spec.CLEAN,
    "split": spec.SPLIT,
    "select": spec.SELECT,
    "prepare": spec.PREPARE,
}
OPTIONS = sorted(path.relative_to(CONF) for group in SPECS for path in (CONF / group).glob("*.yaml"))
MANDATORY: dict[str, Any] = {"path": "x", "target": "pkg.mod:read", "by": "fold"}


def keys_written(model: BaseModel, data: Any, where: str) -> None:
    assert set(type(model).model_fields) == set(data), where
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            keys_written(value, data[name], f"{where}.{name}")
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, BaseModel):
                    keys_written(item, data[name][key], f"{where}.{name}.{key}")


@pytest.mark.parametrize("path", OPTIONS, ids=str)
def test_option_is_complete_and_valid(path: Path) -> None:
    group = path.parts[0]
    text = (CONF / path).read_text()
    data = yaml.safe_load(text)
    assert text.startswith("# ") and next(iter(data)) == "kind"
    filled = {key: MANDATORY[key] if value == "???" else value for key, value in data.items()}
    kind = spec.TOKENIZE if data["kind"] in ("char", "bpe") else SPECS[group]
    keys_written(TypeAdapter(kind.reads[group]).validate_python(filled), data, str(path))


def test_the_specs_import_nothing_heavy() -> None:
    code = "import sys, mldlc.data.spec\nprint([m for m in ('polars', 'numpy', 'torch', 'yaml') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_sources_name_what_is_read(tmp_path: Path) -> None:
    from types import SimpleNamespace

    def refs(name: str, **changes: Any) -> Any:
        source = TypeAdapter(spec.COLLECT.reads["source"]).validate_python(option("source", name, **changes))
        return spec.COLLECT.sources(SimpleNamespace(source=source))[0]  # type: ignore[misc]

    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("x\n1\n")
    found = refs("csv", path=str(tmp_path / "*.csv"))
    assert found.paths == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert (found.uri, found.name, found.identity) == (f"file:{tmp_path}/*.csv", "*.csv", "content")
    assert refs("csv", path="/no/such.csv").paths == ("/no/such.csv",)
    assert refs("python", target="m:f", args={"n": 1}).uri == 'python:m:f?{"n":1}'
    bundled = refs("adult")
    assert (bundled.uri, bundled.identity) == ("bundled:adult", "version") and Path(bundled.paths[0]).is_file()
