"""The training curves: losses, watched metrics and the learning rate by epoch."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from mldlc.report.charts.xy import Axis, Line, line_chart
from mldlc.report.numbers import number, words
from mldlc.report.sections.documents import document, is_number, part_color, rows

STAGES = ("train", "val", "test")
SPIKES, SPIKE_ROWS = 5, 8


def training(artifact: Any) -> dict[str, Any] | None:
    """{charts, facts: [(name, text)]}; one chart a measured thing (loss, auroc, learning rate)."""
    history = document(artifact, "history.json")
    epochs = rows(history, "epochs")
    if not epochs:
        return None
    names = [key for key in dict.fromkeys(k for row in epochs for k in row) if key not in ("epoch", "step")]
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        stage, _, rest = name.partition("_")
        measured, line = (rest, stage) if stage in STAGES and rest else (name, "")
        groups.setdefault(measured, []).append((name, line))
    ordered = sorted(groups, key=lambda g: (g != "loss", g == "lr", list(groups).index(g)))
    best = history.get("best_epoch")
    charts = [chart for g in ordered if (chart := _chart(g, groups[g], epochs, best)) is not None]
    stopped = history.get("stopped")
    facts = [("epochs", number(len(epochs)))]
    if is_number(best):
        facts.append(("best epoch", number(best)))
    if history.get("monitor"):
        facts.append(("chosen by", str(history["monitor"])))
    if stopped is not None:
        facts.append(
            ("stopped", stopped if isinstance(stopped, str) else ("early" if stopped else "at the last epoch"))
        )
    if is_number(history.get("empty_batches")):
        facts.append(
            ("batches whose weights sum to 0", f"{number(history['empty_batches'])}: nothing was learnt from them")
        )
    return {"charts": charts, "facts": facts + _spikes(rows(history, "spikes"))}


def _spikes(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The first losses that jumped, each with the rows of its batch, most extreme first."""
    told = []
    for spike in found[:SPIKES]:
        shown, usual = list(spike.get("rows") or [])[:SPIKE_ROWS], spike.get("usual")
        text = f"loss {_loss(spike.get('loss'))}" + (f", usual {number(usual)}" if is_number(usual) else "")
        rest = len(spike.get("rows") or []) - len(shown)
        text += f"; {spike.get('action')}; rows of its batch: {', '.join(map(str, shown))}"
        told.append((f"spike at step {spike.get('step')}", text + (f" and {rest} more" if rest > 0 else "")))
    if len(found) > SPIKES:
        told.append(("more spikes", number(len(found) - SPIKES)))
    return told


def _loss(value: Any) -> str:
    return number(value) if is_number(value) else str(value)


def _chart(measured: str, series: list[tuple[str, str]], epochs: list[dict[str, Any]], best: Any) -> Markup | None:
    lines = []
    for key, line in series:
        points = [
            (float(row.get("epoch", i)), float(row[key])) for i, row in enumerate(epochs) if is_number(row.get(key))
        ]
        if points:
            notes = [f"epoch {number(e)}: {line} {words(measured)} {number(v)}".replace("  ", " ") for e, v in points]
            lines.append(Line(line, points, part_color(line) if line else 0, notes))
    if not lines:
        return None
    mark = (float(best), f"best: epoch {number(best)}") if is_number(best) and len(epochs) > 1 else None
    title = words(measured)
    return line_chart(title[:1].upper() + title[1:], Axis("epoch", whole=True), Axis(""), lines, mark_x=mark)
