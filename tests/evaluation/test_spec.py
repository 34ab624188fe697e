"""The light side of evaluation: shipped options write out every key and validate; the specs import nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from mldlc.catalog import load_spec
from tests.evaluation.study import CONF

KINDS = ("evaluation.evaluate", "evaluation.language", "evaluation.diagnose", "evaluation.robustness", "evaluation.xai")
OPTIONS = [
    (group, path.stem, schema)
    for kind in KINDS
    for group, schema in load_spec(kind).reads.items()
    for path in sorted((CONF / group).glob("*.yaml"))
    if (path.stem == "language") == (kind == "evaluation.language")
]


@pytest.mark.parametrize(("group", "name", "schema"), OPTIONS)
def test_options_write_out_every_key_at_its_default(group, name, schema):
    text = (CONF / group / f"{name}.yaml").read_text()
    values = yaml.safe_load(text)
    assert text.startswith("# ") and next(iter(values)) == "kind"
    assert TypeAdapter(schema).validate_python(values).model_dump() == values
    default = TypeAdapter(schema).validate_python({"kind": values["kind"]}).model_dump()
    changed = {key for key in values if values[key] != default[key]}
    assert changed == {"thorough": {"threshold", "bootstrap"}, "boosted": {"boosting"}}.get(name, set())


def test_every_group_has_two_options():
    for group in ("evaluate", "slices", "diagnose", "robustness", "xai"):
        assert len([option for option in OPTIONS if option[0] == group]) >= 2


def test_unknown_threshold_rule_is_refused():
    schema = load_spec("evaluation.evaluate").reads["evaluate"]
    with pytest.raises(ValidationError):
        TypeAdapter(schema).validate_python({"kind": "standard", "threshold": "F1"})


def test_specs_import_nothing_heavy():
    code = (
        "import sys, mldlc.evaluation.spec\n"
        "print([m for m in ('torch', 'torchmetrics', 'numpy', 'polars', 'lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
