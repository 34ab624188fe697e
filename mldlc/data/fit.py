"""Fits a Preprocessor on the train rows of a table, one column at a time: memory holds a few columns, not the table."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts import preprocessor_batch as batch
from mldlc.artifacts.preprocessor import FIRST, Preprocessor, category
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Column, Partition, Table, scan_partition
from mldlc.data.fit_numeric import Fitted, Rule, fit_register
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

CYCLES = {"month": (1, 12), "day": (1, 31), "dow": (0, 7), "hour": (0, 24)}


class TrainRows:
    """The rows of one part of a table, read by column."""

    def __init__(self, table: Table, split: Split, part: str) -> None:
        self.table = table
        if part not in split.names:
            hint = did_you_mean(part, split.names) or f"parts: {', '.join(split.names)}"
            raise StepError(f"the split has no part '{part}'", where="part", hint=hint)
        if [(p.name, p.rows) for p in table.partitions] != [(p["name"], p["rows"]) for p in split.partitions]:
            raise StepError("the split belongs to another table", hint="bind both to the same stage")
        code = split.names.index(part)
        self.masks = [pl.Series(split.codes(i) == code) for i in range(len(split.partitions))]
        self.rows = int(sum(mask.sum() for mask in self.masks))
        if not self.rows:
            raise StepError(f"part '{part}' has no rows to fit on", where="part")

    def series(self, name: str) -> pl.Series:
        """The column's values in these rows."""
        parts = [
            self._column(part, name).filter(mask) for part, mask in zip(self.table.partitions, self.masks, strict=True)
        ]
        return pl.concat(parts)

    @cached_property
    def frame(self) -> pl.DataFrame | None:
        """The whole table where it is one partition, which `prepare` needs in memory anyway."""
        return self.table.load() if len(self.table.partitions) == 1 else None

    def _column(self, part: Partition, name: str) -> pl.Series:
        if self.frame is not None:
            return self.frame[name]
        return scan_partition(self.table.artifact.file(part.file)).select(name).collect().to_series()


class Fit:
    """One fit: builds the op list of `cfg` (the group `prepare`) on `train`, leaving out the columns in `dropped`."""

    def __init__(self, cfg: Any, train: TrainRows, dropped: Iterable[str], threads: int) -> None:
        self.cfg, self.train, self.threads = cfg, train, threads
        gone = set(dropped) | {name for name, over in cfg.columns.items() if over.treat == "drop"}
        self.features = [c for c in train.table.role("feature") if c.name not in gone]
        self.types = {c.name: c.dtype for c in self.features}
        self.kinds = {c.name: self._kind(c) for c in self.features}
        self.reads: dict[str, dict[str, Any]] = {}  # register -> the op that first fills it
        self._check_names()

    def run(self) -> Preprocessor:
        """The fitted preprocessor."""
        registers, cycles = self._read_ops()
        categorical = [name for name, kind in self.kinds.items() if kind == "categorical"]
        with ThreadPoolExecutor(max(self.threads, 1)) as pool:
            fitted = list(pool.map(self._fit_register, registers))
            counted = list(pool.map(self._fit_category, categorical))
        ops = [*self.reads.values(), *(op for one in fitted for op in one.ops), *cycles]
        numeric = [name for one in fitted for name in one.outputs] + [name for op in cycles for name in op["out"]]
        outputs = []
        for name, (values, _) in zip(categorical, counted, strict=True):
            if self._rule(name, "encode", self.cfg.categorical.encode) == "one_hot":
                slots = [f"{name}={text}" for text in (":missing", ":other", *values)]
                ops.append({"op": "one_hot", "of": name, "values": values, "out": slots})
                numeric += slots
            else:
                ops.append({"op": "codes", "of": name, "values": values, "out": name})
                outputs.append({"name": name, "cardinality": FIRST + len(values), "values": [None, ":other", *values]})
        needed = {op["of"] for op in ops if op["op"] in ("number", "date_part", "codes", "one_hot")}
        weights = self.train.table.role("weight")
        facts = {
            "rows": self.train.rows,
            "numeric": {name: one.facts for name, one in zip(registers, fitted, strict=True)},
            "categorical": {name: facts for name, (_, facts) in zip(categorical, counted, strict=True)},
        }
        return Preprocessor(
            inputs=tuple({"name": c.name, "dtype": c.dtype} for c in self.features if c.name in needed),
            ops=tuple(ops), numeric=tuple(numeric), categorical=tuple(outputs), label=self._label(),
            weight=weights[0].name if weights else None, fit=facts,
        )  # fmt: skip

    def _kind(self, column: Column) -> str:
        over = self.cfg.columns.get(column.name)
        text = column.dtype
        natural = (
            "categorical" if text in ("String", "Boolean")
            else "date" if text == "Date" or text.startswith("Datetime")
            else "numeric" if text.startswith(("Int", "UInt", "Float", "Decimal"))
            else ""
        )  # fmt: skip
        if not natural:
            raise StepError(
                f"column '{column.name}' has type {text}, which no rule of prepare takes",
                where=f"prepare.columns.{column.name}", hint="leave it out: source.roles gives it the role ignore",
            )  # fmt: skip
        wanted = over.treat if over is not None and over.treat else natural
        if wanted == "numeric" and text not in ("Boolean",) and natural != "numeric":
            raise StepError(
                f"column '{column.name}' is {text} and cannot be read as numbers",
                where=f"prepare.columns.{column.name}.treat", hint="cast it before: clean.cast",
            )  # fmt: skip
        return wanted

    def _check_names(self) -> None:
        derived = [item.name for item in self.cfg.derived]
        known = [c.name for c in self.train.table.columns]
        for name in self.cfg.columns:
            if name not in [*known, *derived]:
                raise StepError(
                    f"prepare.columns names '{name}', which is no column", where=f"prepare.columns.{name}",
                    hint=did_you_mean(name, [*known, *derived]),
                )  # fmt: skip
        for name in derived:
            if name in known or derived.count(name) > 1:
                raise StepError(f"two features would be called '{name}'", where="prepare.derived")
        listed = self.cfg.numeric.log1p
        numeric = [*(n for n, kind in self.kinds.items() if kind == "numeric"), *derived]
        for name in listed if isinstance(listed, list) else ():
            if name not in numeric:
                hint = did_you_mean(name, numeric)
                raise StepError(f"'{name}' is no numeric feature", where="prepare.numeric.log1p", hint=hint)
        if not self.features:
            raise StepError(
                "no feature is left to prepare", where="prepare", hint="see select, and the roles of source"
            )

    def _read_ops(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Fills `reads`; gives the registers to fit, in output order, and the cycle ops."""
        cycles: list[dict[str, Any]] = []
        fitted: list[str] = []
        for name, kind in self.kinds.items():
            if kind == "numeric":
                self.reads[name] = {"op": "number", "of": name, "out": name}
                fitted.append(name)
            elif kind == "date":
                for part in self.cfg.dates.parts:
                    if part == "hour" and self.types[name] == "Date":
                        continue
                    out = f"{name}.{part}"
                    self.reads[out] = {"op": "date_part", "of": name, "part": part, "out": out, **self._zone(name)}
                    if self.cfg.dates.cyclical and part in CYCLES:
                        start, period = CYCLES[part]
                        pair = [f"{out}.sin", f"{out}.cos"]
                        cycles.append({"op": "cycle", "of": out, "start": start, "period": period, "out": pair})
                    else:
                        fitted.append(out)
        for item in self.cfg.derived:
            self._check_derived(item)
            self.reads[item.name] = {"op": item.op, "of": list(item.of), "out": item.name}
            fitted.append(item.name)
        return fitted, cycles

    def _zone(self, name: str) -> dict[str, str]:
        zone = self.types[name].partition("time_zone=")[2].strip("')\"")
        return {"zone": zone} if zone and zone != "None" else {}

    def _check_derived(self, item: Any) -> None:
        wanted = {"ratio": 2, "difference": 2, "log": 1}.get(item.op)
        where = f"prepare.derived.{item.name}"
        if (wanted is not None and len(item.of) != wanted) or (item.op == "product" and len(item.of) < 2):
            raise StepError(f"{item.op} takes {wanted or 'two or more'} columns, found {len(item.of)}", where=where)
        for name in item.of:
            if name not in self.reads:
                hint = did_you_mean(name, self.reads) or f"numeric features: {', '.join(self.reads)}"
                raise StepError(
                    f"'{name}' is no numeric feature that comes before '{item.name}'", where=where, hint=hint
                )

    def _values(self, register: str) -> np.ndarray:
        op = self.reads[register]
        with np.errstate(all="ignore"):
            if op["op"] == "number":
                return batch.number(self.train.series(op["of"]), self.types[op["of"]])
            if op["op"] == "date_part":
                return batch.date_part(self.train.series(op["of"]), op["part"], op.get("zone"))
            return batch.derive(op["op"], [self._values(name) for name in op["of"]])

    def _fit_register(self, name: str) -> Fitted:
        cfg = self.cfg.numeric
        listed = name in cfg.log1p if isinstance(cfg.log1p, list) else cfg.log1p if cfg.log1p == "auto" else False
        same = ("impute", "fill", "indicator", "clip", "scale")
        rule = Rule(
            **{key: self._rule(name, key, getattr(cfg, key)) for key in same},
            log1p=self._rule(name, "log1p", listed), skew=cfg.skew, quantiles=cfg.quantiles,
        )  # fmt: skip
        return fit_register(name, self._values(name), rule)

    def _rule(self, name: str, key: str, default: Any) -> Any:
        over = self.cfg.columns.get(name)
        value = getattr(over, key, None) if over is not None else None
        return default if value is None else value

    def _fit_category(self, name: str) -> tuple[list[str], dict[str, Any]]:
        """The values that get a code of their own, sorted, and the counts of the train part."""
        cfg = self.cfg.categorical
        column = self.train.series(name)
        if column.dtype.is_float() and not (column.drop_nulls() % 1 == 0).all():
            raise StepError(
                f"column '{name}' has fractions and cannot be read as categories",
                where=f"prepare.columns.{name}.treat", hint="bin it, or treat it as numeric",
            )  # fmt: skip
        counts: dict[str, int] = {}
        for value, count in column.alias("value").value_counts().iter_rows():
            text = category(value)
            if text is not None:
                counts[text] = counts.get(text, 0) + count
        least = max(
            self._rule(name, "rare_count", cfg.rare_count), self._rule(name, "rare_share", cfg.rare_share) * len(column)
        )
        kept = [text for text, count in counts.items() if count >= least]
        if cfg.max_values is not None:
            kept = sorted(kept, key=lambda text: (-counts[text], text))[: cfg.max_values]
        kept.sort()
        known = sum(counts.values())
        facts = {"counts": [counts[text] for text in kept], "missing": len(column) - known}
        return kept, facts | {"other": known - sum(facts["counts"])}

    def _label(self) -> dict[str, Any] | None:
        labels = self.train.table.role("label")
        if not labels:
            raise StepError(
                "the table has no column with the role label", where="source.roles",
                hint="name it: source.roles={<column>: label}",
            )  # fmt: skip
        label = labels[0]
        column = self.train.series(label.name)
        kind = self.cfg.label
        distinct = column.unique().drop_nulls() if kind != "value" and not column.dtype.is_float() else None
        if kind == "auto":
            binary = distinct is not None and column.dtype.is_integer() and set(distinct.to_list()) <= {0, 1}
            kind = "class" if label.dtype in ("String", "Boolean") or binary else "value"
        if kind == "value":
            if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
                raise StepError(f"label '{label.name}' is {label.dtype}, not a number", where="prepare.label")
            return {"name": label.name, "kind": "value"}
        classes = (distinct if distinct is not None else column.unique().drop_nulls()).sort().to_list()
        if len(classes) < 2:
            raise StepError(f"label '{label.name}' has one class only in part '{self.cfg.part}'", where="prepare.label")
        return {"name": label.name, "kind": "class", "classes": classes}
