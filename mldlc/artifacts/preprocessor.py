"""Preprocessor: a declarative op list from raw columns to model inputs; here its codec and the one-row interpreter.

Ops read inputs into float64 registers (missing is NaN) and change them in order; `numeric` names the registers that
become float32 outputs. Both interpreters do the same IEEE operations in the same order, so their results are equal.

    number       of -> out              a numeric input; what is not finite is missing
    date_part    of, part -> out        year, month, day, dow (Monday 0), hour of a date or time
    ratio, difference, product, log     of: registers -> out; what is not finite is missing
    missing      of -> out              1.0 where the register is missing
    fill         of, value              missing becomes the value
    clip         of, low, high
    log1p        of                     sign(x) * log(1 + |x|)
    scale        of, center, scale      (x - center) / scale
    quantile     of, x, z               piecewise linear through the points (x rising)
    cycle        of, start, period -> out: [sin, cos]   of the angle (x - start) / period; missing is the origin
    codes        of, values -> out      0 missing, 1 other, 2 + position in values
    one_hot      of, values -> out: [missing, other, *values]   one register each
"""

from __future__ import annotations

import datetime
import json
import math
import struct
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mldlc.artifacts.handle import Artifact
from mldlc.plan.codec import canonical, digest

FORMAT = "mldlc.preprocessor/1"
MISSING, OTHER, FIRST = 0, 1, 2  # codes of a category
FLOAT32_MAX = 3.4028234663852886e38
INLINE = 1000  # longer lists of numbers stand in arrays.npz
Registers = dict[str, float]


@dataclass(frozen=True)
class Preprocessor:
    """A fitted preprocessor.

    inputs: [{name, dtype}], the raw columns that it needs. ops: see the module. numeric: registers of the numeric
    outputs. categorical: [{name, cardinality, values}]. label: {name, kind, classes} or None. weight: its column or
    None. fit: what the train part showed (counts and moments that later increments merge).
    """

    inputs: tuple[Mapping[str, Any], ...]
    ops: tuple[Mapping[str, Any], ...]
    numeric: tuple[str, ...]
    categorical: tuple[Mapping[str, Any], ...]
    label: Mapping[str, Any] | None = None
    weight: str | None = None
    fit: Mapping[str, Any] | None = None

    def info(self) -> dict[str, Any]:
        """The `info` of a table in tensor layout that this preprocessor makes."""
        named = {"numeric": list(self.numeric), "categorical": [dict(c) for c in self.categorical]}
        return named | {"preprocessor": self.identity} | ({"label": dict(self.label)} if self.label else {})

    @cached_property
    def identity(self) -> str:
        """Digest of what it does to a row: equal ones give equal tensors. Counts and moments do not count."""
        lists = [list(self.inputs), list(self.ops), list(self.numeric), list(self.categorical)]
        return digest([*lists, self.label, self.weight])

    @cached_property
    def _steps(self) -> list[Callable[[Mapping[str, Any], Registers], None]]:
        types = {item["name"]: item["dtype"] for item in self.inputs}
        return [compile_row_op(op, types) for op in self.ops]

    def transform_row(self, row: Mapping[str, Any]) -> dict[str, list[Any]]:
        """One raw row -> {"numeric": [F floats of float32 precision], "categorical": [K codes]}. Pure Python.

        Missing is None or NaN; dates are date, datetime or ISO text. ValueError names a feature that is absent or of
        the wrong type; other keys of the row are ignored.
        """
        absent = [item["name"] for item in self.inputs if item["name"] not in row]
        if absent:
            raise ValueError(f"the row has no feature {', '.join(map(repr, absent))}")
        registers: Registers = {}
        for step in self._steps:
            step(row, registers)
        numeric = [_float32(min(max(registers[name], -FLOAT32_MAX), FLOAT32_MAX)) + 0.0 for name in self.numeric]
        return {"numeric": numeric, "categorical": [int(registers[c["name"]]) for c in self.categorical]}

    def transform_frame(self, frame: Any, threads: int = 1) -> Any:
        """A Polars frame of raw rows -> a frame in tensor layout (see `mldlc.artifacts.tensors`).

        The label and the weight are taken along where the frame has them. ValueError names a column that is absent.
        """
        from mldlc.artifacts.preprocessor_batch import transform_frame

        return transform_frame(self, frame, threads)


def save_preprocessor(out: Path, preprocessor: Preprocessor) -> None:
    """Write `preprocessor.json` (canonical) and, for long number lists, `arrays.npz`; equal content, equal bytes."""
    arrays: dict[str, list[float]] = {}

    def slim(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: slim(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            if len(value) > INLINE and all(type(item) is float for item in value):
                arrays[f"a{len(arrays)}"] = list(value)
                return {"array": f"a{len(arrays) - 1}"}
            return [slim(item) for item in value]
        return value

    names = ("inputs", "ops", "numeric", "categorical", "label", "weight", "fit")
    document = {"format": FORMAT} | {name: slim(getattr(preprocessor, name)) for name in names}
    (out / "preprocessor.json").write_bytes(canonical(document) + b"\n")
    if arrays:
        _save_arrays(out / "arrays.npz", arrays)


def _save_arrays(path: Path, arrays: Mapping[str, list[float]]) -> None:
    import io

    import numpy as np

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, np.asarray(values, "<f8"))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue())


def load_preprocessor(artifact: Artifact) -> Preprocessor:
    """Read a Preprocessor artifact. ValueError when its format is another one."""
    document = json.loads(artifact.file("preprocessor.json").read_bytes())
    if document.get("format") != FORMAT:
        raise ValueError(f"format {document.get('format')!r}, expected {FORMAT!r}")
    arrays: dict[str, list[float]] = {}
    if "arrays.npz" in artifact.files:
        import numpy as np

        with np.load(artifact.file("arrays.npz")) as stored:
            arrays = {name: stored[name].tolist() for name in stored.files}

    def full(value: Any) -> Any:
        if isinstance(value, dict):
            return arrays[value["array"]] if set(value) == {"array"} else {k: full(v) for k, v in value.items()}
        return [full(item) for item in value] if isinstance(value, list) else value

    d = full(document)
    return Preprocessor(
        tuple(d["inputs"]),
        tuple(d["ops"]),
        tuple(d["numeric"]),
        tuple(d["categorical"]),
        d["label"],
        d["weight"],
        d["fit"],
    )


def category(value: Any) -> str | None:
    """The text that a categorical value is known by: true/false, whole numbers without a point; None is missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def moment(value: Any, zone: str | None = None) -> datetime.date | None:
    """A date or time from itself or ISO text; a time with an offset is told in `zone`. ValueError if it is none."""
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if value is not None and not isinstance(value, datetime.date):
        raise ValueError(f"expected a date or time, found {value!r}")
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(ZoneInfo(zone) if zone else datetime.UTC)
    return value


def circle(period: int) -> list[tuple[float, float]]:
    """(sine, cosine) of the whole positions of a cycle; a table, so that both interpreters have the same bits."""
    return [(math.sin(2 * math.pi * k / period), math.cos(2 * math.pi * k / period)) for k in range(period)]


def _float32(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _number(row: Mapping[str, Any], name: str, single: bool) -> float:
    value = row[name]
    if value is None:
        return math.nan
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        number = float(value)
    except OverflowError:
        return math.nan
    except TypeError:
        raise ValueError(f"feature {name!r}: expected a number, found {value!r}") from None
    return _finite(_float32(number) if single else number)


def _divide(a: float, b: float) -> float:
    return a / b if b else math.nan


DERIVED: dict[str, Callable[..., float]] = {
    "ratio": _divide,
    "difference": lambda a, b: a - b,
    "log": lambda a: math.log(a) if a > 0 else math.nan,
}


def _date_part(row: Mapping[str, Any], name: str, part: str, zone: str | None) -> float:
    try:
        at = moment(row[name], zone)
    except ValueError as error:
        raise ValueError(f"feature {name!r}: {error}") from None
    if at is None:
        return math.nan
    return float(at.weekday() if part == "dow" else getattr(at, part, 0))


def _code(row: Mapping[str, Any], name: str, codes: Mapping[str, int]) -> int:
    text = category(row[name])
    return MISSING if text is None else codes.get(text, OTHER)


def _interpolate(value: float, xs: list[float], zs: list[float]) -> float:
    value = min(max(value, xs[0]), xs[-1])
    j = min(bisect_right(xs, value) - 1, len(xs) - 2)
    return zs[j] + (value - xs[j]) / (xs[j + 1] - xs[j]) * (zs[j + 1] - zs[j])


def compile_row_op(op: Mapping[str, Any], types: Mapping[str, str]) -> Callable[[Mapping[str, Any], Registers], None]:
    """One op as a function (row, registers) -> None."""
    of, out = op["of"], op.get("out")

    def set_many(values: Any, registers: Registers) -> None:
        registers.update(zip(out, values, strict=True))

    match op["op"]:
        case "number":
            single = types[of] == "Float32"
            return lambda row, reg: reg.__setitem__(out, _number(row, of, single))
        case "date_part":
            part, zone = op["part"], op.get("zone")
            return lambda row, reg: reg.__setitem__(out, _date_part(row, of, part, zone))
        case "ratio" | "difference" | "log":
            derive = DERIVED[op["op"]]
            return lambda row, reg: reg.__setitem__(out, _finite(derive(*(reg[name] for name in of))))
        case "product":
            return lambda row, reg: reg.__setitem__(out, _finite(_product(reg, of)))
        case "missing":
            return lambda row, reg: reg.__setitem__(out, float(math.isnan(reg[of])))
        case "fill":
            value = op["value"]
            return lambda row, reg: reg.__setitem__(of, value) if math.isnan(reg[of]) else None
        case "clip":
            low, high = op["low"], op["high"]
            return lambda row, reg: reg.__setitem__(of, min(max(reg[of], low), high))
        case "log1p":
            return lambda row, reg: reg.__setitem__(of, math.copysign(math.log1p(abs(reg[of])), reg[of]))
        case "scale":
            center, scale = op["center"], op["scale"]
            return lambda row, reg: reg.__setitem__(of, (reg[of] - center) / scale)
        case "quantile":
            xs, zs = op["x"], op["z"]
            return lambda row, reg: reg.__setitem__(of, _interpolate(reg[of], xs, zs))
        case "cycle":
            table, start = circle(op["period"]), op["start"]
            return lambda row, reg: set_many((0.0, 0.0) if math.isnan(reg[of]) else table[int(reg[of]) - start], reg)
        case "codes":
            put = {text: FIRST + i for i, text in enumerate(op["values"])}
            return lambda row, reg: reg.__setitem__(out, _code(row, of, put))
        case "one_hot":
            put = {text: FIRST + i for i, text in enumerate(op["values"])}
            width = len(out)

            def one_hot(row: Mapping[str, Any], registers: Registers) -> None:
                code = _code(row, of, put)
                set_many((float(k == code) for k in range(width)), registers)

            return one_hot
    raise ValueError(f"unknown op {op['op']!r}: the preprocessor was written by a newer release")


def _product(registers: Registers, names: list[str]) -> float:
    value = registers[names[0]]
    for name in names[1:]:
        value *= registers[name]
    return value
