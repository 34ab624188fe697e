"""Decisions of people at gates: `<folder>/<gate>/<evidence digest>.yaml`, and the request that asks for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mldlc.engine.files import write_atomic
from mldlc.engine.step_file import Setting
from mldlc.plan.codec import canonical
from mldlc.plan.context import StepError

REQUEST = "mldlc.approval-request/1"


def folders(settings: Mapping[str, Any], root: str, outputs: Path) -> tuple[str, ...]:
    """Where answers are looked for, in order: the configured folders (relative to the project), then the outputs."""
    named = settings.get("approvals") or ()
    named = [named] if isinstance(named, str) else list(named)
    found = [str(Path(root, item)) for item in named] + [str(outputs / "approvals")]
    return tuple(dict.fromkeys(found))


def answer(places: Sequence[str], gate: str, digest: str) -> Mapping[str, Any] | None:
    """The first answer to exactly this evidence {decision, by, at, why}, or None. StepError when it is malformed."""
    for place in places:
        path = Path(place) / gate / f"{digest}.yaml"
        if not path.is_file():
            continue
        import yaml

        try:
            data = yaml.safe_load(path.read_text("utf-8"))
        except yaml.YAMLError as error:
            raise StepError(f"the answer is not valid YAML: {error}", where=str(path)) from None
        if not isinstance(data, dict) or not isinstance(data.get("decision"), str):
            raise StepError("an answer needs a decision", where=str(path), hint="use `mldlc approve` or `mldlc reject`")
        return {str(key): value if isinstance(value, int | float | bool) else str(value) for key, value in data.items()}
    return None


def request(setting: Setting, gate: str, digest: str, evidence: Mapping[str, Any]) -> Path:
    """Write down what a person must decide; the same evidence has the same file."""
    path = Path(setting.outputs) / "approvals" / gate / f"{digest}.request.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "format": REQUEST, "gate": gate, "digest": digest, "evidence": dict(evidence), "run": setting.run,
        "plan": setting.plan,
    }  # fmt: skip
    write_atomic(path, canonical(body) + b"\n")
    return path
