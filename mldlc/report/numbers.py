"""Numbers as people read them: few digits, grouped thousands, the same text for the same value everywhere."""

from __future__ import annotations

import math
from typing import Any

THIN = "\u2009"


def number(value: Any, digits: int = 4) -> str:
    """A number with `digits` significant digits ("0.9132", "32,561", "1.2e-07"); an en dash for None or NaN."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        text = f"{value:.{max(digits - 2, 1)}e}"
    else:
        decimals = max(0, digits - 1 - math.floor(math.log10(size)))
        text = f"{value:,.{decimals}f}"
        if size >= 1:
            text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−", 1) if text.startswith("-") else text


def percent(share: Any) -> str:
    """A share in 0..1 as a percentage: "0 %", "< 0.1 %", "5.6 %", "100 %"."""
    if not isinstance(share, int | float) or not math.isfinite(share):
        return "–"
    value = 100 * share
    if value == 0 or value == 100:
        return f"{value:.0f}{THIN}%"
    if 0 < value < 0.1:
        return f"< 0.1{THIN}%"
    return f"{value:.1f}{THIN}%"


def signed(value: Any, digits: int = 3) -> str:
    """A difference with its sign: "+0.012", "−0.3"."""
    text = number(value, digits)
    return text if not isinstance(value, int | float) or value <= 0 or text == "–" else f"+{text}"


def short(digest: Any, length: int = 12) -> str:
    """The first characters of a digest; an en dash when there is none."""
    return str(digest)[:length] if digest else "–"


def words(name: Any) -> str:
    """An identifier as a label: "average_precision" -> "average precision"; known abbreviations in capitals."""
    text = str(name)
    known = {"auroc": "AUROC", "auprc": "AUPRC", "rmse": "RMSE", "mae": "MAE", "mse": "MSE", "r2": "R²", "f1": "F1",
             "ece": "ECE", "lr": "learning rate", "mape": "MAPE", "medae": "median absolute error"}  # fmt: skip
    return known.get(text.lower(), " ".join(known.get(part, part) for part in text.split("_")))
