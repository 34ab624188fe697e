"""The metrics: the headline, the table by part, and the charts of the test rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mldlc.report.charts.bars import histogram
from mldlc.report.charts.matrix import confusion
from mldlc.report.charts.xy import Axis, Line, line_chart
from mldlc.report.numbers import number, signed, words
from mldlc.report.sections.documents import in_order, is_number, part_color, rows, section

FIRST = {
    "binary": ("auroc", "accuracy", "average_precision", "f1"),
    "multiclass": ("accuracy", "macro_f1", "f1_macro", "log_loss"),
    "regression": ("r2", "rmse", "mae", "mape"),
    "language": ("nats_per_character", "bits_per_character", "nats_per_token", "perplexity"),
}
CURVED_PARTS = 3


def shown_part(document: Mapping[str, Any]) -> str:
    """The part that stands for the model: test, else the last one."""
    parts = list(section(document, "parts"))
    return "test" if "test" in parts else (in_order(parts)[-1] if parts else "")


def higher_is_better(document: Mapping[str, Any], metric: str) -> bool | None:
    """True, False, or None when the document does not say."""
    value = section(document, "better").get(metric)
    return None if value is None else value in ("higher", "max", "up", True, 1)


def baseline_value(document: Mapping[str, Any], part: str, metric: str) -> Any:
    """What the baseline reaches, None when it is not there."""
    return section(section(section(document, "baseline"), "parts"), part).get(metric)


def headline(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """{part, cards: [{name, value, baseline, gain, better}], baseline}: up to four metrics beside the baseline's."""
    part = shown_part(document)
    values = section(section(document, "parts"), part)
    wanted = [str(document.get("primary") or ""), *FIRST.get(str(document.get("task")), ()), *values]
    chosen = [m for m in dict.fromkeys(wanted) if is_number(values.get(m)) and m not in ("n", "rows")][:4]
    if not chosen:
        return None
    cards = []
    for metric in chosen:
        base, higher = baseline_value(document, part, metric), higher_is_better(document, metric)
        gain = values[metric] - base if is_number(base) else None
        good = None if gain is None or higher is None or gain == 0 else (gain > 0) == higher
        cards.append(
            {
                "name": words(metric),
                "value": number(values[metric]),
                "good": good,
                "baseline": None if base is None else number(base),
                "gain": None if gain is None else signed(gain),
            }
        )
    return {"part": part, "cards": cards, "baseline": str(section(document, "baseline").get("kind") or "baseline")}


def metrics(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """{part, parts, rows, baseline, charts, ...}: a row is a metric, its direction, value per part and baseline."""
    parts = section(document, "parts")
    if not parts:
        return None
    names = in_order(list(parts))
    shown = shown_part(document)
    order = list(dict.fromkeys(m for name in names for m in parts[name] if m != "n"))
    first = [m for m in FIRST.get(str(document.get("task")), ()) if m in order]
    order = first + [m for m in order if m not in first]
    limits = section(section(document, "intervals"), "parts")
    start = section(section(section(document, "start"), "parts"), shown)
    table = [
        {
            "name": words(m),
            "better": {True: "higher", False: "lower", None: ""}[higher_is_better(document, m)],
            "values": [{"value": parts[n].get(m), "interval": section(limits, n).get(m)} for n in names],
            "baseline": baseline_value(document, shown, m),
            "start": start.get(m),
        }
        for m in order
    ]
    return {
        "part": shown,
        "parts": [{"name": n, "rows": parts[n].get("n"), "color": part_color(n)} for n in names],
        "rows": table,
        "baseline": section(document, "baseline").get("kind"),
        "has_baseline": any(row["baseline"] is not None for row in table),
        "has_start": bool(start),
        "confidence": section(document, "intervals").get("confidence"),
        "threshold": section(document, "threshold").get("value"),
        "charts": charts(document, shown),
    }


def charts(document: Mapping[str, Any], part: str) -> list[Markup]:
    """Every chart that the curves of the document allow; ROC and PR show all parts, the others the shown part."""
    curves = section(document, "curves")
    mine = section(curves, part)
    names = in_order(list(curves))[:CURVED_PARTS]
    found = [
        _curve("ROC curve", "false positive rate", "true positive rate", "roc", curves, names, diagonal=True),
        _curve("Precision and recall", "recall", "precision", "pr", curves, names, diagonal=False),
        _calibration(mine, part),
        _confusion(mine, part),
        *_residuals(mine, part),
    ]
    return [chart for chart in found if chart is not None]


def _curve(
    title: str, x: str, y: str, key: str, curves: Mapping[str, Any], names: list[str], *, diagonal: bool
) -> Markup | None:
    lines = [
        Line(name, [(float(a), float(b)) for a, b in points], part_color(name))
        for name in names
        if (points := section(curves, name).get(key))
    ]
    return line_chart(title, Axis(x, (0.0, 1.0)), Axis(y, (0.0, 1.0)), lines, diagonal=diagonal) if lines else None


def _calibration(curves: Mapping[str, Any], part: str) -> Markup | None:
    bins = [
        b for b in rows(curves, "calibration") if is_number(b.get("mean_predicted")) and is_number(b.get("observed"))
    ]
    if not bins:
        return None
    notes = [f"predicted {number(b['mean_predicted'])}, observed {number(b['observed'])}: {number(b.get('rows'))} rows"
             for b in bins]  # fmt: skip
    line = Line(part, [(float(b["mean_predicted"]), float(b["observed"])) for b in bins], part_color(part), notes)
    return line_chart(f"Calibration ({part})", Axis("mean predicted probability", (0.0, 1.0)),
                      Axis("observed share", (0.0, 1.0)), [line], diagonal=True)  # fmt: skip


def _confusion(curves: Mapping[str, Any], part: str) -> Markup | None:
    found = section(curves, "confusion")
    labels, matrix = [str(x) for x in found.get("labels") or []], found.get("matrix") or []
    if not labels or len(matrix) != len(labels) or len(labels) > 30:
        return None
    return confusion(f"Confusion matrix ({part})", labels, matrix)


def _residuals(curves: Mapping[str, Any], part: str) -> list[Markup | None]:
    found = section(curves, "residuals")
    bars = section(found, "histogram")
    edges, counts = bars.get("edges") or [], bars.get("rows") or bars.get("counts") or []
    drawn: list[Markup | None] = []
    if counts and len(edges) == len(counts) + 1 and edges[-1] > edges[0]:
        drawn.append(histogram(f"Residuals ({part})", "label − prediction", edges, counts))
    tenths = [
        t for t in rows(found, "by_prediction") if is_number(t.get("mean_predicted")) and is_number(t.get("mean_label"))
    ]
    if tenths:
        notes = [f"tenth {t.get('decile')}: predicted {number(t['mean_predicted'])}, label {number(t['mean_label'])}, "
                 f"{number(t.get('rows'))} rows" for t in tenths]  # fmt: skip
        points = [(float(t["mean_predicted"]), float(t["mean_label"])) for t in tenths]
        drawn.append(line_chart(f"Label by prediction, tenths ({part})", Axis("mean prediction"), Axis("mean label"),
                                [Line(part, points, part_color(part), notes)], diagonal=True))  # fmt: skip
    quantiles = [(float(a), float(b)) for a, b in found.get("qq") or []]
    if quantiles:
        line = Line(part, quantiles, part_color(part))
        title = f"Residuals against the normal ({part})"
        drawn.append(line_chart(title, Axis("normal quantile"), Axis("standardised residual"), [line], diagonal=True))
    return drawn
