"""Numbers as people read them: few digits, grouped thousands, the same text for the same value everywhere."""

from __future__ import annotations

import math
from typing import Any

THIN = "\u2009"
KNOWN = {
    "auroc": "AUROC", "auprc": "AUPRC", "rmse": "RMSE", "mae": "MAE", "mse": "MSE", "mape": "MAPE", "r2": "R²",
    "f1": "F1", "ece": "ECE", "lr": "learning rate", "median_ae": "median absolute error",
    "matthews_corrcoef": "Matthews correlation", "concordance_corrcoef": "concordance correlation",
}  # fmt: skip
"How abbreviated names are written for people."


def number(value: Any, digits: int = 4) -> str:
    """A number with `digits` significant digits ("38.58", "32,561", "1.2e-07"); an en dash for None or NaN.

    From 0.001 to 1 it has `digits` decimals, so that scores in a column line up.
    """
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
        decimals = digits if 1e-3 <= size < 1 else max(0, digits - 1 - math.floor(math.log10(size)))
        text = f"{value:,.{decimals}f}"
        if size >= 1:
            text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


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


def setting(value: Any) -> str:
    """A value of a config as it would be written: "0.1", "3e-04", "none" for an empty list, text as it is."""
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value) or "none"
    if value is None or isinstance(value, bool | str):
        return "none" if value is None else number(value)
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"−{text[1:]}" if text.startswith("-") else text


def signed(value: Any, digits: int = 4) -> str:
    """A difference with its sign: "+0.0120", "−12.5"."""
    text = number(value, digits)
    return text if not isinstance(value, int | float) or value <= 0 or text == "–" else f"+{text}"


def short(digest: Any, length: int = 12) -> str:
    """The first characters of a digest; an en dash when there is none."""
    return str(digest)[:length] if digest else "–"


def words(name: Any) -> str:
    """An identifier as a label: "average_precision" -> "average precision"; known abbreviations in capitals."""
    text = str(name)
    return KNOWN.get(text.lower(), " ".join(KNOWN.get(part, part) for part in text.split("_")))
