"""Label fixes: how many train rows were named, of which classes, and which ones first."""

from __future__ import annotations

from typing import Any

from mldlc.report.numbers import number, percent
from mldlc.report.sections.documents import document, is_number, rows, section
from mldlc.report.sections.facts import arranged

DONE = {"find": "named and left as they are", "drop": "left out of the training", "relabel": "given a likelier label"}


def labels(artifact: Any) -> dict[str, Any] | None:
    """Blocks of labels.json as `arranged` gives them, and `told`: the outcome in a sentence."""
    found = document(artifact, "labels.json")
    if not found or found.get("kind") == "none":
        return None
    shown: dict[str, Any] = {
        "how": {
            "rule": found.get("rule"), "rows that the rule named": found.get("named"),
            **{f"score of {name} that tells it": value for name, value in section(found, "thresholds").items()},
            **({"residuals within": found["residuals_within"]} if "residuals_within" in found else {}),
        },
        "classes": rows(found, "classes"),
        "models_out_of_fold": {k: v for k, v in section(found, "out_of_fold").items() if is_number(v)},
        "train_rows_in_doubt_the_surest_first": rows(found, "listed"),
    }  # fmt: skip
    done = DONE.get(str(found.get("kind")), str(found.get("kind")))
    told = f"{number(found.get('found'))} of {number(found.get('rows'))} train rows"
    told += f" ({percent(found['share'])})" if is_number(found.get("share")) else ""
    result = arranged(shown)
    return result and {**result, "told": f"{told} have a label that is likely wrong; they are {done}."}
