"""The model card: what was built, how large it is, what it takes and what it says."""

from __future__ import annotations

from typing import Any

from mldlc.report.numbers import number, setting, words
from mldlc.report.sections.documents import document, flat, section

SHOWN = 24
"Items of a long list that are written out."


def model(artifact: Any) -> dict[str, Any] | None:
    """{facts: [(name, text)], args, objective}: of model.json; None without it."""
    card = document(artifact, "model.json")
    if not card:
        return None
    objective, features = section(card, "objective"), section(card, "features")
    facts = [("class", str(card.get("target") or "–"))]
    if card.get("parameters") is not None:
        facts.append(("parameters", number(card["parameters"])))
    facts += [("objective", str(objective["kind"]))] if objective.get("kind") else []
    if objective.get("classes"):
        facts.append(("classes", ", ".join(str(c) for c in objective["classes"])))
    for name in ("numeric", "categorical"):
        if isinstance(features.get(name), list | tuple):
            facts.append((f"{name} inputs", number(len(features[name]))))
    if artifact is not None:
        facts.append(("size", _size(artifact.size())))
    return {
        "facts": facts,
        "args": [(key, _text(value)) for key, value in flat(section(card, "args"))],
        "objective": [
            (words(k), _text(v)) for k, v in flat(objective) if k not in ("kind",) and not k.startswith("classes")
        ],
    }


def _size(count: int) -> str:
    """Bytes in the unit that keeps the number short."""
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) > SHOWN:
        return f"{setting(value[:SHOWN])}, … ({len(value)} in all)"
    return setting(value)
