"""split: deals every row to one part by hash, by stratum, by time, by group or as a column says."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.split import read_codes, write_codes, write_split, write_split_manifest
from mldlc.artifacts.table import Table, write_json
from mldlc.data.hashing import hash_rows, offsets, seeded
from mldlc.plan.artifact import UNUSED
from mldlc.plan.codec import digest
from mldlc.plan.context import Context, StepError
from mldlc.plan.diagnostic import did_you_mean

CODES = "codes.arrow"
MANY_VALUES = 20  # numbers with more distinct values are binned before they make strata
LEARN = 0x6C6561726E  # keeps the hash of `learn` apart from the one that deals the rows to the parts
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `split`; summary: rows of each part."""
    table, split = inputs["table"], cfg.split
    many = len(table.partitions) > 1
    if many and (split.kind in ("random", "group", "column") or getattr(split, "cuts", None) is not None):
        counts = _by_partition(ctx, table, split)
    else:
        keys = _keys(ctx, table, split) if split.kind == "stratified" else None
        names, codes = _stratified(table, split, keys) if keys is not None else WAYS[split.kind](table, split)
        names, codes = _thinned(names, codes, table, split, keys)
        ends = np.cumsum([part.rows for part in table.partitions])[:-1]
        parts = zip([part.name for part in table.partitions], np.split(codes.astype(np.uint8), ends), strict=True)
        counts = write_split(ctx.out("split"), names, parts, {"kind": split.kind})
    wanted = getattr(split, "fractions", None) or {}
    for name, rows in counts.items():
        if not rows and table.rows and wanted.get(name, 1) > 0 and name not in ("gap", UNUSED):
            raise _no_rows(name, table, split)
    ctx.summary({f"rows.{name}": rows for name, rows in counts.items()})


def _thinned(
    names: list[str], codes: np.ndarray, table: Table, split: Any, keys: np.ndarray | None = None
) -> tuple[list[str], np.ndarray]:
    """The split with a share of its train rows left out. keys: of the rows, where they are known already."""
    if split.learn == 1.0:
        return names, codes
    if "train" not in names:
        raise StepError("there is no part 'train' to learn a share of", where="split.learn", hint="set it to 1.0")
    keys = row_keys(table, getattr(split, "duplicates", "ignore")) if keys is None else keys
    hashes = seeded(seeded(keys, getattr(split, "seed", 0)), LEARN)
    out = (codes == names.index("train")) & (hashes >= np.uint64(int(split.learn * 2.0**64)))
    return [*names, UNUSED], np.where(out, len(names), codes).astype(np.uint8)


def _no_rows(part: str, table: Table, split: Any) -> StepError:
    message, hint = f"part '{part}' got no rows of {table.rows}", "mend its share or value"
    if getattr(split, "duplicates", "") == "together":
        distinct = len(np.unique(row_keys(table, "together")))
        if distinct < table.rows:
            message += f", of which {distinct} differ in their features: equal rows stay in one part"
            hint = "set split.duplicates=ignore, or mend the share"
    return StepError(message, where="split", hint=hint)


def _by_partition(ctx: Context, table: Table, split: Any) -> dict[str, int]:
    """Where the part of a row hangs on the row alone: only new partitions are dealt. Gives rows per part."""
    names: list[str] = []

    def codes_item(name: str, item: Mapping[str, str], folder: Path) -> None:
        try:
            part = table.only(parts[name])
            found, codes = _thinned(*WAYS[split.kind](part, split), part, split)
        except StepError as error:
            raise StepError(f"{name}: {error.message}", where=error.where, hint=error.hint) from None
        write_json(folder / "names.json", found)
        write_codes(folder / CODES, codes)

    parts = {part.name: part for part in table.partitions}
    folders = ctx.map([(name, _item("codes", table, name, split)) for name in parts], codes_item)
    listed, counts = [], np.zeros(256, np.int64)
    for number, (name, folder) in enumerate(folders.items()):
        file = f"part-{number:05d}.arrow"
        names = names or json.loads((folder / "names.json").read_bytes())
        counts += np.bincount(read_codes(folder / CODES), minlength=256)
        listed.append({"name": name, "file": file, "rows": parts[name].rows})
        ctx.adopt("split", file, folder / CODES)
    return write_split_manifest(ctx.out("split"), names, listed, counts[: len(names)], {"kind": split.kind})


def _keys(ctx: Context, table: Table, split: Any) -> np.ndarray:
    """`row_keys`, of which only those of new partitions are hashed."""
    if len(table.partitions) == 1:
        return row_keys(table, split.duplicates)

    def keys_item(name: str, item: Mapping[str, str], folder: Path) -> None:
        np.save(folder / "keys.npy", row_keys(table.only(parts[name]), split.duplicates))

    parts = {part.name: part for part in table.partitions}
    folders = ctx.map([(name, _item("keys", table, name, split)) for name in parts], keys_item)
    keys = [np.load(folder / "keys.npy") for folder in folders.values()]
    return np.concatenate(keys) if keys else np.empty(0, np.uint64)


def _item(what: str, table: Table, name: str, split: Any) -> dict[str, str]:
    """A partition as an item: its bytes, the roles, and its name where rows are known by that and their offset."""
    part = next(part for part in table.partitions if part.name == name)
    shape = [[column.name, column.role] for column in table.columns]
    known = getattr(split, "duplicates", "ignore" if split.learn < 1 else "")
    named = name if known and not key_columns(table, known) else ""
    return {"digest": digest([what, table.digest(part), shape, named])}


def _random(table: Table, split: Any) -> tuple[list[str], np.ndarray]:
    return list(split.fractions), deal(seeded(row_keys(table, split.duplicates), split.seed), split.fractions)


def _group(table: Table, split: Any) -> tuple[list[str], np.ndarray]:
    roles = [c.name for role in ("group", "entity") for c in table.role(role)]
    name = _named(table, split.by, roles[:1], "group")
    return list(split.fractions), deal(seeded(hash_rows([_series(table, name)]), split.seed), split.fractions)


def _stratified(table: Table, split: Any, keys: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Ranks of the hash within each stratum; rows of one key go together, with the stratum of their first value.

    keys: `row_keys` of the table.
    """
    name = _named(table, split.by, [c.name for c in table.role("label")], "label")
    stratum = strata(_series(table, name), split.bins)
    groups, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    low = np.full(len(groups), np.iinfo(np.int64).max)
    np.minimum.at(low, inverse, stratum)
    order = np.lexsort((seeded(groups, split.seed), low))
    bounds = np.cumsum(list(split.fractions.values()))[:-1]
    codes = np.empty(len(groups), np.uint8)
    for members in np.split(order, np.flatnonzero(np.diff(low[order])) + 1):
        ends = np.cumsum(sizes[members])
        codes[members] = np.searchsorted(bounds * (ends[-1] if len(ends) else 0), ends - sizes[members] / 2, "right")
    return list(split.fractions), codes[inverse]


def _time(table: Table, split: Any) -> tuple[list[str], np.ndarray]:
    name = _named(table, split.by, [c.name for c in table.role("event_time")], "event_time")
    column = _series(table, name)
    dtype = column.dtype
    if column.null_count():
        raise StepError(
            f"column '{name}' has {column.null_count()} nulls; a split by time needs every time", where="split.by",
            hint="drop those rows: clean.drop_rows=[{column: ..., op: is_null}]",
        )  # fmt: skip
    if not (dtype in (pl.Date, pl.Datetime) or dtype.is_integer()):
        raise StepError(f"column '{name}' is {dtype}, not a time", where="split.by", hint="declare it as datetime")
    if dtype.is_temporal():
        column = column.cast(pl.Datetime("us")).to_physical()
    times = column.cast(pl.Int64).to_numpy()
    if split.cuts is not None:
        names = list(split.cuts)
        cuts = np.array([_instant(split.cuts[part], dtype, part) for part in names[1:]], np.int64)
        if split.cuts[names[0]] is not None or (np.diff(cuts) <= 0).any():
            raise StepError("cuts must rise, and the first part has null", where="split.cuts")
    else:
        names, ordered = list(split.fractions), np.sort(times)
        bounds = np.cumsum(list(split.fractions.values()))[:-1]
        at = np.minimum(np.round(bounds * len(ordered)).astype(np.int64), max(len(ordered) - 1, 0))
        cuts = ordered[at] if len(ordered) else np.zeros(len(at), np.int64)
    codes = np.searchsorted(cuts, times, "right")
    if split.gap is not None:
        if not dtype.is_temporal():
            raise StepError(f"column '{name}' is {dtype}: a gap needs dates or times", where="split.gap")
        width = int(split.gap[:-1]) * SECONDS[split.gap[-1]] * 1_000_000
        for cut in cuts:
            codes[(times >= cut - width) & (times < cut)] = len(names)
        names = [*names, "gap"]
    return names, codes


def _column(table: Table, split: Any) -> tuple[list[str], np.ndarray]:
    name = _named(table, split.by, [], "")
    column = _series(table, name)
    texts = column.cast(pl.String)
    codes = np.full(len(column), 255, np.uint8)
    for code, values in enumerate(split.values.values()):
        wanted = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
        codes[texts.is_in(wanted).fill_null(False).to_numpy()] = code
    if (codes == 255).any():
        row = int(np.argmax(codes == 255))
        raise StepError(
            f"column '{name}' has the value {column[row]!r} (row {row + 1}), which stands for no part "
            f"({int((codes == 255).sum())} such rows)", where="split.values",
            hint=did_you_mean(str(texts[row]), [str(v) for vs in split.values.values() for v in vs]),
        )  # fmt: skip
    return list(split.values), codes


def deal(hashes: np.ndarray, fractions: Mapping[str, float]) -> np.ndarray:
    """Part code of each uint64 hash: the interval of [0, 2^64) that it falls into."""
    bounds = np.cumsum(list(fractions.values()))[:-1]
    cuts = np.array([min(int(bound * 2.0**64), 2**64 - 1) for bound in bounds], np.uint64)
    return np.searchsorted(cuts, hashes, "right")


WAYS = {"random": _random, "time": _time, "group": _group, "column": _column}


def key_columns(table: Table, duplicates: str) -> list[str]:
    """The columns by which rows are known; none: by partition and offset."""
    return [c.name for c in (table.role("feature") if duplicates == "together" else table.role("row_id"))]


def row_keys(table: Table, duplicates: str) -> np.ndarray:
    """uint64 identity of every row: its feature values (`together`), else its row_id, else (partition, offset)."""
    columns = key_columns(table, duplicates)
    keys = []
    for part in table.partitions:
        if columns:
            keys.append(hash_rows(table.load(part).select(columns).get_columns()))
        else:
            keys.append(offsets(part.name, part.rows))
    return np.concatenate(keys) if keys else np.empty(0, np.uint64)


def strata(column: pl.Series, bins: int) -> np.ndarray:
    """int64 stratum of each row: the rank of its value, or its bin of equal count; null is a stratum of its own."""
    if column.dtype.is_numeric() and column.n_unique() > MANY_VALUES:
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        known = np.sort(values[~np.isnan(values)])
        edges = known[(np.arange(1, bins) * len(known)) // bins]
        return np.where(np.isnan(values), -1, np.searchsorted(edges, values, "right"))
    return column.rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()


def _series(table: Table, name: str) -> pl.Series:
    return table.scan().select(name).collect().to_series().rechunk()


def _named(table: Table, by: str | None, roles: Sequence[str], role: str) -> str:
    names = [c.name for c in table.columns]
    if by is not None and by not in names:
        raise StepError(f"split.by names '{by}', which is no column", where="split.by", hint=did_you_mean(by, names))
    if by is None and not roles:
        raise StepError(
            f"no column has the role {role}", where="split.by", hint=f"set split.by or source.roles={{...: {role}}}"
        )
    return by if by is not None else roles[0]


def _instant(text: str | None, dtype: pl.DataType, part: str) -> int:
    try:
        if not dtype.is_temporal():
            return int(text or "")
        moment = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        raise StepError(f"the cut of part '{part}' is '{text}', expected an ISO time", where="split.cuts") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return round((moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) / datetime.timedelta(microseconds=1))
